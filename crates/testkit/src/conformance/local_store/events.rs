//! Rules of a local store about events: what is dropped, what is replaced, what stays.
//!
//! What an event does to a running fill is told in `fills`.

use std::sync::Arc;

use cache_core::{Entry, Finished, LocalStores, Replacement, Seq};

use super::{ample, assert_absent, assert_resident, fill, flight, key, keys, lead};
use crate::EntryBuilder;

pub(super) fn an_event_drops_an_older_entry(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    fill(&*store, &key, &entry(5));
    assert!(
        store.supersede(&key, Seq(6), Replacement::None),
        "says it dropped nothing"
    );
    assert_absent(&*store, &key);
    assert!(
        !store.supersede(&key, Seq(7), Replacement::None),
        "says it dropped an entry"
    );
}

pub(super) fn an_event_keeps_an_entry_as_new_as_itself(stores: &dyn LocalStores) {
    let (store, key, current) = (ample(stores), key(), entry(5));
    fill(&*store, &key, &current);
    for seq in [4, 5] {
        assert!(
            !store.supersede(&key, Seq(seq), Replacement::None),
            "says it dropped an entry"
        );
        assert_resident(&*store, &key, &current);
    }
}

pub(super) fn an_older_version_goes_however_late_it_was_known_to_be_current(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    fill(&*store, &key, &EntryBuilder::as_of(6).version(5).build());
    assert!(
        store.supersede(&key, Seq(6), Replacement::None),
        "says it dropped nothing"
    );
    assert_absent(&*store, &key);
}

pub(super) fn a_read_past_memory_evicts_what_is_as_new_as_itself_and_nothing_newer(stores: &dyn LocalStores) {
    let (store, key, newer) = (ample(stores), key(), entry(6));
    fill(&*store, &key, &entry(5));
    assert!(
        store.supersede(&key, Seq(5), Replacement::Evict),
        "says it dropped nothing"
    );
    assert_absent(&*store, &key);
    fill(&*store, &key, &newer);
    assert!(
        !store.supersede(&key, Seq(5), Replacement::Evict),
        "says it dropped an entry"
    );
    assert_resident(&*store, &key, &newer);
    assert!(store.supersede(&key, Seq(u64::MAX), Replacement::Evict));
    assert_absent(&*store, &key);
}

pub(super) fn an_event_about_another_key_changes_nothing(stores: &dyn LocalStores) {
    let (store, keys, current) = (ample(stores), keys(2), entry(5));
    fill(&*store, &keys[0], &current);
    store.supersede(&keys[1], Seq(9), Replacement::None);
    assert_resident(&*store, &keys[0], &current);
}

pub(super) fn a_value_in_an_event_replaces_an_older_entry(stores: &dyn LocalStores) {
    let (store, key, arrived) = (ample(stores), key(), entry(6));
    fill(&*store, &key, &entry(5));
    let replaced = store.supersede(&key, Seq(6), Replacement::IfResident(Arc::clone(&arrived)));
    assert!(replaced, "says it replaced nothing");
    assert_resident(&*store, &key, &arrived);
}

pub(super) fn a_value_in_an_event_is_not_kept_where_nothing_is_resident(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    let replaced = store.supersede(&key, Seq(6), Replacement::IfResident(entry(6)));
    assert!(!replaced, "says it replaced an entry");
    assert_absent(&*store, &key);
}

pub(super) fn a_value_in_an_event_never_replaces_a_newer_entry(stores: &dyn LocalStores) {
    let (store, key, current) = (ample(stores), key(), entry(7));
    fill(&*store, &key, &current);
    let replaced = store.supersede(&key, Seq(6), Replacement::IfResident(entry(6)));
    assert!(!replaced, "says it replaced an entry");
    assert_resident(&*store, &key, &current);
}

pub(super) fn an_own_write_is_resident_whatever_was_there(stores: &dyn LocalStores) {
    let (store, keys) = (ample(stores), keys(2));
    fill(&*store, &keys[0], &entry(5));
    for (key, replaces) in [(&keys[0], true), (&keys[1], false)] {
        let written = entry(6);
        let replaced = store.supersede(key, Seq(6), Replacement::Always(Arc::clone(&written)));
        assert_eq!(replaced, replaces, "whether it replaced an entry");
        assert_resident(&*store, key, &written);
    }
}

pub(super) fn an_own_write_never_replaces_a_newer_entry(stores: &dyn LocalStores) {
    let (store, key, current) = (ample(stores), key(), entry(7));
    fill(&*store, &key, &current);
    // Two acknowledgements may be handled in the other order.
    let replaced = store.supersede(&key, Seq(6), Replacement::Always(entry(6)));
    assert!(!replaced, "says it replaced an entry");
    assert_resident(&*store, &key, &current);
}

pub(super) fn an_own_write_closes_a_running_fill_and_raises_its_floor(stores: &dyn LocalStores) {
    let (store, key, written) = (ample(stores), key(), entry(6));
    let ticket = lead(&*store, &key, flight());
    store.supersede(&key, Seq(6), Replacement::Always(Arc::clone(&written)));
    let finished = store.finish(&key, ticket, Some(entry(5)));
    assert_eq!(finished, Finished::Superseded { floor: Seq(6) });
    assert_resident(&*store, &key, &written);
    lead(&*store, &key, flight());
}

fn entry(as_of: u64) -> Arc<Entry> {
    EntryBuilder::as_of(as_of).build()
}
