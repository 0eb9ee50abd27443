//! The follower's rules, one by one, and what breaks without each.
//!
//! Here only the two parties: a server whose history can lose its end, and a node that follows it. Nothing waits.

mod copies;
mod events;
mod failovers;
mod leases;
mod mutants;
mod properties;
mod repairs;

use std::time::Duration;

use cache_core::{ChangedKey, Namespace, Policy};

use super::*;

const LEASE: Duration = Duration::from_millis(300);
const DEADLINE: Duration = Duration::from_millis(200);
const PRICES: Namespace<u32> = Namespace::new("prices", Policy::event_driven(Duration::from_secs(60)));

/// The server of one shard.
#[derive(Clone, Debug)]
struct Server {
    id: ServerId,
    lineage: Lineage,
    log: Vec<LogEntry>,
    /// Entries no longer in the log.
    trimmed: usize,
    floor: Seq,
}

impl Server {
    /// A server with ten events behind it.
    fn new() -> Self {
        let mut server = Self {
            id: ServerId(1),
            lineage: Lineage(1),
            log: Vec::new(),
            trimmed: 0,
            floor: Seq::ZERO,
        };
        for _ in 0..10 {
            server.publish();
        }
        server
    }

    fn head(&self) -> Head {
        let last = self.log.last().expect("it never starts empty");
        Head {
            lineage: self.lineage,
            seq: last.seq,
            id: last.id,
            floor: self.floor,
            mark: cache_core::ServerMark(0),
        }
    }

    /// The key that the event of this number changes: each number has one of its own.
    fn publish(&mut self) -> WireEvent {
        let next = self.log.last().map_or(Seq(1), |last| last.seq.next());
        let key = PRICES.key(&[("model", &next.0)]).raw().clone();
        self.publish_op(EventOp::Changed(vec![ChangedKey { key, record: None }]))
    }

    fn publish_op(&mut self, op: EventOp) -> WireEvent {
        let (seq, prev) = self
            .log
            .last()
            .map_or((Seq(1), EventId(0)), |last| (last.seq.next(), last.id));
        // Servers draw different ids for the same number.
        let id = EventId((self.id.0 << 48) + (self.lineage.0 << 24) + seq.0);
        self.log.push(LogEntry {
            seq,
            id,
            origin: cache_core::RegionId::HERE,
            op: op.clone(),
        });
        self.event(seq, prev, id, op)
    }

    const fn event(&self, seq: Seq, prev: EventId, id: EventId, op: EventOp) -> WireEvent {
        let shard = cache_core::Shard::barriers(cache_core::Lane::Bulk);
        WireEvent {
            shard,
            lineage: self.lineage,
            seq,
            id,
            prev,
            origin: cache_core::RegionId::HERE,
            op,
        }
    }

    fn publish_many(&mut self, count: usize) -> Vec<WireEvent> {
        (0..count).map(|_| self.publish()).collect()
    }

    fn replay(&self, from: Seq) -> Replay {
        let kept = self.log.iter().skip(self.trimmed);
        Replay {
            server: self.id,
            head: Some(self.head()),
            entries: kept.filter(|entry| entry.seq >= from).cloned().collect(),
        }
    }

    /// A replica takes over that has not got the last `lost` events.
    fn fail_over(&mut self, lost: usize) {
        self.id = ServerId(self.id.0 + 1);
        self.log.truncate(self.log.len() - lost);
    }

    /// As a store does it: compared, then set. `hint` keeps numbers from being issued twice.
    fn adopt(&mut self, from: Option<Lineage>, to: Lineage, hint: Seq) -> WireEvent {
        let prev = self.head().id;
        let last = self.head().seq.max(hint);
        if from == Some(self.lineage) {
            self.lineage = to;
            self.floor = last;
            self.log = vec![LogEntry {
                seq: last,
                id: prev,
                origin: cache_core::RegionId::HERE,
                op: EventOp::Flushed,
            }];
            self.trimmed = 1;
            return self.publish_op(EventOp::Flushed);
        }
        self.event(last, prev, prev, EventOp::Flushed)
    }
}

