//! The suite judged by mutants: one plain store obeys every rule, and each way to get one wrong is found.
//!
//! The plain store is slow and forgets at random; it is no implementation to use.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use cache_core::{
    Begun, CacheKey, Entry, Finished, Flight, LocalLimits, LocalStore, LocalStores, LocalUsage, Moment,
    Replacement, Seq, Ticket,
};

/// A way to break a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    JoinsAfterSupersede,
    JoinsForEver,
    JoinsAnyGeneration,
    NeverJoins,
    ForgetsTheFloor,
    KeepsTheLastFloor,
    FreesTheSlotOfASuperseded,
    RefusesAsNewAsTheFloor,
    ForgetsWhoLeads,
    FillsOverNewer,
    FillsOverANewerVersion,
    ComparesGenerations,
    KeepsOlder,
    KeepsWhatIsKnownToBeCurrent,
    EvictsOnlyOlder,
    NeverReadsAgain,
    ReadsAgainForEver,
    DoubtsWhatIsNewer,
    DropsAsNew,
    KeepsValuesNobodyAskedFor,
    WritesOverNewer,
    NeverEvicts,
    EvictsAll,
    ClearsFills,
    ForgetsReplacedBytes,
}

struct Stores(Fault);

impl LocalStores for Stores {
    fn open(&self, _namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        Arc::new(Plain {
            fault: self.0,
            limits,
            state: Mutex::default(),
        })
    }
}

struct Plain {
    fault: Fault,
    limits: LocalLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    residents: HashMap<CacheKey, Arc<Entry>>,
    slots: HashMap<CacheKey, (Ticket, Flight, Option<Seq>)>,
    doubted: HashMap<CacheKey, Seq>,
    tickets: u64,
    forgotten_bytes: u64,
}

impl State {
    fn usage(&self) -> LocalUsage {
        let weights = self.residents.values().map(|entry| u64::from(entry.weight));
        LocalUsage {
            entries: self.residents.len() as u64,
            bytes: weights.sum::<u64>() + self.forgotten_bytes,
            encoded_bytes: self
                .residents
                .values()
                .map(|entry| u64::from(entry.encoded))
                .sum(),
            in_flight: self.slots.len() as u64,
        }
    }

    fn put(&mut self, fault: Fault, limits: LocalLimits, key: &CacheKey, entry: Arc<Entry>) {
        let old = self.residents.insert(key.clone(), entry);
        if let (Some(old), Fault::ForgetsReplacedBytes) = (old, fault) {
            self.forgotten_bytes += u64::from(old.weight);
        }
        if fault == Fault::NeverEvicts {
            return;
        }
        loop {
            let usage = self.usage();
            if usage.entries <= limits.max_entries && usage.bytes <= limits.max_bytes {
                break;
            }
            if fault == Fault::EvictsAll {
                self.residents.clear();
            }
            let Some(victim) = self.residents.keys().find(|other| *other != key).cloned() else {
                break;
            };
            self.residents.remove(&victim);
        }
    }
}

impl LocalStore for Plain {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.state.lock().unwrap().residents.get(key).cloned()
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        let mut state = self.state.lock().unwrap();
        if let Some((_, running, superseded)) = state.slots.get(key) {
            let young = now < running.join_until || self.fault == Fault::JoinsForEver;
            let ours = flight.generation == running.generation || self.fault == Fault::JoinsAnyGeneration;
            let current = superseded.is_none() || self.fault == Fault::JoinsAfterSupersede;
            if young && ours && current && self.fault != Fault::NeverJoins {
                return Begun::Join(Arc::clone(&running.rendezvous));
            }
        }
        state.tickets += 1;
        let ticket = Ticket(state.tickets);
        state.slots.insert(key.clone(), (ticket, flight, None));
        state.doubted.remove(key);
        Begun::Lead(ticket)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        let mut state = self.state.lock().unwrap();
        let Some((leader, _, floor)) = state.slots.get(key).cloned() else {
            return Finished::NotYours;
        };
        if leader != ticket && self.fault != Fault::ForgetsWhoLeads {
            return Finished::NotYours;
        }
        if let (Some(entry), Some(floor)) = (&entry, floor) {
            let version = entry.version.seq;
            let too_old =
                version < floor || (version == floor && self.fault == Fault::RefusesAsNewAsTheFloor);
            if too_old && self.fault != Fault::ForgetsTheFloor {
                if self.fault == Fault::FreesTheSlotOfASuperseded {
                    state.slots.remove(key);
                }
                return Finished::Superseded { floor };
            }
        }
        if let (Some(entry), Some(doubted)) = (&entry, state.doubted.get(key).copied()) {
            if self.fault != Fault::ReadsAgainForEver {
                state.doubted.remove(key);
            }
            let newer = entry.version.seq > doubted && self.fault != Fault::DoubtsWhatIsNewer;
            if !newer && self.fault != Fault::NeverReadsAgain {
                return Finished::Superseded {
                    floor: doubted.next(),
                };
            }
        }
        state.slots.remove(key);
        if let Some(entry) = entry {
            let newer = state.residents.get(key).is_some_and(|resident| {
                let comparable =
                    resident.generation == entry.generation || self.fault == Fault::ComparesGenerations;
                comparable
                    && match self.fault {
                        Fault::FillsOverANewerVersion => resident.as_of > entry.as_of,
                        _ => (resident.version.seq, resident.as_of) > (entry.version.seq, entry.as_of),
                    }
            });
            if !newer || self.fault == Fault::FillsOverNewer {
                state.put(self.fault, self.limits, key, entry);
            }
        }
        Finished::Installed
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let evicts = matches!(replacement, Replacement::Evict);
        if let Some((_, _, floor)) = state.slots.get_mut(key) {
            *floor = match self.fault {
                _ if evicts => (*floor).max(Some(Seq::ZERO)),
                Fault::KeepsTheLastFloor => Some(seq),
                _ => (*floor).max(Some(seq)),
            };
            if evicts {
                state.doubted.insert(key.clone(), seq);
            }
        }
        let resident = state.residents.get(key).cloned();
        let older = resident.as_ref().is_some_and(|resident| match self.fault {
            Fault::KeepsOlder => false,
            Fault::KeepsWhatIsKnownToBeCurrent => resident.as_of < seq,
            Fault::DropsAsNew => resident.version.seq <= seq,
            _ if evicts && self.fault != Fault::EvictsOnlyOlder => resident.version.seq <= seq,
            _ => resident.version.seq < seq,
        });
        let install = match &replacement {
            Replacement::None | Replacement::Evict => false,
            Replacement::IfResident(_) => {
                older || (resident.is_none() && self.fault == Fault::KeepsValuesNobodyAskedFor)
            }
            Replacement::Always(_) => older || resident.is_none() || self.fault == Fault::WritesOverNewer,
        };
        match replacement {
            Replacement::IfResident(entry) | Replacement::Always(entry) if install => {
                state.put(self.fault, self.limits, key, entry);
            }
            Replacement::None | Replacement::Evict if older => {
                state.residents.remove(key);
            }
            _ => {}
        }
        older
    }

    fn clear(&self) {
        let mut state = self.state.lock().unwrap();
        state.residents.clear();
        if self.fault == Fault::ClearsFills {
            state.slots.clear();
        }
    }

    fn usage(&self) -> LocalUsage {
        self.state.lock().unwrap().usage()
    }
}

