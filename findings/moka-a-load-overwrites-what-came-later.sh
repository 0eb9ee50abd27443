#!/usr/bin/env bash
# moka's single flight, and what happens to a key while its value is being loaded.
# Guess: `invalidate`, `invalidate_all` and `insert` that come while `get_with` runs win over the value it was computing, since they came later.
# Seen (moka 0.12.16, future cache): all three lose. When the load ends its value is put into the cache: an invalidated key holds the old value until
# its TTL, and a newer value that was inserted is overwritten by the older one.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "probe"
edition = "2024"
[dependencies]
moka = { version = "=0.12.16", features = ["future"] }
tokio = { version = "=1.47.1", features = ["full"] }
[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
use moka::future::Cache;
use tokio::sync::oneshot;

/// Begins a load that has read 1, does something meanwhile, lets the load end; what the cache holds then.
async fn after<F: Future<Output = ()>>(meanwhile: impl FnOnce(Cache<u8, u64>) -> F) -> Option<u64> {
    let cache = Cache::new(100);
    let (begun, has_begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let load = tokio::spawn({
        let cache = cache.clone();
        async move {
            cache
                .get_with(1, async {
                    begun.send(()).unwrap();
                    may_go_on.await.unwrap();
                    1
                })
                .await
        }
    });
    has_begun.await.unwrap();
    meanwhile(cache.clone()).await;
    go_on.send(()).unwrap();
    load.await.unwrap();
    cache.get(&1).await
}

#[tokio::main]
async fn main() {
    expect("invalidated during the load", after(|cache| async move { cache.invalidate(&1).await }).await, Some(1));
    expect("everything invalidated during the load", after(|cache| async move { cache.invalidate_all() }).await, Some(1));
    expect("2 inserted during the load", after(|cache| async move { cache.insert(1, 2).await }).await, Some(1));
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) {
    println!("{what}: {seen:?}");
    assert_eq!(seen, wanted, "CHANGED: {what}");
}
RUST
cargo run --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
