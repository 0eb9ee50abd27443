//! Rules of a local store about fills: who leads, who joins, what is installed.
//!
//! What an event does to a resident entry is told in `events`.

use std::sync::{Arc, Barrier};

use cache_core::{Begun, Finished, Flight, LocalStores, Replacement, Seq};

use super::{ample, assert_absent, assert_resident, at, fill, flight, joined, key, keys, lead};
use crate::EntryBuilder;

pub(super) fn the_first_to_begin_leads_and_the_next_joins_its_rendezvous(stores: &dyn LocalStores) {
    let (store, key, first) = (ample(stores), key(), flight());
    lead(&*store, &key, first.clone());
    for _ in 0..2 {
        let rendezvous = joined(store.begin(&key, at(99), flight()));
        assert!(Arc::ptr_eq(&rendezvous, &first.rendezvous), "another rendezvous");
    }
}

pub(super) fn fills_of_different_keys_do_not_join(stores: &dyn LocalStores) {
    let (store, keys) = (ample(stores), keys(2));
    let tickets = keys.iter().map(|key| lead(&*store, key, flight()));
    let tickets: Vec<_> = tickets.collect();
    assert_ne!(tickets[0], tickets[1]);
    assert_eq!(store.finish(&keys[0], tickets[1], None), Finished::NotYours);
    assert_eq!(store.finish(&keys[1], tickets[1], None), Finished::Installed);
}

pub(super) fn of_many_threads_that_begin_at_once_one_leads(stores: &dyn LocalStores) {
    const THREADS: usize = 8;
    let (store, key, start) = (ample(stores), key(), Barrier::new(THREADS));
    let begin = || {
        start.wait();
        matches!(store.begin(&key, at(0), flight()), Begun::Lead(_))
    };
    let leaders = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(begin)).collect();
        let led = threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread ends"));
        led.filter(|led| *led).count()
    });
    assert_eq!(leaders, 1);
}

pub(super) fn nobody_joins_from_the_moment_until_which_a_fill_may_be_joined(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    lead(&*store, &key, flight());
    let begun = store.begin(&key, at(100), flight());
    assert!(matches!(begun, Begun::Lead(_)), "joined a fill that is too old");
}

pub(super) fn nobody_joins_a_fill_of_another_generation(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    lead(&*store, &key, flight());
    lead(&*store, &key, of_generation(2));
}

pub(super) fn nobody_joins_a_fill_that_was_superseded(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    lead(&*store, &key, flight());
    store.supersede(&key, Seq(5), Replacement::None);
    lead(&*store, &key, flight());
    // Nothing has superseded the fill that took over.
    joined(store.begin(&key, at(0), flight()));
}

pub(super) fn a_fill_that_was_taken_over_finds_that_it_is_not_its_own(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    let old = lead(&*store, &key, flight());
    let new = lead(&*store, &key, of_generation(2));
    assert_ne!(old, new);
    let entry = EntryBuilder::as_of(5).generation(2).build();
    let late = EntryBuilder::as_of(9).build();
    assert_eq!(store.finish(&key, old, Some(late)), Finished::NotYours);
    assert_absent(&*store, &key);
    assert_eq!(
        store.finish(&key, new, Some(Arc::clone(&entry))),
        Finished::Installed
    );
    assert_resident(&*store, &key, &entry);
}

pub(super) fn a_finished_fill_is_resident_and_its_slot_is_free(stores: &dyn LocalStores) {
    let (store, key, entry) = (ample(stores), key(), EntryBuilder::as_of(5).build());
    fill(&*store, &key, &entry);
    assert_resident(&*store, &key, &entry);
    lead(&*store, &key, flight());
}

pub(super) fn a_fill_finished_with_nothing_frees_its_slot(stores: &dyn LocalStores) {
    let (store, key, entry) = (ample(stores), key(), EntryBuilder::as_of(5).build());
    fill(&*store, &key, &entry);
    let ticket = lead(&*store, &key, flight());
    store.supersede(&key, Seq(3), Replacement::None);
    assert_eq!(store.finish(&key, ticket, None), Finished::Installed);
    assert_eq!(store.usage().in_flight, 0);
    assert_resident(&*store, &key, &entry);
}

pub(super) fn a_fill_finishes_once(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    let ticket = lead(&*store, &key, flight());
    assert_eq!(store.finish(&key, ticket, None), Finished::Installed);
    let again = store.finish(&key, ticket, Some(EntryBuilder::as_of(5).build()));
    assert_eq!(again, Finished::NotYours);
    assert_absent(&*store, &key);
}

