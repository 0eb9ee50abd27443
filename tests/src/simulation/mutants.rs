//! Each rule taken out once: the simulation must notice.
//!
//! Rules that are enforced in more than one place, or whose absence no reader can tell, have their tests where they are.

use std::sync::Arc;

use edge_cache::{Rule, Rules};

use super::scenario::{Profile, Scenario};
use super::wraps::{WithoutFillLease, WithoutInFlightFloor, WithoutJoinLimit};

/// A rule, and how to take it out.
pub struct Mutant {
    /// The rule that is missing.
    pub name: &'static str,
    /// What the fleet lives through, so that it is missed.
    pub profile: Profile,
    apply: fn(&mut Scenario),
}

impl Mutant {
    /// The scenario without the rule.
    pub fn scenario(&self) -> Scenario {
        let mut scenario = Scenario::of(self.profile);
        (self.apply)(&mut scenario);
        scenario
    }
}

const fn without(name: &'static str, profile: Profile, apply: fn(&mut Scenario)) -> Mutant {
    Mutant { name, profile, apply }
}

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    without("in-flight floor", Profile::Network, |scenario| {
        scenario.options.local = Some(Arc::new(|inner| Arc::new(WithoutInFlightFloor(inner))));
    }),
    without("fill lease", Profile::Network, |scenario| {
        scenario.options.shared = Some(Arc::new(|inner| Arc::new(WithoutFillLease(inner))));
    }),
    without("seen check", Profile::Network, |scenario| {
        scenario.options.rules = Rules::without(Rule::SeenCheck);
    }),
    without("lease check", Profile::Network, |scenario| {
        scenario.options.rules = Rules::without(Rule::LeaseCheck);
    }),
    without("gap repair", Profile::Network, |scenario| {
        // A hole is forgotten by a later event of its shard: there must be one, of another key.
        scenario.keys = 96;
        scenario.options.rules = Rules::without(Rule::GapRepair);
    }),
    without("cursor reaches head", Profile::Network, |scenario| {
        scenario.options.rules = Rules::without(Rule::CursorReachesHead);
    }),
    without("lease for any copy", Profile::Network, |scenario| {
        scenario.options.rules = Rules::without(Rule::LeaseForAnyCopy);
    }),
    without("lease from send time", Profile::Network, |scenario| {
        scenario.options.rules = Rules::without(Rule::LeaseFromSendTime);
    }),
    without("young fetches only", Profile::Network, |scenario| {
        scenario.options.local = Some(Arc::new(|inner| Arc::new(WithoutJoinLimit(inner))));
    }),
    without("identity and chain", Profile::Failovers, |scenario| {
        scenario.options.rules = Rules::without(Rule::IdentityAndChain);
    }),
];
