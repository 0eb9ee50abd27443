#!/usr/bin/env bash
# foyer's single flight, and a removal while a value is being fetched.
# Guess: `remove` during `get_or_fetch` keeps the value that was being fetched out of the cache, as `insert` during it does.
# Seen (foyer 0.22.6): an `insert` during the fetch wins, and a `remove` does not: it finds nothing to remove, and when the fetch ends its value is
# cached. A value that was read before an invalidation is served after it.
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
tokio = { version = "=1.47.1", features = ["full"] }
[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
use foyer::{Cache, CacheBuilder};
use tokio::sync::oneshot;

async fn after(meanwhile: impl FnOnce(&Cache<u8, u64>)) -> Option<u64> {
    let cache: Cache<u8, u64> = CacheBuilder::new(100).build();
    let (begun, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let fetch = tokio::spawn({
        let cache = cache.clone();
        async move {
            let load = || async move {
                begun.send(()).unwrap();
                may_go_on.await.unwrap();
                Ok::<_, std::io::Error>(1)
            };
            cache.get_or_fetch(&1, load).await.map(|entry| *entry.value()).unwrap()
        }
    });
    has_begun.await.unwrap();
    meanwhile(&cache);
    go_on.send(()).unwrap();
    fetch.await.unwrap();
    cache.get(&1).map(|entry| *entry.value())
}

#[tokio::main]
async fn main() {
    expect("removed during the fetch", after(|cache| assert!(cache.remove(&1).is_none())).await, Some(1));
    expect("2 inserted during the fetch", after(|cache| drop(cache.insert(1, 2))).await, Some(2));
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) {
    println!("{what}: {seen:?}");
    assert_eq!(seen, wanted, "CHANGED: {what}");
}
RUST
cargo run --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
