//! The embedded backend: the shared store and the event bus of many nodes, in one process.
//!
//! It follows the same rules as the Redis backend, script by script, but opens no socket and writes no file: what
//! the process held is gone with it. For tests, simulations, demonstrations, and services that run as one process.
//!
//! A [`Hub`] plays the servers; each node talks to it through an [`Endpoint`] of its own. Between the two lies a
//! simulated wire that is perfect until [`Faults`] or a command of the hub make it worse: then events are lost,
//! doubled and late, replies go missing, nodes freeze, and the servers forget what they had acknowledged. What was
//! really written, a [`Witness`] is told at the instant of the effect.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cache_core::StoreError> {
//! use cache_core::*;
//! use cache_memory::Hub;
//! use std::time::Duration;
//!
//! const PRICES: Namespace<u32> = Namespace::new("prices", Policy::event_driven(Duration::from_secs(60)));
//! let key = PRICES.key(&[("model", &"H100")]);
//!
//! let hub = Hub::builder().seed(7).build();
//! let (one, two) = (hub.endpoint("one"), hub.endpoint("two"));
//! let shard = key.shard(one.shards());
//!
//! // A shard's history must be started before anything is written to it.
//! let lineage = Lineage(1);
//! one.adopt(Adoption { shard, from: None, to: lineage, hint: Seq::ZERO, id: EventId(1) }).await?;
//!
//! let record = NewRecord { body: [42].into(), ttl: Duration::from_secs(60) };
//! let change = Change {
//!     key: key.raw().clone(),
//!     record: Some(record),
//!     expect: Expect::Any,
//!     propagation: Propagation::Invalidate,
//! };
//! one.write(Write { shard, lineage, id: EventId(2), op: Op::Change(vec![change]) }).await?;
//!
//! let reply = two.read(shard, &[key.raw().clone()], ReadFrom::Any).await?;
//! let records = reply.answer.expect("the shard has a head");
//! assert_eq!(&*records[0].as_ref().expect("it was written").body, [42]);
//! # Ok(()) }
//! ```

mod barriers;
mod commands;
mod dice;
mod endpoint;
mod expiring;
mod faults;
mod hub;
mod identity;
mod link;
mod script;
mod servers;
mod state;
mod subscription;
mod wire;
mod witness;

pub use commands::Saved;
pub use endpoint::Endpoint;
pub use faults::{Cut, Faults};
pub use hub::{Hub, HubBuilder};
pub use witness::Witness;
