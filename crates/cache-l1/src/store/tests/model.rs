//! Random sequences of calls against a model that holds the same rules in two plain maps.
//!
//! Nothing is evicted here: the memory is larger than any sequence can fill.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

#[derive(Clone, Debug)]
enum Call {
    Begin {
        id: u64,
        now: u64,
        generation: u64,
        join_until: u64,
    },
    Finish {
        id: u64,
        ticket: usize,
        brings: Option<(u64, u64)>,
    },
    Supersede {
        id: u64,
        seq: u64,
        replacement: Option<(bool, u64)>,
    },
    Evict {
        id: u64,
        seq: u64,
    },
    Clear,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let id = 0..3_u64;
    let call = prop_oneof![
        6 => (id.clone(), 0..20_u64, 0..2_u64, 0..20_u64)
            .prop_map(|(id, now, generation, join_until)| Call::Begin { id, now, generation, join_until }),
        6 => (id.clone(), 0..4_usize, proptest::option::weighted(0.8, (0..2_u64, 0..12_u64)))
            .prop_map(|(id, ticket, brings)| Call::Finish { id, ticket, brings }),
        2 => (id.clone(), 0..12_u64).prop_map(|(id, seq)| Call::Evict { id, seq }),
        4 => (id, 0..12_u64, proptest::option::of((any::<bool>(), 0..2_u64)))
            .prop_map(|(id, seq, replacement)| Call::Supersede { id, seq, replacement }),
        1 => Just(Call::Clear),
    ];
    proptest::collection::vec(call, 1..60)
}

#[derive(Default)]
struct Model {
    residents: HashMap<u64, Arc<Entry>>,
    fills: HashMap<u64, Fill>,
}

struct Fill {
    ticket: Ticket,
    flight: Flight,
    closed: bool,
    floor: Seq,
    doubted: Option<Seq>,
}

impl Model {
    fn may_join(&self, id: u64, now: Moment, generation: u64) -> bool {
        self.fills.get(&id).is_some_and(|fill| {
            !fill.closed && fill.flight.generation == generation && now < fill.flight.join_until
        })
    }

    fn finish(&mut self, id: u64, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        let Some(fill) = self.fills.get_mut(&id).filter(|fill| fill.ticket == ticket) else {
            return Finished::NotYours;
        };
        if let Some(entry) = entry {
            let doubted = fill.doubted.take().map_or(Seq::ZERO, Seq::next);
            let floor = fill.floor.max(doubted);
            if entry.version.seq < floor {
                return Finished::Superseded { floor };
            }
            let stays = self.residents.get(&id);
            if !stays
                .is_some_and(|old| old.generation == entry.generation && old.version.seq > entry.version.seq)
            {
                self.residents.insert(id, entry);
            }
        }
        self.fills.remove(&id);
        Finished::Installed
    }

    fn evict(&mut self, id: u64, seq: Seq) -> bool {
        if let Some(fill) = self.fills.get_mut(&id) {
            fill.closed = true;
            fill.doubted = fill.doubted.max(Some(seq));
        }
        let goes = self.residents.get(&id).is_some_and(|old| old.version.seq <= seq);
        if goes {
            self.residents.remove(&id);
        }
        goes
    }

    fn supersede(&mut self, id: u64, seq: Seq, replacement: Replacement) -> bool {
        if let Some(fill) = self.fills.get_mut(&id) {
            fill.closed = true;
            fill.floor = fill.floor.max(seq);
        }
        let old = self.residents.get(&id).cloned();
        let older = old.as_ref().is_some_and(|old| old.version.seq < seq);
        let (entry, anyway) = match replacement {
            Replacement::None => {
                if older {
                    self.residents.remove(&id);
                }
                return older;
            }
            Replacement::Evict => unreachable!("has a function of its own"),
            Replacement::IfResident(entry) => (entry, false),
            Replacement::Always(entry) => (entry, true),
        };
        let replaces = older || old.as_ref().is_some_and(|old| old.generation != entry.generation);
        if replaces || (old.is_none() && anyway) {
            self.residents.insert(id, entry);
        }
        replaces
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_calls_answers_and_leaves_what_the_model_does(calls in calls()) {
        let store = store();
        let mut model = Model::default();
        let mut tickets = vec![Ticket(u64::MAX)];
        for call in calls {
            match call {
                Call::Begin { id, now, generation, join_until } => {
                    let flight = flight(generation, join_until);
                    match store.begin(&key(id), at(now), flight.clone()) {
                        Begun::Join(rendezvous) => {
                            prop_assert!(model.may_join(id, at(now), generation));
                            prop_assert!(Arc::ptr_eq(&rendezvous, &model.fills[&id].flight.rendezvous));
                        }
                        Begun::Lead(ticket) => {
                            prop_assert!(!model.may_join(id, at(now), generation));
                            prop_assert!(!tickets.contains(&ticket));
                            tickets.push(ticket);
                            model.fills.insert(id, Fill { ticket, flight, closed: false, floor: Seq::ZERO, doubted: None });
                        }
                    }
                }
                Call::Finish { id, ticket, brings } => {
                    // Recent tickets, so that many are current.
                    let ticket = tickets[tickets.len().saturating_sub(ticket + 1)];
                    let entry = brings.map(|(generation, as_of)| entry(generation, as_of, 10));
                    let expected = model.finish(id, ticket, entry.clone());
                    prop_assert_eq!(store.finish(&key(id), ticket, entry), expected);
                }
                Call::Supersede { id, seq, replacement } => {
                    let replacement = match replacement {
                        None => Replacement::None,
                        Some((false, generation)) => Replacement::IfResident(entry(generation, seq, 10)),
                        Some((true, generation)) => Replacement::Always(entry(generation, seq, 10)),
                    };
                    let expected = model.supersede(id, Seq(seq), replacement.clone());
                    prop_assert_eq!(store.supersede(&key(id), Seq(seq), replacement), expected);
                }
                Call::Evict { id, seq } => {
                    let expected = model.evict(id, Seq(seq));
                    prop_assert_eq!(store.supersede(&key(id), Seq(seq), Replacement::Evict), expected);
                }
                Call::Clear => {
                    store.clear();
                    model.residents.clear();
                }
            }
            let usage = store.usage();
            prop_assert_eq!(usage.entries, model.residents.len() as u64);
            prop_assert_eq!(usage.bytes, 10 * model.residents.len() as u64);
            prop_assert_eq!(usage.in_flight, model.fills.len() as u64);
            for id in 0..3 {
                let (resident, expected) = (store.read(&key(id)), model.residents.get(&id));
                prop_assert_eq!(resident.as_ref().map(Arc::as_ptr), expected.map(Arc::as_ptr));
            }
        }
    }
}
