//! Spot checks: what a node served from memory, compared afterwards with what the log says that it had to know.
//!
//! Pure, and apart from the protocol on purpose: it takes an answer at its word, and uses no cursor or generation, so that a
//! mistake in leases or in those shows here. It samples nothing and asks nothing itself.

use std::collections::VecDeque;
use std::time::Duration;

use cache_core::{
    CacheKey, EventId, EventOp, Head, LogEntry, Moment, Replay, Seq, Shard, ShardCount, Version,
};

/// Hits that may wait for their check. While they do, no more are taken.
const WAITING: usize = 64;
/// Logs read at once, by each lane: the price of the checks, whatever the load.
const READS: usize = 2;
/// Heads remembered of each shard: a few heartbeats more than a lease spans.
const HEADS: usize = 8;
/// How long an unanswered check is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the spot checks of memory hits came to, since the start. A hit is compared with two logs, that of its shard and that of
/// the barriers, and counts for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpotCheckTally {
    /// It lacked nothing there that it had to know.
    pub consistent: u64,
    /// It lacked an event that is in the log: a promise was broken. Must stay 0.
    pub inconsistent: u64,
    /// Nobody can tell: the log no longer reaches back that far, its history was rewritten, or nobody answered.
    pub undecided: u64,
}

impl SpotCheckTally {
    /// Adds another tally.
    pub const fn add(&mut self, other: &Self) {
        self.consistent += other.consistent;
        self.inconsistent += other.inconsistent;
        self.undecided += other.undecided;
    }
}

/// A value that was served from memory, as far as one shard's history is concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Served {
    /// The shard.
    pub shard: Shard,
    /// What had to be unchanged: the value's key, or in the shard of barriers those it is under.
    pub keys: Vec<CacheKey>,
    /// The event, of which lineage, after which nothing may have touched them.
    pub unchanged_since: Version,
    /// Everything published before this moment had to be known when it was served: that is what the answer said.
    pub current_at: Moment,
    /// When it was served.
    pub at: Moment,
}

/// What a served value had to know.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Claim {
    served: Served,
    /// The newest event that had certainly been published by then.
    known: (Seq, EventId),
}

/// Claims about one shard that a reading of its log decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// The shard.
    pub shard: Shard,
    /// From where its log must be read.
    pub from: Seq,
    claims: Vec<Claim>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Finding {
    Consistent,
    Inconsistent(Seq),
    Undecided,
}

/// The spot checks of one lane of one node.
///
/// ```
/// use std::time::Duration;
/// use cache_core::{CacheKey, EventId, EventOp, ChangedKey, Head, Lane, Lineage, LogEntry, Moment, RegionId, Replay, Seq, ServerId, ServerMark, ShardCount, Version};
/// use event_bus::{Served, SpotChecks};
///
/// let (key, at) = (CacheKey::from_wire("price:id=1"), |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000));
/// let shard = ShardCount::DEFAULT.of(Lane::Bulk, &key);
/// let head = Head { lineage: Lineage(1), seq: Seq(5), id: EventId(50), floor: Seq(0), mark: ServerMark(0) };
///
/// let mut checks = SpotChecks::of(ShardCount::DEFAULT);
/// checks.saw_head(shard, at(1), &head);
/// // Served at 3 s, said to be current at 2 s, and not touched since event 4: but event 5 was known at 1 s.
/// checks.served(Served {
///     shard, keys: vec![key.clone()], unchanged_since: Version { lineage: Lineage(1), seq: Seq(4) }, current_at: at(2), at: at(3),
/// });
/// let check = checks.due().remove(0);
/// assert_eq!(check.from, Seq(5));
/// let op = EventOp::Changed(vec![ChangedKey { key, record: None }]);
/// let event = LogEntry { seq: Seq(5), id: EventId(50), origin: RegionId::HERE, op };
/// let stale = checks.decide(check, &Replay { server: ServerId(1), head: Some(head), entries: vec![event] });
/// assert_eq!((stale.len(), checks.tally().inconsistent), (1, 1));
/// ```
#[derive(Debug)]
pub struct SpotChecks {
    heads: Vec<VecDeque<(Moment, Head)>>,
    waiting: VecDeque<Claim>,
    tally: SpotCheckTally,
}

impl SpotChecks {
    /// None yet, of a lane that has so many shards.
    pub fn of(shards: ShardCount) -> Self {
        Self {
            heads: vec![VecDeque::new(); shards.places()],
            waiting: VecDeque::new(),
            tally: SpotCheckTally::default(),
        }
    }

