#!/usr/bin/env bash
# quick_cache: three ways to empty a cache while a value is being loaded.
# Guess: `remove`, `clear` and `retain(|_, _| false)` agree: what was loaded before them is not in the cache after them.
# Seen (quick_cache 0.7.0): `remove` and `clear` keep the value under load out; `retain` that keeps nothing does not see it, and it is cached when its
# load ends. `retain` is no replacement for an invalidation of many keys.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "probe"
edition = "2024"
[dependencies]
quick_cache = "=0.7.0"
tokio = { version = "=1.47.1", features = ["full"] }
[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
use quick_cache::sync::Cache;
use std::sync::Arc;
use tokio::sync::oneshot;

async fn after(meanwhile: impl FnOnce(&Cache<u8, u64>)) -> Option<u64> {
    let cache = Arc::new(Cache::new(100));
    let (begun, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let load = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move {
            let load = async {
                begun.send(()).unwrap();
                may_go_on.await.unwrap();
                Ok::<_, ()>(1)
            };
            cache.get_or_insert_async(&1, load).await
        }
    });
    has_begun.await.unwrap();
    meanwhile(&cache);
    go_on.send(()).unwrap();
    load.await.unwrap().unwrap();
    cache.get(&1)
}

#[tokio::main]
async fn main() {
    expect("remove", after(|cache| drop(cache.remove(&1))).await, None);
    expect("clear", after(|cache| cache.clear()).await, None);
    expect("retain nothing", after(|cache| cache.retain(|_, _| false)).await, Some(1));
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) {
    println!("{what}: {seen:?}");
    assert_eq!(seen, wanted, "CHANGED: {what}");
}
RUST
cargo run --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
