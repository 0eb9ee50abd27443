//! What a store promises about one key, rule by rule; bounds, model and threads have files of their own.
//!
//! Nothing here looks inside: every test goes through the port.

mod bounds;
mod linearizable;
mod model;
mod stress;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use cache_core::{
    BarrierStamp, Begun, CacheKey, Entry, Finished, Flight, LocalLimits, LocalStore, LocalStores, Moment,
    Replacement, Seq, Ticket, Version,
};

use super::MemoryStores;

/// More than any test fills.
const AMPLE: LocalLimits = LocalLimits {
    max_bytes: 1 << 30,
    max_entries: 100_000,
};

fn store() -> Arc<dyn LocalStore> {
    MemoryStores.open("test", AMPLE)
}

fn key(id: u64) -> CacheKey {
    CacheKey::from_wire(format!("test:id={id}"))
}

fn entry(generation: u64, as_of: u64, weight: u32) -> Arc<Entry> {
    Arc::new(Entry {
        value: None,
        version: Version {
            seq: Seq(as_of),
            ..Version::default()
        },
        as_of: Seq(as_of),
        generation,
        born: Moment::NEVER,
        fresh_until: Moment::FOREVER,
        usable_until: Moment::FOREVER,
        refresh_from: Moment::FOREVER,
        tags: Arc::new([]),
        stamp: BarrierStamp::default(),
        checked_epoch: AtomicU64::new(0),
        refreshing: AtomicBool::new(false),
        weight,
        encoded: weight / 2,
    })
}

fn flight(generation: u64, join_until: u64) -> Flight {
    Flight {
        generation,
        join_until: Moment::from_nanos(join_until),
        rendezvous: Arc::new(()),
    }
}

fn at(nanos: u64) -> Moment {
    Moment::from_nanos(nanos)
}

fn lead(begun: Begun) -> Ticket {
    match begun {
        Begun::Lead(ticket) => ticket,
        Begun::Join(_) => panic!("joined a fill where one should have been led"),
    }
}

fn joined(begun: Begun) -> Arc<dyn Any + Send + Sync> {
    match begun {
        Begun::Join(rendezvous) => rendezvous,
        Begun::Lead(_) => panic!("leads a fill where one should have been joined"),
    }
}

/// A store in which `entry` is resident under `key(1)`.
fn holding(entry: &Arc<Entry>) -> Arc<dyn LocalStore> {
    let store = store();
    let ticket = lead(store.begin(&key(1), at(0), flight(entry.generation, 10)));
    assert_eq!(
        store.finish(&key(1), ticket, Some(Arc::clone(entry))),
        Finished::Installed
    );
    store
}

fn assert_resident(store: &dyn LocalStore, entry: &Arc<Entry>) {
    let resident = store.read(&key(1)).expect("an entry is resident");
    assert!(
        Arc::ptr_eq(&resident, entry),
        "{resident:?} is resident in place of {entry:?}"
    );
}

#[test]
fn a_finished_fill_is_read_back_and_its_slot_is_free() {
    let filled = entry(1, 5, 100);
    let store = holding(&filled);
    assert_resident(&*store, &filled);
    let usage = store.usage();
    assert_eq!((usage.entries, usage.bytes, usage.in_flight), (1, 100, 0));
}

#[test]
fn a_reader_joins_a_running_fill_and_gets_its_rendezvous() {
    let store = store();
    let first = flight(1, 10);
    lead(store.begin(&key(1), at(0), first.clone()));
    let rendezvous = joined(store.begin(&key(1), at(9), flight(1, 20)));
    assert!(Arc::ptr_eq(&rendezvous, &first.rendezvous));
    assert_eq!(store.usage().in_flight, 1);
}

#[test]
fn a_reader_at_the_moment_until_which_a_fill_may_be_joined_takes_it_over() {
    let store = store();
    let old = lead(store.begin(&key(1), at(0), flight(1, 10)));
    let new = lead(store.begin(&key(1), at(10), flight(1, 20)));
    assert_ne!(old, new);
    assert_eq!(
        store.finish(&key(1), old, Some(entry(1, 5, 1))),
        Finished::NotYours
    );
    assert!(store.read(&key(1)).is_none());
    assert_eq!(
        store.finish(&key(1), new, Some(entry(1, 5, 1))),
        Finished::Installed
    );
}

#[test]
fn a_reader_of_another_generation_takes_a_fill_over() {
    let store = store();
    let old = lead(store.begin(&key(1), at(0), flight(1, 10)));
    lead(store.begin(&key(1), at(0), flight(2, 10)));
    assert_eq!(store.finish(&key(1), old, None), Finished::NotYours);
    assert_eq!(store.usage().in_flight, 1);
}

#[test]
fn a_superseded_fill_is_closed_to_new_readers() {
    let store = store();
    lead(store.begin(&key(1), at(0), flight(1, 10)));
    store.supersede(&key(1), Seq(5), Replacement::None);
    lead(store.begin(&key(1), at(0), flight(1, 10)));
}

#[test]
fn a_fill_that_took_over_may_be_joined_and_starts_without_a_floor() {
    let store = store();
    lead(store.begin(&key(1), at(0), flight(1, 10)));
    store.supersede(&key(1), Seq(5), Replacement::None);
    let ticket = lead(store.begin(&key(1), at(0), flight(2, 10)));
    joined(store.begin(&key(1), at(0), flight(2, 10)));
    // A new generation may count anew.
    assert_eq!(
        store.finish(&key(1), ticket, Some(entry(2, 3, 1))),
        Finished::Installed
    );
}

