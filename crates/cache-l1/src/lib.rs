//! One node's memory of decoded values, bounded by bytes and by entries: the adapter of [`LocalStores`].
//!
//! It judges nothing: expiry, leases, generations and tags are the engine's; it only keeps, orders and evicts.
//! No runtime, no task, no timer, no clock.
//!
//! * Values live in a `quick_cache` (CLOCK-Pro, sharded): a hit is one read lock and one clone of an `Arc`.
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
//! [`LocalStores`]: cache_core::LocalStores

mod capacity;
mod hashing;
mod residents;
mod slot;
mod store;

pub use store::{MemoryStore, MemoryStores};
