//! The rules of the shared store: each is one atomic step on one shard, a pure function of its state and the time.
//!
//! They know no node, no connection and no fault; the same rules run as scripts inside a Redis server.

mod adopt;
mod fill;
mod read;
mod write;

pub(crate) use adopt::adopt;
pub(crate) use fill::{begin_fill, commit_fill};
pub(crate) use read::{read, read_barriers, read_behind, replay};
pub(crate) use write::write;

#[cfg(test)]
mod tests;

use cache_core::{Head, Lineage, ServerMark, ServerTime, WireEvent};

use crate::state::ShardState;

/// The instant of a step, the server that takes it, and the limits it obeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant {
    /// The store's time.
    pub(crate) now: ServerTime,
    /// The server's process.
    pub(crate) mark: ServerMark,
    /// Events that the log keeps.
    pub(crate) log_len: usize,
}

/// What a step that may publish leaves behind.
#[derive(Debug)]
pub(crate) struct Published<T> {
    /// For the caller.
    pub(crate) answer: Option<T>,
    /// For everyone.
    pub(crate) event: Option<WireEvent>,
}

impl<T> Published<T> {
    const fn silent(answer: Option<T>) -> Self {
        Self { answer, event: None }
    }
}

/// The head, if it stands in this lineage.
fn head_in(state: &ShardState, lineage: Lineage) -> Option<Head> {
    state.head.filter(|head| head.lineage == lineage)
}