pub(super) fn a_fill_older_than_an_event_keeps_its_slot_until_it_is_new_enough(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    let ticket = lead(&*store, &key, flight());
    store.supersede(&key, Seq(5), Replacement::None);
    for seq in [3, 4] {
        let finished = store.finish(&key, ticket, Some(EntryBuilder::as_of(seq).build()));
        assert_eq!(finished, Finished::Superseded { floor: Seq(5) });
        assert_absent(&*store, &key);
        assert_eq!(store.usage().in_flight, 1, "the slot was freed");
    }
    let entry = EntryBuilder::as_of(6).build();
    let finished = store.finish(&key, ticket, Some(Arc::clone(&entry)));
    assert_eq!(finished, Finished::Installed);
    assert_resident(&*store, &key, &entry);
}

pub(super) fn a_fill_as_new_as_an_event_is_installed(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    let ticket = lead(&*store, &key, flight());
    store.supersede(&key, Seq(5), Replacement::None);
    let entry = EntryBuilder::as_of(5).build();
    let finished = store.finish(&key, ticket, Some(Arc::clone(&entry)));
    assert_eq!(finished, Finished::Installed);
    assert_resident(&*store, &key, &entry);
}

pub(super) fn the_highest_of_many_events_is_the_floor(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    let ticket = lead(&*store, &key, flight());
    // Events may come in any order.
    for seq in [5, 9, 7] {
        store.supersede(&key, Seq(seq), Replacement::None);
    }
    let finished = store.finish(&key, ticket, Some(EntryBuilder::as_of(8).build()));
    assert_eq!(finished, Finished::Superseded { floor: Seq(9) });
}

pub(super) fn a_fill_never_replaces_a_newer_entry_of_its_generation(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    let ticket = lead(&*store, &key, flight());
    let newer = EntryBuilder::as_of(9).build();
    // The write is of 4, but its entry is known to be current up to 9: the floor alone does not stop the fill.
    store.supersede(&key, Seq(4), Replacement::Always(Arc::clone(&newer)));
    store.finish(&key, ticket, Some(EntryBuilder::as_of(8).build()));
    assert_resident(&*store, &key, &newer);
}

pub(super) fn a_fill_never_replaces_an_entry_of_a_newer_version(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    let newer = EntryBuilder::as_of(8).build();
    fill(&*store, &key, &newer);
    // A copy that lags behind a load, which is no event, may be current up to any of them.
    fill(&*store, &key, &EntryBuilder::as_of(9).version(7).build());
    assert_resident(&*store, &key, &newer);
}

pub(super) fn a_fill_under_way_reads_again_once_after_a_reader_that_passed_memory_by(
    stores: &dyn LocalStores,
) {
    let (store, key) = (ample(stores), key());
    let (ticket, entry) = (lead(&*store, &key, flight()), EntryBuilder::as_of(5).build());
    store.supersede(&key, Seq(5), Replacement::Evict);
    let finished = store.finish(&key, ticket, Some(Arc::clone(&entry)));
    assert_eq!(finished, Finished::Superseded { floor: Seq(6) });
    assert_absent(&*store, &key);
    // What is read now may have the same version.
    let finished = store.finish(&key, ticket, Some(Arc::clone(&entry)));
    assert_eq!(finished, Finished::Installed);
    assert_resident(&*store, &key, &entry);
}

pub(super) fn a_fill_that_brings_something_newer_than_a_reader_was_shown_is_installed_at_once(
    stores: &dyn LocalStores,
) {
    let (store, key) = (ample(stores), key());
    let (ticket, entry) = (lead(&*store, &key, flight()), EntryBuilder::as_of(6).build());
    store.supersede(&key, Seq(5), Replacement::Evict);
    let finished = store.finish(&key, ticket, Some(Arc::clone(&entry)));
    assert_eq!(finished, Finished::Installed);
    assert_resident(&*store, &key, &entry);
}

pub(super) fn a_fill_replaces_an_entry_of_another_generation(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    // Numbers of two generations may belong to two lineages: they do not compare.
    fill(&*store, &key, &EntryBuilder::as_of(900).build());
    let entry = EntryBuilder::as_of(3).generation(2).build();
    fill(&*store, &key, &entry);
    assert_resident(&*store, &key, &entry);
}

fn of_generation(generation: u64) -> Flight {
    Flight {
        generation,
        ..flight()
    }
}
