//! How what comes from the server is read, for fuzzing.
//!
//! It is there only with the feature `test-util`, and nothing of this crate uses it.

use cache_core::{Head, LogEntry, Record, Seq, Shard, WireEvent};

use crate::{event, head};

/// Reads an event; `None` when not even its number can be read.
pub fn event(shard: Shard, message: &[u8]) -> Option<WireEvent> {
    event::unpack(shard, message)
}

/// Reads an entry of the log; `None` when not even its identity can be read.
pub fn log_entry(seq: Seq, entry: &[u8]) -> Option<LogEntry> {
    event::unpack_entry(seq, entry)
}

/// Reads a head; `None` for what this release does not understand.
pub fn head(bytes: &[u8]) -> Option<Head> {
    head::unpack_head(bytes).ok()
}

/// Reads a record; `None` for one that is dead under this head, or that this release does not understand.
pub fn record(bytes: &[u8], head: &Head) -> Option<Record> {
    head::unpack_record(bytes, head)
}
