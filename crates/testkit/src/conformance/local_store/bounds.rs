//! Rules of a local store about memory: limits, usage, clearing.
//!
//! Which entries go when it is full is the store's own choice.

use std::sync::Arc;

use cache_core::{
    CacheKey, Entry, Finished, LocalLimits, LocalStore, LocalStores, LocalUsage, Replacement, Seq,
};

use super::{AMPLE, ample, assert_absent, assert_resident, fill, flight, key, keys, lead};
use crate::EntryBuilder;

pub(super) fn usage_counts_entries_bytes_and_fills(stores: &dyn LocalStores) {
    let (store, keys) = (ample(stores), keys(4));
    assert_eq!(store.usage(), LocalUsage::default());
    fill(&*store, &keys[0], &weighing(10));
    fill(&*store, &keys[1], &weighing(200));
    lead(&*store, &keys[2], flight());
    let ticket = lead(&*store, &keys[3], flight());
    assert_eq!(store.usage(), usage(2, 210, 2));
    store.finish(&keys[3], ticket, None);
    store.supersede(&keys[0], Seq(9), Replacement::None);
    assert_eq!(store.usage(), usage(1, 200, 1));
}

pub(super) fn usage_follows_an_entry_that_is_replaced(stores: &dyn LocalStores) {
    let (store, key) = (ample(stores), key());
    fill(&*store, &key, &weighing(100));
    let write = EntryBuilder::as_of(6).weight(30).encoded(3).build();
    store.supersede(&key, Seq(6), Replacement::Always(write));
    assert_eq!(store.usage(), usage(1, 30, 0));
    let event = EntryBuilder::as_of(7).weight(40).encoded(4).build();
    store.supersede(&key, Seq(7), Replacement::IfResident(event));
    assert_eq!(store.usage(), usage(1, 40, 0));
}

pub(super) fn the_limit_of_entries_holds_under_ten_times_the_load(stores: &dyn LocalStores) {
    let limits = LocalLimits {
        max_entries: 100,
        ..AMPLE
    };
    load(&*stores.open("few", limits), limits, |store, key| {
        fill(store, key, &weighing(100));
    });
}

pub(super) fn the_limit_of_bytes_holds_under_ten_times_the_load(stores: &dyn LocalStores) {
    let limits = LocalLimits {
        max_bytes: 10_000,
        ..AMPLE
    };
    load(&*stores.open("light", limits), limits, |store, key| {
        fill(store, key, &weighing(100));
    });
}

pub(super) fn the_limits_hold_for_own_writes_too(stores: &dyn LocalStores) {
    let limits = LocalLimits {
        max_bytes: 10_000,
        max_entries: 100,
    };
    load(&*stores.open("few", limits), limits, |store, key| {
        store.supersede(key, Seq(5), Replacement::Always(weighing(100)));
    });
}

pub(super) fn clearing_frees_everything_and_leaves_running_fills(stores: &dyn LocalStores) {
    let (store, keys) = (ample(stores), keys(3));
    fill(&*store, &keys[0], &weighing(10));
    fill(&*store, &keys[1], &weighing(10));
    let ticket = lead(&*store, &keys[2], flight());
    store.clear();
    assert_absent(&*store, &keys[0]);
    assert_absent(&*store, &keys[1]);
    assert_eq!(store.usage(), usage(0, 0, 1));
    let entry = weighing(10);
    let finished = store.finish(&keys[2], ticket, Some(Arc::clone(&entry)));
    assert_eq!(finished, Finished::Installed);
    assert_resident(&*store, &keys[2], &entry);
}

pub(super) fn namespaces_do_not_share_entries(stores: &dyn LocalStores) {
    let (one, other, key) = (stores.open("one", AMPLE), stores.open("other", AMPLE), key());
    fill(&*one, &key, &weighing(10));
    assert_absent(&*other, &key);
    other.clear();
    assert_eq!(one.usage().entries, 1);
}

/// Puts in ten times what 100 entries of 100 bytes take. The limits must hold at every step, and once it was full a
/// store must stay half full at least: one that keeps nothing would hold its limits too.
fn load(store: &dyn LocalStore, limits: LocalLimits, put: impl Fn(&dyn LocalStore, &CacheKey)) {
    let keys = keys(1_000);
    for (before, key) in keys.iter().enumerate() {
        put(store, key);
        let usage = store.usage();
        assert!(
            usage.entries <= limits.max_entries,
            "{usage:?} exceeds {limits:?}"
        );
        assert!(usage.bytes <= limits.max_bytes, "{usage:?} exceeds {limits:?}");
        assert!(
            before < 100 || usage.entries >= 50,
            "{usage:?} of {limits:?} are used"
        );
    }
    let readable = keys.iter().filter(|key| store.read(key).is_some()).count();
    assert_eq!(
        readable as u64,
        store.usage().entries,
        "entries that can be read, and counted"
    );
}

fn weighing(bytes: u32) -> Arc<Entry> {
    EntryBuilder::as_of(5).weight(bytes).encoded(bytes / 10).build()
}

const fn usage(entries: u64, bytes: u64, in_flight: u64) -> LocalUsage {
    LocalUsage {
        entries,
        bytes,
        encoded_bytes: bytes / 10,
        in_flight,
    }
}
