//! Each rule taken out once: the simulation must notice.
//!
//! Where two rules keep the same promise, neither is missed while the other holds. Such a mutant lacks both, and counts as
//! noticed only if many more seeds break than without the other rule alone: to compare seed by seed would prove nothing, since
//! without a rule the whole life of a fleet is another one, and breaks by luck.

use std::sync::Arc;
use std::time::Duration;

use cache_core::Permille;
use cache_memory::Faults;
use edge_cache::Rule;

use super::run::{Trace, simulate};
use super::scenario::{Profile, Scenario, Trouble};
use super::truth::{Breach, Verdict};
use super::wraps::{MemoryRule, MemoryWithout, StoreRule, StoreWithout};

/// A rule, and how to take it out.
pub struct Mutant {
    /// The rule that is missing.
    pub name: &'static str,
    /// What the fleet lives through, so that it is missed.
    pub profile: Profile,
    /// Takes it out.
    apply: fn(&mut Scenario),
    /// What takes out the other rule that keeps the same promise.
    beside: Option<fn(&mut Scenario)>,
    /// Whether needless repairs tell that it is missing, instead of what is read.
    is_needless_repair: bool,
}

/// What one seed says of a mutant.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What breaks, if that is what the rule keeps.
    broken: Option<Verdict>,
    /// Whether as much breaks with the rule, because of the other one that is missing.
    anyway: bool,
}

/// What the seeds that were tried say of a mutant.
#[derive(Clone, Debug, Default)]
pub struct Noticed {
    /// The first seed that breaks, and what.
    pub first: Option<(u64, Verdict)>,
    /// Seeds that were tried.
    pub tried: u64,
    /// Of these, those that break without the rule.
    pub broken: u64,
    /// And those that break with it, where another rule is missing as well.
    pub anyway: u64,
}

impl Noticed {
    /// Adds what a seed says.
    pub fn add(&mut self, seed: u64, trial: Trial) {
        self.tried += 1;
        self.anyway += u64::from(trial.anyway);
        if let Some(verdict) = trial.broken {
            self.broken += 1;
            if self.first.as_ref().is_none_or(|(first, _)| seed < *first) {
                self.first = Some((seed, verdict));
            }
        }
    }

    /// Whether the rule is missed: something breaks, and not by luck.
    pub const fn is_missed(&self) -> bool {
        self.broken > 10 * self.anyway
    }
}

impl Mutant {
    /// The scenario without the rule, and without the one that stands in for it.
    pub fn scenario(&self) -> Scenario {
        let mut scenario = self.control().unwrap_or_else(|| Scenario::of(self.profile));
        (self.apply)(&mut scenario);
        scenario
    }

    /// The scenario with the rule, where another one is missing.
    fn control(&self) -> Option<Scenario> {
        self.beside.map(|beside| {
            let mut scenario = Scenario::of(self.profile);
            beside(&mut scenario);
            scenario
        })
    }

    /// Whether no other rule keeps the same promise: then the first seed that breaks is proof enough.
    pub const fn stands_alone(&self) -> bool {
        self.beside.is_none()
    }

    /// Tries one seed.
    pub fn under(&self, seed: u64) -> Trial {
        let broken = |scenario: &Scenario| {
            let verdict = simulate(scenario, seed, Trace::Off);
            let told = |breach: &Breach| (*breach == Breach::NeedlessRepair) == self.is_needless_repair;
            verdict.breaches.keys().any(told).then_some(verdict)
        };
        Trial {
            broken: broken(&self.scenario()),
            anyway: self.control().is_some_and(|control| broken(&control).is_some()),
        }
    }

    /// The same rule, whose absence needless repairs tell, not what anybody reads.
    const fn against_needless_repairs(self) -> Self {
        Self {
            is_needless_repair: true,
            ..self
        }
    }

    /// The same rule, missed while that other one is missing as well.
    const fn beside(self, other: fn(&mut Scenario)) -> Self {
        Self {
            beside: Some(other),
            ..self
        }
    }
}

const fn without(name: &'static str, profile: Profile, apply: fn(&mut Scenario)) -> Mutant {
    Mutant {
        name,
        profile,
        apply,
        beside: None,
        is_needless_repair: false,
    }
}

fn lacks(scenario: &mut Scenario, rule: Rule) {
    scenario.options.rules = scenario.options.rules.and_without(rule);
}

fn memory_lacks(scenario: &mut Scenario, rule: MemoryRule) {
    scenario.options.local = Some(Arc::new(move |inner| Arc::new(MemoryWithout(rule, inner))));
}

fn store_lacks(scenario: &mut Scenario, rule: StoreRule) {
    scenario.options.shared = Some(Arc::new(move |inner| Arc::new(StoreWithout(rule, inner))));
}

