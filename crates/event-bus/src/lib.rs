//! The coherence protocol as a pure state machine, and the dispatch of events around it.
//!
//! It knows no transport and no cache policy: events come from any [`cache_core::EventBus`], and what they change is
//! told to a [`Replica`].
//!
//! * Pure: [`Follower`] (one shard's history), [`Barriers`] (tags and namespaces), [`Outbox`] (what is still owed),
//!   [`SpotChecks`] (whether what was served lacked anything).
//! * Shell: [`Coherence`] (a lane's followers behind locks), [`Driver`] (the task of a lane).
//! * Subscribers: [`Dispatcher`], [`Filter`], [`Delivery`].

mod backoff;
mod barriers;
mod canaries;
mod coherence;
mod dispatch;
mod driver;
mod filter;
mod follower;
mod inbox;
mod outbox;
mod rules;
mod spot_checks;

pub use barriers::{Barriers, Standing};
pub use canaries::canary_key;
pub use coherence::{Changed, Coherence, Replica, Timing, Unleased, barrier_keys};
pub use dispatch::{Delivery, Dispatcher, EventStream, SUBSCRIBER_QUEUE, Subscription};
pub use driver::Driver;
pub use filter::Filter;
pub use follower::{Effect, Follower, Probe, Reached, Source, Tally, Verdict};
pub use outbox::{Debt, OUTBOX_BYTES, OUTBOX_KEYS, Outbox};
pub use rules::{Rule, Rules};
pub use spot_checks::{Check, Served, SpotCheckTally, SpotChecks};
