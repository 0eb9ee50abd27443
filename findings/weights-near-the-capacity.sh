#!/usr/bin/env bash
# Three caches bounded by weight, and one entry that weighs nearly as much as, or more than, the whole cache may hold.
# Guess: an entry within the capacity is kept when it is put into an empty cache, and one beyond the capacity never is.
# Seen: quick_cache 0.7.0 drops, without a word, what weighs more than an eighth of the capacity once it expects some thousand entries, since the capacity
# is divided among shards, two processors or more; foyer 0.22.6 keeps an entry of five times its capacity; moka 0.12.16 is as guessed while it is empty.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "probe"
edition = "2024"
[dependencies]
foyer = "=0.22.6"
moka = { version = "=0.12.16", features = ["sync"] }
quick_cache = "=0.7.0"
[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
const CAPACITY: u64 = 1_000_000;

#[derive(Clone)]
struct ByValue;

impl quick_cache::Weighter<u64, u64> for ByValue {
    fn weight(&self, _key: &u64, value: &u64) -> u64 {
        *value
    }
}

fn quick_cache_keeps(percent: u64) -> bool {
    let cache = quick_cache::sync::Cache::with_weighter(10_000, CAPACITY, ByValue);
    assert!(cache.num_shards() > 1, "one shard: another machine, another story");
    cache.insert(1, CAPACITY * percent / 100);
    cache.get(&1).is_some()
}

fn foyer_keeps(percent: u64) -> bool {
    let builder = foyer::CacheBuilder::new(CAPACITY as usize).with_weighter(|_key: &u64, value: &u64| *value as usize);
    let cache: foyer::Cache<u64, u64> = builder.build();
    drop(cache.insert(1, CAPACITY * percent / 100));
    cache.get(&1).is_some()
}

fn moka_keeps(percent: u64) -> bool {
    let builder = moka::sync::Cache::builder().max_capacity(CAPACITY).weigher(|_key: &u64, value: &u64| *value as u32);
    let cache = builder.build();
    cache.insert(1, CAPACITY * percent / 100);
    cache.run_pending_tasks();
    cache.get(&1).is_some()
}

fn main() {
    expect("quick_cache keeps 5, 50, 500 %", [5, 50, 500].map(quick_cache_keeps), [true, false, false]);
    expect("foyer keeps 5, 50, 500 %", [5, 50, 500].map(foyer_keeps), [true, true, true]);
    expect("moka keeps 5, 50, 500 %", [5, 50, 500].map(moka_keeps), [true, true, false]);
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) {
    println!("{what}: {seen:?}");
    assert_eq!(seen, wanted, "CHANGED: {what}");
}
RUST
cargo run --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