    /// The server that takes the shard's writes answered with this head, and the answer was here at `received`: whatever
    /// it counts had been published before.
    pub fn saw_head(&mut self, shard: Shard, received: Moment, head: &Head) {
        let heads = &mut self.heads[shard.index()];
        heads.push_front((received, *head));
        heads.truncate(HEADS);
    }

    /// A value was served from memory. It is checked later, unless too many wait or what it had to know is known by nobody.
    pub fn served(&mut self, served: Served) {
        // Strictly before: what was published in the very same moment need not be known.
        let known = self.heads[served.shard.index()]
            .iter()
            .filter(|(received, head)| {
                *received < served.current_at && head.lineage == served.unchanged_since.lineage
            })
            .map(|(_, head)| (head.seq, head.id))
            .max_by_key(|(seq, _)| *seq);
        match known {
            None => {}
            Some((seq, _)) if seq <= served.unchanged_since.seq => self.tally.consistent += 1,
            Some(_) if self.waiting.len() >= WAITING => {}
            Some(known) => self.waiting.push_back(Claim { served, known }),
        }
    }

    /// The logs to read now, the oldest claims first.
    pub fn due(&mut self) -> Vec<Check> {
        let mut checks = Vec::new();
        while checks.len() < READS
            && let Some(oldest) = self.waiting.front()
        {
            let shard = oldest.served.shard;
            let (claims, others): (Vec<_>, Vec<_>) = self
                .waiting
                .drain(..)
                .partition(|claim| claim.served.shard == shard);
            self.waiting = others.into();
            checks.push(Check::of(shard, claims));
        }
        checks
    }

    /// A log was read: returns what was served and should not have been, with the event it lacked.
    pub fn decide(&mut self, check: Check, replay: &Replay) -> Vec<(Served, Seq)> {
        let mut stale = Vec::new();
        for claim in check.claims {
            match claim.judge(replay) {
                Finding::Consistent => self.tally.consistent += 1,
                Finding::Undecided => self.tally.undecided += 1,
                Finding::Inconsistent(lacked) => {
                    self.tally.inconsistent += 1;
                    stale.push((claim.served, lacked));
                }
            }
        }
        stale
    }

    /// A log could not be read: it is tried again, up to ten seconds after the value was served.
    pub fn unanswered(&mut self, check: Check, now: Moment) {
        let (young, old): (Vec<_>, Vec<_>) = check
            .claims
            .into_iter()
            .partition(|claim| now.since(claim.served.at) < PATIENCE);
        self.tally.undecided += old.len() as u64;
        self.waiting.extend(young);
    }

    /// What the checks came to.
    pub const fn tally(&self) -> &SpotCheckTally {
        &self.tally
    }
}

impl Check {
    fn of(shard: Shard, claims: Vec<Claim>) -> Self {
        let from = claims
            .iter()
            .map(|claim| claim.served.unchanged_since.seq.next())
            .min();
        Self {
            shard,
            from: from.unwrap_or_default(),
            claims,
        }
    }
}

impl Claim {
    /// Whether the log holds an event that the value lacked and had to know. Told only by a log that has every event in
    /// between and ends, at the last of them, in the history that was known then: after a failover the same numbers may
    /// stand for other events.
    fn judge(&self, replay: &Replay) -> Finding {
        let (newest, id) = self.known;
        let same_lineage = replay
            .head
            .is_some_and(|head| head.lineage == self.served.unchanged_since.lineage);
        let same_history = replay
            .entries
            .iter()
            .any(|entry| entry.seq == newest && entry.id == id);
        let reaches_back = replay
            .entries
            .first()
            .is_some_and(|entry| entry.seq <= self.served.unchanged_since.seq.next());
        if !(same_lineage && same_history && reaches_back) {
            return Finding::Undecided;
        }
        let between = |entry: &&LogEntry| entry.seq > self.served.unchanged_since.seq && entry.seq <= newest;
        let mut finding = Finding::Consistent;
        for entry in replay.entries.iter().filter(between) {
            match self.is_touched_by(entry) {
                Some(true) => return Finding::Inconsistent(entry.seq),
                Some(false) => {}
                None => finding = Finding::Undecided,
            }
        }
        finding
    }

    /// `None` for what a newer release says: it may have been about any key, or about none.
    fn is_touched_by(&self, entry: &LogEntry) -> Option<bool> {
        let keys = &self.served.keys;
        match &entry.op {
            EventOp::Changed(changed) => Some(changed.iter().any(|changed| keys.contains(&changed.key))),
            EventOp::Raised(barrier) => Some(keys.contains(&barrier.key())),
            EventOp::Announced(_) => Some(false),
            EventOp::Flushed => Some(true),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
