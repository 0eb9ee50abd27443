//! The limits hold at every moment, and what they permit is used.
//!
//! Hit ratios are not tested here; the bench measures them.

use super::*;
use cache_core::LocalUsage;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn open(max_bytes: u64, max_entries: u64) -> Arc<dyn LocalStore> {
    MemoryStores.open(
        "test",
        LocalLimits {
            max_bytes,
            max_entries,
        },
    )
}

fn put(store: &dyn LocalStore, id: u64, weight: u32) {
    store.supersede(&key(id), Seq(0), Replacement::Always(entry(1, 0, weight)));
}

/// What is really there, found by asking for every key that was ever put.
fn counted(store: &dyn LocalStore, keys: u64) -> LocalUsage {
    let resident: Vec<_> = (0..keys).filter_map(|id| store.read(&key(id))).collect();
    LocalUsage {
        entries: resident.len() as u64,
        bytes: resident.iter().map(|entry| u64::from(entry.weight)).sum(),
        encoded_bytes: resident.iter().map(|entry| u64::from(entry.encoded)).sum(),
        in_flight: 0,
    }
}

#[test]
fn both_limits_hold_under_random_load_and_the_usage_is_exact() {
    for (max_bytes, max_entries) in [
        (10_000, 1),
        (10_000, 7),
        (64 << 10, 500),
        (64 << 20, 5_000),
        (3, 1_000),
    ] {
        let store = open(max_bytes, max_entries);
        let mut random = StdRng::seed_from_u64(max_bytes ^ max_entries);
        for step in 0..30_000 {
            let id = random.random_range(0..12_000);
            match random.random_range(0..10) {
                0 => drop(store.supersede(&key(id), Seq(1), Replacement::None)),
                // Heavier than any of the limits but the largest, now and then.
                1 => put(&*store, id, random.random_range(0..200_000)),
                _ if store.read(&key(id)).is_none() => put(&*store, id, random.random_range(0..300)),
                _ => {}
            }
            let usage = store.usage();
            assert!(usage.entries <= max_entries, "{usage:?} after step {step}");
            assert!(usage.bytes <= max_bytes, "{usage:?} after step {step}");
        }
        assert_eq!(store.usage(), counted(&*store, 12_000));
        store.clear();
        assert_eq!(store.usage(), LocalUsage::default());
    }
}

#[test]
fn as_many_entries_as_permitted_are_kept() {
    for max_entries in [1, 2, 10, 31, 32, 33, 100, 500] {
        let store = open(1 << 20, max_entries);
        (0..max_entries).for_each(|id| put(&*store, id, 64));
        assert_eq!(store.usage().entries, max_entries);
    }
}

#[test]
fn a_sharded_memory_keeps_nearly_as_many_entries_as_permitted() {
    for max_entries in [1_000, 2_000, 5_000, 100_000] {
        let store = open(1 << 30, max_entries);
        (0..max_entries).for_each(|id| put(&*store, id, 64));
        assert!(
            store.usage().entries * 100 >= max_entries * 97,
            "{:?}",
            store.usage()
        );
        (max_entries..max_entries * 2).for_each(|id| put(&*store, id, 64));
        assert!(
            store.usage().entries * 1_000 >= max_entries * 998,
            "{:?}",
            store.usage()
        );
    }
}

#[test]
fn an_entry_just_put_is_there_even_when_the_memory_is_full() {
    for max_entries in [1, 2, 33, 500, 5_000] {
        let store = open(1 << 30, max_entries);
        for id in 0..max_entries * 3 {
            put(&*store, id, 64);
            assert!(store.read(&key(id)).is_some(), "{id} of {max_entries}");
        }
    }
}

#[test]
fn a_value_heavier_than_the_limit_is_not_kept_and_evicts_nothing() {
    let store = open(1_000, 10);
    put(&*store, 1, 90);
    put(&*store, 2, 1_001);
    assert!(store.read(&key(1)).is_some());
    assert!(store.read(&key(2)).is_none());
}

#[test]
fn a_value_as_heavy_as_the_limit_of_a_small_memory_is_kept() {
    let store = open(1_000, 10);
    put(&*store, 1, 1_000);
    assert_eq!(store.usage().bytes, 1_000);
}

#[test]
fn a_value_too_heavy_to_keep_still_drops_the_one_it_replaces() {
    let store = holding(&entry(1, 5, 1));
    let heavy = entry(1, 6, u32::MAX);
    assert!(store.supersede(&key(1), Seq(6), Replacement::IfResident(Arc::clone(&heavy))));
    assert_eq!(store.usage(), LocalUsage::default());

    let store = holding(&entry(1, 5, 1));
    let ticket = lead(store.begin(&key(1), at(0), flight(1, 10)));
    assert_eq!(store.finish(&key(1), ticket, Some(heavy)), Finished::Installed);
    assert_eq!(store.usage(), LocalUsage::default());
}

#[test]
fn entries_without_weight_are_counted_and_bounded_too() {
    let store = open(1_000, 10);
    (0..50).for_each(|id| put(&*store, id, 0));
    assert_eq!((store.usage().entries, store.usage().bytes), (10, 0));
}

