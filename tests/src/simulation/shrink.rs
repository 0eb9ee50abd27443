//! A failing scenario made smaller, as long as it goes on failing under the same seed.
//!
//! Greedy: whatever can be left out is left out, until nothing can.

use cache_core::Permille;
use cache_memory::Faults;

use super::run::{Trace, simulate};
use super::scenario::Scenario;

/// The smallest scenario that still breaks a promise under this seed.
pub fn shrink(mut scenario: Scenario, seed: u64) -> Scenario {
    loop {
        let smaller = candidates(&scenario)
            .into_iter()
            .find(|candidate| !simulate(candidate, seed, Trace::Off).breaches.is_empty());
        match smaller {
            Some(smaller) => scenario = smaller,
            None => return scenario,
        }
    }
}

/// The same with one thing less, the most telling first.
fn candidates(scenario: &Scenario) -> Vec<Scenario> {
    let mut smaller = Vec::new();
    let mut push = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = scenario.clone();
        change(&mut candidate);
        smaller.push(candidate);
    };
    for index in 0..scenario.troubles.len() {
        push(&|candidate| {
            candidate.troubles.remove(index);
        });
    }
    for fault in FAULTS {
        if fault.read(&scenario.faults) != Permille(0) {
            push(&|candidate| *fault.write(&mut candidate.faults) = Permille(0));
        }
    }
    if scenario.options.nodes > 1 {
        push(&|candidate| candidate.options.nodes -= 1);
    }
    if scenario.keys > 1 {
        push(&|candidate| candidate.keys /= 2);
    }
    if scenario.span.as_millis() > 500 {
        push(&|candidate| candidate.span = candidate.span * 3 / 4);
    }
    smaller
}

/// The faults that can be left out one by one.
#[derive(Clone, Copy)]
enum Fault {
    EventLoss,
    Duplicate,
    Reorder,
    Tail,
    LostRequest,
    LostReply,
    LateReply,
    LaggingRead,
}

const FAULTS: [Fault; 8] = [
    Fault::EventLoss,
    Fault::Duplicate,
    Fault::Reorder,
    Fault::Tail,
    Fault::LostRequest,
    Fault::LostReply,
    Fault::LateReply,
    Fault::LaggingRead,
];

impl Fault {
    fn read(self, faults: &Faults) -> Permille {
        *self.write(&mut faults.clone())
    }

    fn write(self, faults: &mut Faults) -> &mut Permille {
        match self {
            Self::EventLoss => &mut faults.event_loss,
            Self::Duplicate => &mut faults.duplicate,
            Self::Reorder => &mut faults.reorder,
            Self::Tail => &mut faults.tail,
            Self::LostRequest => &mut faults.lost_request,
            Self::LostReply => &mut faults.lost_reply,
            Self::LateReply => &mut faults.late_reply,
            Self::LaggingRead => &mut faults.lagging_read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::MUTANTS;

    #[test]
    fn what_remains_of_a_failing_scenario_still_fails_and_has_less_in_it() {
        let mutant = &MUTANTS[0];
        let seed = (1..100)
            .find(|seed| {
                !simulate(&mutant.scenario(), *seed, Trace::Off)
                    .breaches
                    .is_empty()
            })
            .expect("the mutant is noticed");
        let small = shrink(mutant.scenario(), seed);
        assert!(!simulate(&small, seed, Trace::Off).breaches.is_empty());
        assert!(small.troubles.len() < mutant.scenario().troubles.len());
    }
}
