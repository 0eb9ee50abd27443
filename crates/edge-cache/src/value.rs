//! Values of any type behind one erased description, so that the engine is compiled once.
//!
//! It decides nothing about caching: it encodes, decodes, weighs and recognises.

use std::any::{Any, TypeId};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cache_core::{
    Codec, CodecError, ErrorKind, Namespace, SchemaFingerprint, SchemaTrace, Untraced, decode_value,
    encode_value, estimated_weight, verify_value,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that can be cached. Implemented for every type that serde can carry and threads can share.
pub trait CacheValue: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> CacheValue for V {}

/// A value whose type only its namespace knows.
pub(crate) type Erased = Arc<dyn Any + Send + Sync>;

/// How to encode, decode, weigh and recognise the values of a namespace.
#[derive(Clone)]
pub(crate) struct ValueType {
    pub(crate) id: TypeId,
    pub(crate) schema: SchemaFingerprint,
    /// Where its shape could not be seen.
    pub(crate) untraced: Option<Untraced>,
    pub(crate) encode: fn(&Erased, &dyn Codec) -> Result<Vec<u8>, CodecError>,
    pub(crate) decode: fn(&[u8], &dyn Codec) -> Result<Erased, CodecError>,
    /// Whether these bytes decode back to the value.
    pub(crate) verify: fn(&Erased, &[u8], &dyn Codec) -> Result<(), CodecError>,
    weigh: Weigh,
}

type Weigh = Arc<dyn Fn(&Erased) -> Option<usize> + Send + Sync>;

impl ValueType {
    pub(crate) fn of<V: CacheValue>(namespace: &Namespace<V>) -> Self {
        let trace = SchemaTrace::of::<V>();
        let weight = namespace.weight();
        Self {
            id: TypeId::of::<V>(),
            schema: trace.fingerprint.in_version(namespace.schema_version()),
            untraced: trace.untraced.filter(|_| namespace.schema_version() == 0),
            encode: |value, codec| guarded(|| encode_value(codec, typed::<V>(value)?)),
            decode: |bytes, codec| {
                guarded(|| decode_value::<V>(codec, bytes).map(|value| Arc::new(value) as Erased))
            },
            verify: |value, bytes, codec| guarded(|| verify_value(codec, typed::<V>(value)?, bytes)),
            weigh: Arc::new(move |value| {
                let value = value.downcast_ref::<V>()?;
                Some(weight.map_or_else(|| estimated_weight(value), |weight| weight(value)))
            }),
        }
    }

    /// Bytes that a value takes in memory. One that panics when it is weighed counts as too heavy to be kept.
    pub(crate) fn weigh(&self, value: &Erased) -> usize {
        let weighed = std::panic::catch_unwind(AssertUnwindSafe(|| (self.weigh)(value)));
        weighed.ok().flatten().unwrap_or(usize::MAX)
    }
}

fn typed<V: 'static>(value: &Erased) -> Result<&V, CodecError> {
    value.downcast_ref().ok_or_else(|| {
        CodecError::new(
            ErrorKind::Rejected,
            "the value has another type than its namespace",
        )
    })
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