#[test]
fn a_memory_of_nothing_keeps_nothing() {
    for (max_bytes, max_entries) in [(0, 10), (1_000, 0), (0, 0)] {
        let store = open(max_bytes, max_entries);
        put(&*store, 1, 0);
        put(&*store, 2, 10);
        assert_eq!(store.usage(), LocalUsage::default());
    }
}

#[test]
fn popular_entries_survive_a_scan() {
    let store = open(1 << 20, 100);
    for id in 0..50 {
        put(&*store, id, 64);
        store.read(&key(id));
        store.read(&key(id));
    }
    (1_000..2_000).for_each(|id| put(&*store, id, 64));
    let survivors = (0..50).filter(|id| store.read(&key(*id)).is_some()).count();
    assert_eq!(survivors, 50);
}

#[test]
fn whatever_fits_the_limit_is_kept_however_the_memory_is_divided() {
    const MIB: u64 = 1 << 20;
    for (max_bytes, max_entries) in [
        (64 * MIB, 10_000),
        (64 * MIB, 100),
        (8 * MIB, 1_000),
        (1_000_003, 77_777),
    ] {
        let store = open(max_bytes, max_entries);
        for (id, share) in [1_000, 999, 941, 700, 501, 500, 300, 60, 58, 30, 1]
            .into_iter()
            .enumerate()
        {
            let weight = u32::try_from(max_bytes * share / 1_000).expect("small");
            put(&*store, id as u64, weight);
            let resident = store.read(&key(id as u64)).expect("it fits");
            assert_eq!(resident.weight, weight);
            assert!(store.usage().bytes <= max_bytes, "{:?}", store.usage());
        }
        put(&*store, 99, u32::try_from(max_bytes + 1).expect("small"));
        assert!(store.read(&key(99)).is_none());
    }
}

#[test]
fn eight_values_of_four_mebibytes_stay_together_under_the_default_limits() {
    let store = open(64 << 20, 10_000);
    (0..8).for_each(|id| put(&*store, id, 4 << 20));
    (100..1_100).for_each(|id| put(&*store, id, 1_000));
    assert_eq!((0..8).filter(|id| store.read(&key(*id)).is_some()).count(), 8);
    assert_eq!(
        (100..1_100).filter(|id| store.read(&key(*id)).is_some()).count(),
        1_000
    );
}

#[test]
fn the_limits_hold_while_large_and_small_values_come_and_go() {
    let (max_bytes, max_entries) = (16 << 20, 2_000);
    let store = open(max_bytes, max_entries);
    let mut random = StdRng::seed_from_u64(7);
    for step in 0..30_000 {
        let id = random.random_range(0..3_000);
        match random.random_range(0..20) {
            0 => drop(store.supersede(&key(id), Seq(1), Replacement::None)),
            1 => put(&*store, id, random.random_range(0..18 << 20)),
            2 => put(&*store, id, random.random_range(0..4 << 20)),
            _ if store.read(&key(id)).is_none() => put(&*store, id, random.random_range(0..10_000)),
            _ => {}
        }
        let usage = store.usage();
        assert!(usage.entries <= max_entries, "{usage:?} after step {step}");
        assert!(usage.bytes <= max_bytes, "{usage:?} after step {step}");
    }
    assert_eq!(store.usage(), counted(&*store, 3_000));
    store.clear();
    assert_eq!(store.usage(), LocalUsage::default());
    // Nothing of what the large ones took is lost to the small ones.
    (0..max_entries).for_each(|id| put(&*store, id, 64));
    assert!(
        store.usage().entries * 100 >= max_entries * 97,
        "{:?}",
        store.usage()
    );
}

#[test]
fn a_large_value_that_nobody_reads_yields_to_the_small_ones_that_are_read() {
    let store = open(8 << 20, 10_000);
    put(&*store, 0, 4 << 20);
    for id in 1..10_000 {
        put(&*store, id, 1_000);
    }
    assert!(store.read(&key(0)).is_none());
    put(&*store, 0, 4 << 20);
    for id in 1..10_000 {
        put(&*store, id, 1_000);
        assert!(store.read(&key(0)).is_some(), "it is read again and again");
    }
}

#[test]
fn a_value_that_grows_and_shrinks_is_replaced_wherever_it_lives() {
    let store = open(64 << 20, 10_000);
    for (seq, weight) in [
        (2, 100),
        (4, 8 << 20),
        (6, 100),
        (8, 30 << 20),
        (10, 64 << 20),
        (12, 100),
    ] {
        let written = entry(1, seq, weight);
        store.supersede(&key(1), Seq(seq), Replacement::Always(Arc::clone(&written)));
        assert_resident(&*store, &written);
        let event = entry(1, seq + 1, weight / 2);
        assert!(store.supersede(&key(1), Seq(seq + 1), Replacement::IfResident(Arc::clone(&event))));
        assert_resident(&*store, &event);
        assert_eq!(
            (store.usage().entries, store.usage().bytes),
            (1, u64::from(weight / 2))
        );
    }
    assert!(store.supersede(&key(1), Seq(100), Replacement::None));
    assert_eq!(store.usage(), LocalUsage::default());
}
