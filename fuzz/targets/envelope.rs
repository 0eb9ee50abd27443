//! Stored values as another release, another program or a broken disk could have left them.
//!
//! It decodes no payload; that is the codec's.

#![no_main]

use cache_core::{Payload, SchemaFingerprint, open, seal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The fingerprint that stands in the header, so that what comes after it is read as well.
    let schema = bytes
        .get(3..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |number| u64::from_be_bytes(*number));
    let Ok((envelope, payload)) = open(bytes, SchemaFingerprint(schema)) else {
        return;
    };
    let borrowed = match &payload {
        Payload::Value(value) => Payload::Value(&value[..]),
        Payload::Absent => Payload::Absent,
    };
    let again = open(&seal(&envelope, &borrowed), envelope.schema);
    assert_eq!(
        again,
        Ok((envelope, payload)),
        "what was opened can be sealed and opened again"
    );
});
