//! Each rule taken out once: the simulation must notice.
//!
//! Where two rules keep the same promise, neither is missed while the other holds. Such a mutant lacks both, and counts as
//! noticed by a seed only if nothing breaks under that seed while the rule in question is the only one left of the two.
//! That means something only where almost nothing breaks without the other rule alone: taking a rule out changes the whole
//! life of a fleet, and where both break a few seeds, some break by luck. Rules whose absence no reader can tell, the load
//! deadline and the check of the era among them, have their tests where they are.

use std::sync::Arc;

use cache_core::Permille;
use edge_cache::Rule;

use super::run::{Trace, simulate};
use super::scenario::{Profile, Scenario, Trouble};
use super::truth::Verdict;
use super::wraps::{MemoryRule, MemoryWithout, StoreRule, StoreWithout};

/// A rule, and how to take it out.
pub struct Mutant {
    /// The rule that is missing.
    pub name: &'static str,
    /// What the fleet lives through, so that it is missed.
    pub profile: Profile,
    apply: fn(&mut Scenario),
    /// What takes out the other rule that keeps the same promise.
    beside: Option<fn(&mut Scenario)>,
}

impl Mutant {
    /// The scenario without the rule, and without the one that stands in for it.
    pub fn scenario(&self) -> Scenario {
        let mut scenario = Scenario::of(self.profile);
        if let Some(beside) = self.beside {
            beside(&mut scenario);
        }
        (self.apply)(&mut scenario);
        scenario
    }

    /// What breaks under this seed because the rule is missing.
    pub fn noticed_by(&self, seed: u64) -> Option<Verdict> {
        let broken = |scenario: &Scenario| {
            let verdict = simulate(scenario, seed, Trace::Off);
            (!verdict.breaches.is_empty()).then_some(verdict)
        };
        let verdict = broken(&self.scenario())?;
        let saved_by_it = self.beside.is_none_or(|beside| {
            let mut scenario = Scenario::of(self.profile);
            beside(&mut scenario);
            broken(&scenario).is_none()
        });
        saved_by_it.then_some(verdict)
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
    without("young fetches only", Profile::Network, |scenario| {
        memory_lacks(scenario, MemoryRule::JoinLimit);
    }),
    without("identity and chain", Profile::Failovers, |scenario| {
        lacks(scenario, Rule::IdentityAndChain);
    }),
    without("stamp from the start", Profile::Network, |scenario| {
        store_lacks(scenario, StoreRule::StampFromTheStart);
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
];
