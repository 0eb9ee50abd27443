#!/usr/bin/env bash
# hdrhistogram's `max`, which is no value that was recorded.
# Guess: `max()` and `min()` are exact, as a histogram can keep two numbers beside its buckets; only quantiles are rounded.
# Seen (hdrhistogram 7.6.0, two significant digits): one value is recorded, and `max()` is above it, `min()` below it, and the mean is neither. A report
# that compares `max()` with a limit can call a breach what was none: 1,000,003 passes a limit of 1,001,000 and `max()` does not.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "probe"
edition = "2024"
[dependencies]
hdrhistogram = { version = "=7.6.0", default-features = false }
[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
fn main() {
    let mut seen = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 60_000_000, 2).unwrap();
    seen.record(1_000_003).unwrap();
    expect("max", seen.max(), 1_003_519);
    expect("min", seen.min(), 999_424);
    expect("mean", seen.mean(), 1_001_472.0);
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, seen: T, wanted: T) {
    println!("{what}: {seen:?}");
    assert_eq!(seen, wanted, "CHANGED: {what}");
}
RUST
cargo run --quiet --manifest-path "$dir/Cargo.toml" --target-dir "$dir/target"