#[test]
fn a_plain_store_obeys_every_rule() {
    super::all(|| Arc::new(Stores(Fault::None)));
}

#[test]
fn every_mutant_is_found_and_the_broken_rule_is_named() {
    let mutants = [
        (
            Fault::JoinsAfterSupersede,
            "nobody_joins_a_fill_that_was_superseded",
        ),
        (
            Fault::JoinsForEver,
            "nobody_joins_from_the_moment_until_which_a_fill_may_be_joined",
        ),
        (
            Fault::JoinsAnyGeneration,
            "nobody_joins_a_fill_of_another_generation",
        ),
        (Fault::NeverJoins, "of_many_threads_that_begin_at_once_one_leads"),
        (
            Fault::ForgetsTheFloor,
            "a_fill_older_than_an_event_keeps_its_slot_until_it_is_new_enough",
        ),
        (
            Fault::KeepsTheLastFloor,
            "the_highest_of_many_events_is_the_floor",
        ),
        (
            Fault::FreesTheSlotOfASuperseded,
            "a_fill_older_than_an_event_keeps_its_slot_until_it_is_new_enough",
        ),
        (
            Fault::RefusesAsNewAsTheFloor,
            "a_fill_as_new_as_an_event_is_installed",
        ),
        (
            Fault::ForgetsWhoLeads,
            "a_fill_that_was_taken_over_finds_that_it_is_not_its_own",
        ),
        (
            Fault::FillsOverNewer,
            "a_fill_never_replaces_a_newer_entry_of_its_generation",
        ),
        (
            Fault::FillsOverANewerVersion,
            "a_fill_never_replaces_an_entry_of_a_newer_version",
        ),
        (
            Fault::KeepsWhatIsKnownToBeCurrent,
            "an_older_version_goes_however_late_it_was_known_to_be_current",
        ),
        (
            Fault::EvictsOnlyOlder,
            "a_read_past_memory_evicts_what_is_as_new_as_itself_and_nothing_newer",
        ),
        (
            Fault::NeverReadsAgain,
            "a_fill_under_way_reads_again_once_after_a_reader_that_passed_memory_by",
        ),
        (
            Fault::ReadsAgainForEver,
            "a_fill_under_way_reads_again_once_after_a_reader_that_passed_memory_by",
        ),
        (
            Fault::DoubtsWhatIsNewer,
            "a_fill_that_brings_something_newer_than_a_reader_was_shown_is_installed_at_once",
        ),
        (
            Fault::ComparesGenerations,
            "a_fill_replaces_an_entry_of_another_generation",
        ),
        (Fault::KeepsOlder, "an_event_drops_an_older_entry"),
        (Fault::DropsAsNew, "an_event_keeps_an_entry_as_new_as_itself"),
        (
            Fault::KeepsValuesNobodyAskedFor,
            "a_value_in_an_event_is_not_kept_where_nothing_is_resident",
        ),
        (
            Fault::WritesOverNewer,
            "an_own_write_never_replaces_a_newer_entry",
        ),
        (
            Fault::NeverEvicts,
            "the_limit_of_entries_holds_under_ten_times_the_load",
        ),
        (
            Fault::EvictsAll,
            "the_limit_of_bytes_holds_under_ten_times_the_load",
        ),
        (
            Fault::ClearsFills,
            "clearing_frees_everything_and_leaves_running_fills",
        ),
        (
            Fault::ForgetsReplacedBytes,
            "usage_follows_an_entry_that_is_replaced",
        ),
    ];
    for (fault, rule) in mutants {
        let judged = catch_unwind(AssertUnwindSafe(|| super::all(|| Arc::new(Stores(fault)))));
        let Err(panic) = judged else {
            panic!("{fault:?} passes");
        };
        let told = panic
            .downcast_ref::<String>()
            .expect("the suite tells what is broken");
        assert!(told.contains(&format!("  {rule}: ")), "{fault:?}: {told}");
    }
}
