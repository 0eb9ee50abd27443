//! Values of any type behind one erased description, so that the engine is compiled once.
//!
//! It decides nothing about caching: it encodes, decodes and recognises.

use std::any::{Any, TypeId};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cache_core::{Codec, CodecError, ErrorKind, SchemaFingerprint, decode_value, encode_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that can be cached. Implemented for every type that serde can carry and threads can share.
pub trait CacheValue: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> CacheValue for V {}

/// A value whose type only its namespace knows.
pub(crate) type Erased = Arc<dyn Any + Send + Sync>;

/// How to encode, decode and recognise the values of a namespace.
#[derive(Clone, Copy)]
pub(crate) struct ValueType {
    pub(crate) id: TypeId,
    pub(crate) schema: SchemaFingerprint,
    pub(crate) encode: fn(&Erased, &dyn Codec) -> Result<Vec<u8>, CodecError>,
    pub(crate) decode: fn(&[u8], &dyn Codec) -> Result<Erased, CodecError>,
}

impl ValueType {
    pub(crate) fn of<V: CacheValue>() -> Self {
        Self {
            id: TypeId::of::<V>(),
            schema: SchemaFingerprint::of::<V>(),
            encode: |value, codec| {
                guarded(|| match value.downcast_ref::<V>() {
                    Some(value) => encode_value(codec, value),
                    None => Err(CodecError::new(
                        ErrorKind::Rejected,
                        "the value has another type than its namespace",
                    )),
                })
            },
            decode: |bytes, codec| {
                guarded(|| decode_value::<V>(codec, bytes).map(|value| Arc::new(value) as Erased))
            },
        }
    }
}

/// A `Serialize` or `Deserialize` that panics is an error of that value, not the end of the task that handles it.
fn guarded<T>(act: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    std::panic::catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_panic| {
        Err(CodecError::new(
            ErrorKind::Corrupt,
            "the value's own serialization panicked",
        ))
    })
}
