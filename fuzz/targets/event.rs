//! Events, entries of the log, heads and records as they come from a Redis server.
//!
//! The embedded backend has no bytes to read: its events stay in the process.

#![no_main]

use cache_core::{EventOp, Lane, Seq, Shard};
use cache_redis::wire;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let shard = Shard::barriers(Lane::Critical);
    if let Some(event) = wire::event(shard, bytes) {
        assert_eq!(event.shard, shard);
        if let EventOp::Changed(changed) = &event.op {
            let versions = changed.iter().filter_map(|change| change.record.as_ref());
            assert!(versions.into_iter().all(|record| record.version == event.seq));
        }
    }
    if let Some(entry) = wire::log_entry(Seq(7), bytes) {
        assert_eq!(entry.seq, Seq(7));
    }
    if let Some((head, record)) = bytes.split_at_checked(42)
        && let Some(head) = wire::head(head)
        && let Some(record) = wire::record(record, &head)
    {
        assert!(record.version > head.floor, "a dead record");
    }
});
