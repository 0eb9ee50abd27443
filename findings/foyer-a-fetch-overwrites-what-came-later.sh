#!/usr/bin/env bash
# foyer's single flight, and what comes while a value is being fetched.
# Guess: a `remove` or an `insert` during `get_or_fetch` wins over the value that was being fetched, since it came later.
# Seen (foyer 0.22.6): both lose. `remove` finds nothing, and when the fetch ends its value is cached. `insert` answers the reader who waits for the fetch
# with the inserted value, and the fetch, which goes on, then replaces that value in the cache by the older one.
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

/// What the fetch answers, and what the cache holds once it is over.
async fn after(meanwhile: impl FnOnce(&Cache<u8, u64>)) -> (u64, Option<u64>) {
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
    let answer = fetch.await.unwrap();
    // The fetch may still be on its way to the cache when its reader has an answer.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    (answer, cache.get(&1).map(|entry| *entry.value()))
}

#[tokio::main]
async fn main() {
    expect("removed during the fetch", after(|cache| assert!(cache.remove(&1).is_none())).await, (1, Some(1)));
    expect("2 inserted during the fetch", after(|cache| drop(cache.insert(1, 2))).await, (2, Some(1)));
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) {
    println!("{what}: {seen:?}");
    assert_eq!(seen, wanted, "CHANGED: {what}");
}
RUST
cargo run --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
