//! The shared tier on Redis: [`SharedStore`](cache_core::SharedStore) and [`EventBus`](cache_core::EventBus) on a real
//! server.
//!
//! It follows the same rules as the embedded backend: every step of a shard's history is one script. One server that
//! takes writes, the one that Sentinel names, or a cluster ([`Servers`]), version 7.0 or newer, with users and passwords,
//! in clear text or over [`Tls`]. Failovers are followed. Values are read from replicas only if
//! [`Settings::read_replicas`] says so.
//!
//! ```no_run
//! use cache_core::{SharedStore, StoreDescription};
//! use cache_redis::{RedisTier, Settings};
//!
//! # async fn demo() -> Result<(), cache_redis::SettingsError> {
//! let tier = RedisTier::new(Settings::at("127.0.0.1", 6379).with_prefix("market"))?;
//! let StoreDescription { connected, used_bytes, .. } = tier.describe().await;
//! println!("connected: {connected}, bytes: {used_bytes:?}");
//! # Ok(()) }
//! ```
//!
//! # What lies in the server
//!
//! How many shards a lane has is kept under `{prefix:layout}`, three bytes that never end. All of a shard is under one hash tag,
//! `{prefix:count:lane:shard}`, and so in one slot of a cluster:
//!
//! | name | what | ends |
//! | --- | --- | --- |
//! | `…:h` | head: lineage, newest number and id, floor, server mark; 42 bytes | never |
//! | `…:e` | log: a stream whose entries have the events' numbers | never; trimmed to [`Settings::log_length`] |
//! | `…:b:0`, `…:b:1` | in the barrier shards: when everything and namespaces, and when tags were invalidated | never; bounded |
//! | `…:c:database` | channel of events | |
//! | `…:v:key` | record: lineage, version, end, and the sealed value | with its life |
//! | `…:l:key` | right to fill a key | with its time |
//!
//! Set `maxmemory-policy` to one of the `volatile-` kind, so that heads, logs and barriers are never evicted;
//! [`RedisTier::check`] says so if it is another.

mod address;
mod bus;
mod bytes;
mod check;
mod connection;
mod deployment;
mod event;
mod failure;
mod gathering;
mod greeting;
mod head;
mod identity;
mod layout;
mod line;
mod masters;
mod obstacle;
mod place;
mod replicas;
mod script;
mod sentinel;
mod servers;
mod settings;
mod slots;
mod store;
mod tier;
mod tls;
mod upkeep;
mod url;
#[cfg(feature = "test-util")]
pub mod wire;

pub use address::Address;
pub use check::{Finding, Report};
pub use deployment::Resharded;
pub use obstacle::Obstacle;
pub use servers::{Sentinel, Servers};
pub use settings::{Settings, SettingsError};
pub use tier::RedisTier;
pub use tls::{ClientCertificate, Tls};
pub use upkeep::Owned;
