//! Any order of deliveries, losses, answers and failovers.
//!
//! The first property has one server and checks holes and leases; the second has failovers and checks that what is
//! admitted in one lineage contradicts no server that took writes and was believed. Both end with a calm network, in
//! which everything must come right.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Publish { lost: bool, twice: bool, flush: bool },
    Deliver(usize),
    Ask(Source),
    Answer(usize),
    Obey { fails: bool },
    Log(usize),
    Trim,
    Lag,
    FailOver(usize),
    Pass(u64),
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![Just(Source::Bus), Just(Source::Primary), Just(Source::Any)]
}

fn calm_steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), any::<bool>(), 0_u8..12).prop_map(|(lost, twice, dice)| Step::Publish { lost, twice, flush: dice == 0 }),
        8 => any::<usize>().prop_map(Step::Deliver),
        4 => source().prop_map(Step::Ask),
        5 => any::<usize>().prop_map(Step::Answer),
        4 => any::<bool>().prop_map(|fails| Step::Obey { fails }),
        4 => any::<usize>().prop_map(Step::Log),
        1 => Just(Step::Trim),
        1 => Just(Step::Lag),
        4 => (1_u64..90).prop_map(Step::Pass),
    ]
}

fn rough_steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => calm_steps().prop_map(|step| match step {
            // A trimmed log cannot show a fork.
            Step::Trim => Step::Lag,
            step => step,
        }),
        1 => (0_usize..30).prop_map(Step::FailOver),
    ]
}