/// A node, with what it was told to do.
#[derive(Debug)]
struct Node {
    follower: Follower,
    now: Moment,
    applied: Vec<u64>,
    orders: Vec<Effect>,
}

impl Node {
    /// A node that has seen nothing.
    fn new() -> Self {
        Self::under(Rules::default())
    }

    fn under(rules: Rules) -> Self {
        Self {
            follower: Follower::new(LEASE, DEADLINE).with_rules(rules),
            now: Moment::from_nanos(1_000_000_000),
            applied: Vec::new(),
            orders: Vec::new(),
        }
    }

    /// A node that follows this server from its present head on.
    fn following(server: &Server, rules: Rules) -> Self {
        let mut node = Self::under(rules);
        node.beat(server);
        assert!(node.orders.is_empty());
        node
    }

    fn passes(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn ask(&self) -> Probe {
        self.follower.probe(self.now)
    }

    /// The answer to an earlier question comes now.
    fn hears(&mut self, probe: &Probe, source: Source, server: &Server) -> Verdict {
        self.hears_head(probe, source, server, Some(server.head()))
    }

    fn hears_head(&mut self, probe: &Probe, source: Source, server: &Server, head: Option<Head>) -> Verdict {
        let mut out = Vec::new();
        let verdict = self
            .follower
            .observe(self.now, probe, source, server.id, head, &mut out);
        self.obey(out);
        verdict
    }

    /// A heartbeat that is answered at once.
    fn beat(&mut self, server: &Server) -> Verdict {
        self.hears(&self.ask(), Source::Bus, server)
    }

    /// A read of the copy that takes writes, answered at once.
    fn read(&mut self, server: &Server) -> Verdict {
        self.hears(&self.ask(), Source::Primary, server)
    }

    fn receives(&mut self, event: &WireEvent) {
        let mut out = Vec::new();
        self.follower.on_event(event.clone(), &mut out);
        self.obey(out);
    }

    fn receives_all<'a>(&mut self, events: impl IntoIterator<Item = &'a WireEvent>) {
        for event in events {
            self.receives(event);
        }
    }

    fn receives_log(&mut self, probe: &Probe, replay: Replay) {
        let mut out = Vec::new();
        self.follower.replayed(self.now, probe, replay, &mut out);
        self.obey(out);
    }

    fn lagged(&mut self) {
        let mut out = Vec::new();
        self.follower.lagged(&mut out);
        self.obey(out);
    }

    /// Does what is ordered, at once, until nothing more is.
    fn settle_with(&mut self, server: &mut Server) {
        for _ in 0..8 {
            for order in std::mem::take(&mut self.orders) {
                match order {
                    Effect::Replay { from } => self.receives_log(&self.ask(), server.replay(from)),
                    Effect::Adopt { from, hint } => {
                        let probe = self.ask();
                        server.adopt(from, Lineage(server.lineage.0 + 1), hint);
                        self.follower.adoption_ended();
                        self.hears(&probe, Source::Bus, server);
                    }
                    Effect::Ask => {
                        self.beat(server);
                    }
                    Effect::Missed | Effect::Apply { .. } => {}
                }
            }
        }
    }

    fn obey(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Apply { seq, .. } => self.applied.push(seq.0),
                order => self.orders.push(order),
            }
        }
    }

    /// What was ordered since the last look.
    fn orders(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.orders)
    }

    fn may_hit(&self) -> bool {
        self.now < self.follower.lease()
    }

    fn cursor(&self) -> u64 {
        self.follower.cursor().0
    }
}

fn replay_from(seq: u64) -> Effect {
    Effect::Replay { from: Seq(seq) }
}

fn admitted(seq: u64) -> Verdict {
    Verdict::Admit { as_of: Seq(seq) }
}
