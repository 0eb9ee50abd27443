//! The words, ports and events that every other crate of the cache speaks.
//!
//! This crate holds no runtime, no task, no timer and no adapter: it can be depended on alone by a
//! service that wants to name cached things, or by somebody who writes another tier.
//!
//! * Words: [`Namespace`], [`Key`], [`CacheKey`], [`Tag`], [`Policy`], [`Version`], [`Entry`].
//! * Ports: [`LocalStore`], [`SharedStore`], [`EventBus`] (with its [`BusLink`] and [`Inbox`]), [`Codec`],
//!   [`Clock`], [`Entropy`]. Mocks of each are behind the feature `mock`.
//! * Events: [`CacheEvent`] for people, [`WireEvent`] for the protocol.
//!
//! ```
//! use cache_core::{Namespace, Policy};
//! use std::time::Duration;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Price { micros: u64 }
//!
//! const PRICES: Namespace<Price> =
//!     Namespace::new("gpu_pricing", Policy::event_driven(Duration::from_secs(60)));
//!
//! // The order of parameters does not matter; the key stays readable.
//! let key = PRICES.key(&[("region", &"us-east"), ("model", &"H100")]);
//! assert_eq!(key.as_str(), "gpu_pricing:model=H100:region=us-east");
//! ```

mod bus;
mod codec;
mod digest;
mod entropy;
mod entry;
mod envelope;
mod error;
mod event;
mod key;
mod lane;
mod local;
mod namespace;
mod policy;
mod schema;
mod shared;
mod tag;
mod time;
mod version;
mod walk;
mod weigh;

#[cfg(feature = "mock")]
pub mod mock;

pub use bus::{
    BusLink, BusMessage, ChangedKey, EventBus, EventOp, HeadOf, Heads, Inbox, LogEntry, RegionId, Replay,
    WireEvent,
};
pub use codec::{
    BincodeCodec, Codec, CodecId, JsonCodec, MAX_VALUE_BYTES, NativeFormat, Visit, decode_value,
    encode_value, verify_value,
};
pub use entropy::{Entropy, SystemEntropy};
pub use entry::{Entry, EntryValue};
pub use envelope::{Envelope, EnvelopeError, Payload, open, seal};
pub use error::{BusError, CodecError, ErrorKind, StoreError};
pub use event::{AffectedKey, CacheEvent, EventKind, EventPriority, EventUid, NodeId};
pub use key::{CacheKey, Param};
pub use lane::{Lane, Shard, ShardCount};
pub use local::{
    Begun, Finished, Flight, LocalLimits, LocalStore, LocalStores, LocalUsage, Replacement, Ticket,
};
pub use namespace::{Key, Namespace};
pub use policy::{Coherence, FailSafe, OfflineWrites, OutageReads, Permille, Policy, Propagation};
pub use schema::{SchemaFingerprint, SchemaTrace, Untraced};
pub use shared::{
    Adopted, Adoption, Change, Expect, FillBegun, FillCommitted, FillToken, NewRecord, Op, ReadFrom, Record,
    Reply, SharedStore, StoreDescription, Write, Written,
};
pub use tag::{BARRIERS_KEPT, Barrier, BarrierKind, BarrierStamp, Tag};
#[cfg(any(test, feature = "test-util"))]
pub use time::ManualClock;
pub use time::{Clock, Moment, ServerTime, SystemClock};
pub use version::{EventId, Head, Lineage, Position, Seq, ServerId, ServerMark, Version};
pub use weigh::estimated_weight;