/// Everything that is under way between a node and its server.
struct World {
    server: Server,
    node: Node,
    events: Vec<WireEvent>,
    answers: Vec<(Probe, Source, Server)>,
    logs: Vec<(Probe, Replay)>,
    /// Every head that was observed over the paths that renew leases, with its moment of sending.
    heads: Vec<(Lineage, Seq, Moment)>,
    /// The server that takes writes, as its admitted answers showed it, by lineage.
    admitted: BTreeMap<u64, Vec<Server>>,
    /// The server before each step: what a replica may have of it.
    replicas: Vec<Server>,
    failovers: u64,
    lineages: u64,
    /// Numbers that need no applying any more, since everything of that time was dropped.
    dropped: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        let server = Server::new();
        let node = Node::following(&server, Rules::default());
        let heads = vec![(server.lineage, Seq(10), node.now)];
        Self {
            server,
            node,
            events: Vec::new(),
            answers: Vec::new(),
            logs: Vec::new(),
            heads,
            admitted: BTreeMap::new(),
            replicas: Vec::new(),
            failovers: 0,
            lineages: 0,
            dropped: (1..=10).collect(),
        }
    }

    fn step(&mut self, step: Step) {
        let generation = self.node.follower.generation();
        self.replicas.push(self.server.clone());
        match step {
            Step::Publish { lost, twice, flush } => {
                let event = if flush {
                    self.server.publish_op(EventOp::Flushed)
                } else {
                    self.server.publish()
                };
                self.events.extend((!lost).then(|| event.clone()));
                self.events.extend(twice.then_some(event));
            }
            Step::Deliver(index) => {
                if let Some(index) = index.checked_rem(self.events.len()) {
                    let event = self.events.remove(index);
                    self.node.receives(&event);
                }
            }
            Step::Ask(source) => self.answers.push((self.node.ask(), source, self.server.clone())),
            Step::Answer(index) => {
                if let Some(index) = index.checked_rem(self.answers.len()) {
                    let (probe, source, server) = self.answers.remove(index);
                    self.answer(&probe, source, &server);
                }
            }
            Step::Obey { fails } => self.obey(fails),
            Step::Log(index) => {
                if let Some(index) = index.checked_rem(self.logs.len()) {
                    let (probe, log) = self.logs.remove(index);
                    self.node.receives_log(&probe, log);
                }
            }
            Step::Trim => self.server.trimmed = self.server.log.len() - 1,
            Step::Lag => self.node.lagged(),
            Step::FailOver(steps) => self.fail_over(steps),
            Step::Pass(millis) => self.node.passes(millis),
        }
        if self.node.follower.generation() != generation {
            self.dropped.extend(1..=self.server.head().seq.0);
        }
        self.check();
    }

    fn answer(&mut self, probe: &Probe, source: Source, server: &Server) {
        if source != Source::Any {
            self.heads.push((server.lineage, server.head().seq, probe.sent));
        }
        if let Verdict::Admit { .. } = self.node.hears(probe, source, server) {
            let admitted = self.admitted.entry(server.lineage.0).or_default();
            for earlier in &*admitted {
                let both = earlier.log.len().min(server.log.len());
                assert_eq!(
                    earlier.log[..both],
                    server.log[..both],
                    "two histories were admitted in one lineage"
                );
            }
            // A late answer of the old server may still follow one of a copy of the new server.
            if source != Source::Any {
                admitted.push(server.clone());
            }
        }
    }

    fn obey(&mut self, fails: bool) {
        for order in self.node.orders() {
            match order {
                Effect::Replay { .. } if fails => self.node.follower.replay_failed(&self.node.ask()),
                Effect::Adopt { .. } if fails => self.node.follower.adoption_ended(),
                Effect::Replay { from } => self.logs.push((self.node.ask(), self.server.replay(from))),
                Effect::Adopt { from, hint } => {
                    let probe = self.node.ask();
                    // No lineage is ever drawn twice, not even after a repair was lost.
                    self.lineages += 1;
                    self.events
                        .push(self.server.adopt(from, Lineage(self.lineages * 1_000), hint));
                    self.node.follower.adoption_ended();
                    let server = self.server.clone();
                    self.answer(&probe, Source::Bus, &server);
                }
                Effect::Ask => self
                    .answers
                    .push((self.node.ask(), Source::Bus, self.server.clone())),
                Effect::Missed | Effect::Apply { .. } => {}
            }
        }
    }

    /// A replica takes over that is some steps behind: it may have lost events, and a repair as well.
    fn fail_over(&mut self, steps: usize) {
        let newest = self.replicas.len() - 1;
        self.server = self.replicas[newest.saturating_sub(steps)].clone();
        self.failovers += 1;
        self.server.id = ServerId(1 + self.failovers);
    }

    fn check(&self) {
        let follower = &self.node.follower;
        let Some(lineage) = follower.lineage() else {
            assert!(!self.node.may_hit(), "a lease during a repair");
            return;
        };
        let reached = |(of, seq, _): &&(Lineage, Seq, Moment)| *of == lineage && *seq <= follower.cursor();
        let earned = self
            .heads
            .iter()
            .filter(reached)
            .map(|(_, _, sent)| *sent + LEASE)
            .max();
        assert!(
            Some(follower.lease()) <= earned.max(Some(Moment::NEVER)),
            "a lease that no head has earned"
        );
    }

    /// Every event up to the cursor was applied, once, or what it could concern was dropped.
    fn check_holes(&self) {
        let applied: BTreeSet<u64> = self.node.applied.iter().copied().collect();
        assert_eq!(
            applied.len(),
            self.node.applied.len(),
            "an event was applied twice"
        );
        for seq in 1..=self.node.cursor() {
            assert!(
                applied.contains(&seq) || self.dropped.contains(&seq),
                "the cursor passed {seq}"
            );
        }
    }

    /// Nothing is lost or late from now on, and whatever was ordered is done.
    fn calm(&mut self) {
        while !(self.events.is_empty()
            && self.answers.is_empty()
            && self.logs.is_empty()
            && self.node.orders.is_empty())
        {
            for event in std::mem::take(&mut self.events) {
                self.node.receives(&event);
            }
            for (probe, source, server) in std::mem::take(&mut self.answers) {
                self.answer(&probe, source, &server);
            }
            for (probe, log) in std::mem::take(&mut self.logs) {
                self.node.receives_log(&probe, log);
            }
            self.obey(false);
        }
        for _ in 0..4 {
            self.node.passes(100);
            self.node.beat(&self.server);
            self.node.settle_with(&mut self.server);
        }
        assert!(self.node.follower.is_live(), "stuck: {:?}", self.node.follower);
        assert_eq!(self.node.follower.cursor(), self.server.head().seq);
        assert!(self.node.may_hit());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_hole_is_passed_and_no_lease_is_longer_than_a_reached_head_allows(steps in prop::collection::vec(calm_steps(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check_holes();
        }
        let generation = world.node.follower.generation();
        world.calm();
        if world.node.follower.generation() != generation {
            world.dropped.extend(1..=world.server.head().seq.0);
        }
        world.check_holes();
        prop_assert_eq!(world.node.follower.tally().forks, 0);
    }

    #[test]
    fn what_is_admitted_contradicts_no_server_that_was_believed_in_the_same_lineage(steps in prop::collection::vec(rough_steps(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.calm();
    }
}
