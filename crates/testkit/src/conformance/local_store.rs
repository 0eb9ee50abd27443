//! The suite of [`LocalStore`]: fills, events, limits.
//!
//! Nothing here judges freshness: a store keeps and drops what it is told to.

mod bounds;
mod events;
mod fills;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use cache_core::{
    Begun, CacheKey, Entry, Finished, Flight, LocalLimits, LocalStore, LocalStores, Moment, Ticket,
};

use crate::BULK;

/// Runs every rule, each on what a call of `make` gives.
///
/// # Panics
/// When a rule is broken; the message names every broken rule.
pub fn all(make: impl Fn() -> Arc<dyn LocalStores>) {
    hear_all!(
        "local_store", make,
        fills: [
            the_first_to_begin_leads_and_the_next_joins_its_rendezvous,
            fills_of_different_keys_do_not_join,
            of_many_threads_that_begin_at_once_one_leads,
            nobody_joins_from_the_moment_until_which_a_fill_may_be_joined,
            nobody_joins_a_fill_of_another_generation,
            nobody_joins_a_fill_that_was_superseded,
            a_fill_that_was_taken_over_finds_that_it_is_not_its_own,
            a_finished_fill_is_resident_and_its_slot_is_free,
            a_fill_finished_with_nothing_frees_its_slot,
            a_fill_finishes_once,
            a_fill_older_than_an_event_keeps_its_slot_until_it_is_new_enough,
            a_fill_as_new_as_an_event_is_installed,
            the_highest_of_many_events_is_the_floor,
            a_fill_never_replaces_a_newer_entry_of_its_generation,
            a_fill_never_replaces_an_entry_of_a_newer_version,
            a_fill_replaces_an_entry_of_another_generation,
            a_fill_under_way_reads_again_once_after_a_reader_that_passed_memory_by,
            a_fill_that_brings_something_newer_than_a_reader_was_shown_is_installed_at_once,
        ],
        events: [
            an_event_drops_an_older_entry,
            an_event_keeps_an_entry_as_new_as_itself,
            an_older_version_goes_however_late_it_was_known_to_be_current,
            a_read_past_memory_evicts_what_is_as_new_as_itself_and_nothing_newer,
            an_event_about_another_key_changes_nothing,
            a_value_in_an_event_replaces_an_older_entry,
            a_value_in_an_event_is_not_kept_where_nothing_is_resident,
            a_value_in_an_event_never_replaces_a_newer_entry,
            an_own_write_is_resident_whatever_was_there,
            an_own_write_never_replaces_a_newer_entry,
            an_own_write_closes_a_running_fill_and_raises_its_floor,
        ],
        bounds: [
            usage_counts_entries_bytes_and_fills,
            usage_follows_an_entry_that_is_replaced,
            the_limit_of_entries_holds_under_ten_times_the_load,
            the_limit_of_bytes_holds_under_ten_times_the_load,
            the_limits_hold_for_own_writes_too,
            clearing_frees_everything_and_leaves_running_fills,
            namespaces_do_not_share_entries,
        ],
    );
}

/// More than any rule fills, so that nothing is evicted.
const AMPLE: LocalLimits = LocalLimits {
    max_bytes: 1 << 30,
    max_entries: 100_000,
};

fn ample(stores: &dyn LocalStores) -> Arc<dyn LocalStore> {
    stores.open("ample", AMPLE)
}

fn keys(count: usize) -> Vec<CacheKey> {
    (0..count)
        .map(|id| BULK.key(&[("id", &id)]).raw().clone())
        .collect()
}

fn key() -> CacheKey {
    keys(1).remove(0)
}

fn at(nanos: u64) -> Moment {
    Moment::from_nanos(1_000_000_000 + nanos)
}

/// A fill of generation 1 that may be joined before `at(100)`.
fn flight() -> Flight {
    Flight {
        generation: 1,
        join_until: at(100),
        rendezvous: Arc::new("rendezvous".to_owned()),
    }
}

fn lead(store: &dyn LocalStore, key: &CacheKey, flight: Flight) -> Ticket {
    match store.begin(key, at(0), flight) {
        Begun::Lead(ticket) => ticket,
        Begun::Join(_) => panic!("joined a fill where it should lead"),
    }
}

fn joined(begun: Begun) -> Arc<dyn Any + Send + Sync> {
    match begun {
        Begun::Join(rendezvous) => rendezvous,
        Begun::Lead(_) => panic!("leads a fill where it should join"),
    }
}

/// Fills a key, which must succeed.
fn fill(store: &dyn LocalStore, key: &CacheKey, entry: &Arc<Entry>) {
    let flight = Flight {
        generation: entry.generation,
        ..flight()
    };
    let ticket = lead(store, key, flight);
    let finished = store.finish(key, ticket, Some(Arc::clone(entry)));
    assert_eq!(finished, Finished::Installed);
}

fn assert_resident(store: &dyn LocalStore, key: &CacheKey, entry: &Arc<Entry>) {
    let resident = store.read(key).expect("an entry is resident");
    assert!(Arc::ptr_eq(&resident, entry), "{resident:?} instead of {entry:?}");
}

fn assert_absent(store: &dyn LocalStore, key: &CacheKey) {
    let resident = store.read(key);
    assert!(resident.is_none(), "{resident:?} is resident");
}