#[test]
fn a_fill_older_than_an_event_keeps_its_slot_and_learns_the_highest_floor() {
    let store = store();
    let ticket = lead(store.begin(&key(1), at(0), flight(1, 10)));
    for seq in [5, 9, 7] {
        assert!(!store.supersede(&key(1), Seq(seq), Replacement::None));
    }
    let refused = Finished::Superseded { floor: Seq(9) };
    assert_eq!(store.finish(&key(1), ticket, Some(entry(1, 8, 1))), refused);
    assert_eq!(store.finish(&key(1), ticket, Some(entry(1, 8, 1))), refused);
    assert!(store.read(&key(1)).is_none());
    assert_eq!(store.usage().in_flight, 1);
    assert_eq!(
        store.finish(&key(1), ticket, Some(entry(1, 9, 1))),
        Finished::Installed
    );
    assert_eq!(store.usage().in_flight, 0);
}

#[test]
fn a_fill_without_a_result_frees_its_slot_even_when_superseded() {
    let store = store();
    let ticket = lead(store.begin(&key(1), at(0), flight(1, 10)));
    store.supersede(&key(1), Seq(5), Replacement::None);
    assert_eq!(store.finish(&key(1), ticket, None), Finished::Installed);
    assert_eq!(store.usage().in_flight, 0);
    assert_eq!(store.finish(&key(1), ticket, None), Finished::NotYours);
}

#[test]
fn a_fill_never_replaces_a_newer_entry_of_its_generation() {
    let store = store();
    let ticket = lead(store.begin(&key(1), at(0), flight(1, 10)));
    let written = entry(1, 9, 1);
    store.supersede(&key(1), Seq(4), Replacement::Always(Arc::clone(&written)));
    assert_eq!(
        store.finish(&key(1), ticket, Some(entry(1, 8, 1))),
        Finished::Installed
    );
    assert_resident(&*store, &written);
}

#[test]
fn a_fill_replaces_an_equally_new_entry_because_its_life_is_longer() {
    let store = holding(&entry(1, 5, 100));
    let ticket = lead(store.begin(&key(1), at(0), flight(1, 10)));
    let again = entry(1, 5, 30);
    store.finish(&key(1), ticket, Some(Arc::clone(&again)));
    assert_resident(&*store, &again);
    assert_eq!(store.usage().bytes, 30);
}

#[test]
fn a_fill_replaces_an_entry_of_another_generation_whatever_its_number() {
    let store = holding(&entry(1, 900, 1));
    let ticket = lead(store.begin(&key(1), at(0), flight(2, 10)));
    let live = entry(2, 3, 1);
    store.finish(&key(1), ticket, Some(Arc::clone(&live)));
    assert_resident(&*store, &live);
}

#[test]
fn an_event_drops_an_older_entry() {
    let store = holding(&entry(1, 5, 100));
    assert!(store.supersede(&key(1), Seq(6), Replacement::None));
    assert!(store.read(&key(1)).is_none());
    assert_eq!((store.usage().entries, store.usage().bytes), (0, 0));
}

#[test]
fn an_event_leaves_an_entry_that_is_as_new_as_itself() {
    let current = entry(1, 5, 100);
    let store = holding(&current);
    assert!(!store.supersede(&key(1), Seq(5), Replacement::None));
    assert!(!store.supersede(&key(1), Seq(5), Replacement::IfResident(entry(1, 5, 1))));
    assert!(!store.supersede(&key(1), Seq(5), Replacement::Always(entry(1, 5, 1))));
    assert_resident(&*store, &current);
}

#[test]
fn a_value_inside_an_event_replaces_an_older_entry_but_is_not_installed_anew() {
    let store = holding(&entry(1, 5, 100));
    let arrived = entry(1, 6, 40);
    assert!(store.supersede(&key(1), Seq(6), Replacement::IfResident(Arc::clone(&arrived))));
    assert_resident(&*store, &arrived);
    assert!(!store.supersede(&key(2), Seq(6), Replacement::IfResident(arrived)));
    assert!(store.read(&key(2)).is_none());
    assert_eq!(store.usage().bytes, 40);
}

#[test]
fn an_own_write_is_installed_whether_or_not_something_older_is_there() {
    let store = store();
    let (first, second) = (entry(1, 5, 1), entry(1, 6, 1));
    assert!(!store.supersede(&key(1), Seq(5), Replacement::Always(Arc::clone(&first))));
    assert_resident(&*store, &first);
    assert!(store.supersede(&key(1), Seq(6), Replacement::Always(Arc::clone(&second))));
    assert_resident(&*store, &second);
}

#[test]
fn a_replacement_takes_the_place_of_an_entry_of_another_generation() {
    let store = holding(&entry(1, 900, 1));
    let live = entry(2, 6, 1);
    assert!(store.supersede(&key(1), Seq(6), Replacement::IfResident(Arc::clone(&live))));
    assert_resident(&*store, &live);
}

#[test]
fn keys_do_not_touch_each_other() {
    let current = entry(1, 5, 1);
    let store = holding(&current);
    let ticket = lead(store.begin(&key(2), at(0), flight(1, 10)));
    store.supersede(&key(3), Seq(100), Replacement::None);
    assert_eq!(
        store.finish(&key(2), ticket, Some(entry(1, 5, 1))),
        Finished::Installed
    );
    assert_resident(&*store, &current);
}

#[test]
fn clearing_frees_all_entries_but_leaves_running_fills_alone() {
    let store = holding(&entry(1, 5, 100));
    let ticket = lead(store.begin(&key(2), at(0), flight(1, 10)));
    store.clear();
    let usage = store.usage();
    assert_eq!((usage.entries, usage.bytes, usage.in_flight), (0, 0, 1));
    assert_eq!(
        store.finish(&key(2), ticket, Some(entry(1, 5, 7))),
        Finished::Installed
    );
    assert_eq!(store.usage().bytes, 7);
}