/// No event is lost or overtaken: only a queue that is full loses some.
fn crowded(scenario: &mut Scenario) {
    scenario.troubles = vec![Trouble::Stop];
    scenario.faults.event_loss = Permille(0);
    scenario.faults.reorder = Permille(0);
    scenario.options.event_queue = 1;
    scenario.keys = 96;
}

/// Processes stop while their questions are under way, and hardly hear of what changed meanwhile. Nothing else is wrong.
fn stopped(scenario: &mut Scenario) {
    scenario.troubles = vec![Trouble::Stop];
    scenario.faults = Faults {
        event_loss: Permille(900),
        request_delay: Duration::ZERO..=Duration::from_millis(60),
        timeout: Duration::from_millis(190),
        ..Faults::NONE
    };
    scenario.keys = 4;
}

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    without("in-flight floor", Profile::Network, |scenario| {
        memory_lacks(scenario, MemoryRule::InFlightFloor);
    }),
    without("fill lease", Profile::Network, |scenario| {
        store_lacks(scenario, StoreRule::FillLease);
    }),
    without("seen check", Profile::Network, |scenario| {
        lacks(scenario, Rule::SeenCheck);
    }),
    without("early events are seen", Profile::Network, |scenario| {
        // An early event is alone only until its hole is filled: one must often come, and be followed by a read.
        scenario.keys = 2;
        scenario.faults.event_loss = Permille(250);
        lacks(scenario, Rule::EarlyEventsAreSeen);
    }),
    without("answers are seen", Profile::Network, |scenario| {
        lacks(scenario, Rule::AnswersAreSeen);
    }),
    without("lease check", Profile::Network, |scenario| {
        lacks(scenario, Rule::LeaseCheck);
    }),
    without("gap repair", Profile::Network, |scenario| {
        // A hole is forgotten by a later event of its shard: there must be one, of another key.
        scenario.keys = 96;
        lacks(scenario, Rule::GapRepair);
    }),
    without("cursor reaches head", Profile::Network, |scenario| {
        lacks(scenario, Rule::CursorReachesHead);
    }),
    without("lease for any copy", Profile::Network, |scenario| {
        lacks(scenario, Rule::LeaseForAnyCopy);
    }),
    without("lease from send time", Profile::Network, |scenario| {
        lacks(scenario, Rule::LeaseFromSendTime);
    }),
    without("load deadline", Profile::Stored, |scenario| {
        stopped(scenario);
        memory_lacks(scenario, MemoryRule::JoinLimit);
        lacks(scenario, Rule::LoadDeadline);
    })
    .beside(|scenario| {
        stopped(scenario);
        memory_lacks(scenario, MemoryRule::JoinLimit);
    }),
    without("young fetches only", Profile::Network, |scenario| {
        stopped(scenario);
        memory_lacks(scenario, MemoryRule::JoinLimit);
    }),
    without("identity and chain", Profile::Failovers, |scenario| {
        lacks(scenario, Rule::IdentityAndChain);
    }),
    without("era check", Profile::Failovers, |scenario| {
        lacks(scenario, Rule::GenerationCheck);
    })
    .against_needless_repairs(),
    without(
        "one identity for all connections",
        Profile::Failovers,
        |scenario| {
            scenario.options.identities_apart = true;
        },
    ),
    without("stamp from the start", Profile::Network, |scenario| {
        store_lacks(scenario, StoreRule::StampFromTheStart);
    }),
    without("lost barriers are missed", Profile::Evictions, |scenario| {
        scenario
            .troubles
            .retain(|trouble| *trouble != Trouble::EvictBarriers);
        scenario.troubles.push(Trouble::ForgetBarriers);
    }),
    without("barriers only rise", Profile::Network, |scenario| {
        lacks(scenario, Rule::BarriersOnlyRise);
    }),
    without("owed keys are bypassed", Profile::Overload, |scenario| {
        lacks(scenario, Rule::OwedKeysAreBypassed);
    }),
    without("unsaved loads are owed", Profile::Overload, |scenario| {
        lacks(scenario, Rule::UnsavedLoadsAreOwed);
    }),
    without("unknown events flush", Profile::Restarts, |scenario| {
        lacks(scenario, Rule::UnknownFlushes);
    }),
    without("overflow flushes", Profile::Overload, |scenario| {
        crowded(scenario);
        lacks(scenario, Rule::OverflowFlushes);
    })
    .beside(|scenario| {
        crowded(scenario);
        lacks(scenario, Rule::GapRepair);
    }),
    without("stale since proof", Profile::Stale, |scenario| {
        lacks(scenario, Rule::StaleSinceProof);
    }),
    without("memory yields", Profile::Refreshes, |scenario| {
        lacks(scenario, Rule::MemoryYields);
    }),
    without("conflicts are news", Profile::Counters, |scenario| {
        lacks(scenario, Rule::ConflictsAreNews);
    }),
];
