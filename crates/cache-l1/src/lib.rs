//! One node's memory of decoded values, bounded by bytes and by entries: the adapter of [`LocalStores`].
//!
//! It judges nothing: expiry, leases, generations and tags are the engine's; it only keeps, orders and evicts.
//! No runtime, no task, no timer, no clock.
//!
//! * Values live in a `quick_cache` (CLOCK-Pro, sharded): a hit is one read lock and one clone of an `Arc`. The few that are
//!   too heavy for a shard live beside it, and take their place from all shards.
//! * Fills under way live in a `dashmap`, whose bucket lock orders everything that happens to one key.
//! * A key is never hashed here: [`CacheKey`](cache_core::CacheKey) carries its hash.
//!
//! ```
//! use cache_core::{CacheKey, LocalLimits, LocalStores as _};
//! use cache_l1::MemoryStores;
//!
//! let store = MemoryStores.open("gpu_pricing", LocalLimits { max_bytes: 50 << 20, max_entries: 500 });
//! assert!(store.read(&CacheKey::from_wire("gpu_pricing:model=H100")).is_none());
//! ```
//!
//! Measured with `cargo bench -p cache-l1 --bench table` on 2 shared cores, as ratios to a bare `quick_cache` with
//! string keys:
//!
//! * a hit 0.8 to 1.0; with `--keys 2000` 1.3 to 1.4, because a value lies one pointer further;
//! * a fill with eviction 2.2, for it takes a slot and frees it;
//! * memory beyond key and value: 285 bytes an entry (144 of them the `Entry`), against 121;
//! * hit ratios on the OLTP trace and Zipf 0.9, at 1, 5 and 10 % of the footprint: each within 0.2 points of the
//!   best of moka, foyer (S3-FIFO) and quick_cache's defaults.
//!
//! [`LocalStores`]: cache_core::LocalStores

mod capacity;
mod hashing;
mod large;
mod ordered;
mod residents;
mod slot;
mod slots;
mod store;

pub use store::{MemoryStore, MemoryStores};
