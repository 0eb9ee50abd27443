#!/usr/bin/env bash
# bincode's limit, and how large a value may be.
# Guess: a value whose encoding is shorter than the limit can be written and read under it; one that is longer can be neither.
# Seen (bincode 2.0.1): the limit holds for reading alone, and counts what the value takes in memory: a thousand small u64 are 1,003 bytes on the wire and
# 8,000 against the limit. A writer with the same configuration writes what no reader can read.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "probe"
edition = "2024"
[dependencies]
bincode = { version = "=2.0.1", features = ["serde"] }
[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
fn main() {
    let numbers = vec![1_u64; 1000];
    let small = bincode::config::standard().with_limit::<500>();
    let ample = bincode::config::standard().with_limit::<2000>();
    let memory = bincode::config::standard().with_limit::<9000>();
    let written = bincode::encode_to_vec(&numbers, small).expect("the limit is not asked when writing");
    expect("bytes written under a limit of 500", written.len(), 1003);
    let native = |config| bincode::decode_from_slice::<Vec<u64>, _>(&written, config).is_ok();
    expect("1,003 bytes read under a limit of 2,000", native(ample), false);
    let under = bincode::decode_from_slice::<Vec<u64>, _>(&written, memory).is_ok();
    expect("1,003 bytes read under a limit of 9,000", under, true);
    let serde = bincode::serde::decode_from_slice::<Vec<u64>, _>(&written, ample).is_ok();
    expect("1,003 bytes read through serde under a limit of 2,000", serde, false);
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) {
    println!("{what}: {seen:?}");
    assert_eq!(seen, wanted, "CHANGED: {what}");
}
RUST
cargo run --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
