//! Port: who is told what was really written, at the instant it happens.
//!
//! It hears of effects only, not of requests, replies or deliveries: it is the truth that reads are compared with.

use cache_core::{CacheKey, Head, Moment, Record, Seq, Shard, Write};

/// Told of every effect inside the shard's lock, before any event of it is delivered: the calls for one shard come
/// one by one and in order. Must not block, nor call back into the hub.
///
/// ```
/// use cache_core::{CacheKey, Head, Moment, Record, Seq, Shard, Write};
/// use cache_memory::{Hub, Witness};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Published(Mutex<Vec<(Shard, Seq)>>);
///
/// impl Witness for Published {
///     fn published(&self, write: &Write, head: &Head, _at: Moment) {
///         self.0.lock().unwrap().push((write.shard, head.seq));
///     }
///     fn filled(&self, _shard: Shard, _key: &CacheKey, _record: &Record, _at: Moment) {}
///     fn adopted(&self, _shard: Shard, _head: &Head, _at: Moment) {}
///     fn lost(&self, _shard: Shard, _from: Seq, _at: Moment) {}
/// }
///
/// let hub = Hub::builder().witness(Arc::new(Published::default())).build();
/// # let _ = hub;
/// ```
pub trait Witness: Send + Sync + 'static {
    /// A write took effect; `head` is the shard's head after it, and `head.seq` the new version.
    fn published(&self, write: &Write, head: &Head, at: Moment);

    /// A value was filled in from its source: no step of the history, and no event.
    fn filled(&self, shard: Shard, key: &CacheKey, record: &Record, at: Moment);

    /// A new history of a shard began with this head. Every older record of the shard is dead.
    fn adopted(&self, shard: Shard, head: &Head, at: Moment);

    /// The servers forgot every step of a shard from this number on, whether acknowledged or not.
    fn lost(&self, shard: Shard, from: Seq, at: Moment);
}
