//! Everything the cache needs from outside, in one struct that the composition root fills.
//!
//! All trait objects: the cache has no type parameter, and a test can replace any single port.

use std::sync::Arc;

use cache_core::{
    BincodeCodec, Clock, Codec, CodecId, Entropy, EventBus, JsonCodec, LocalStores, SharedStore, SystemClock,
    SystemEntropy,
};

/// The ports of a cache.
#[derive(Clone)]
pub struct Ports {
    /// Opens the memory of namespaces (L1).
    pub local: Arc<dyn LocalStores>,
    /// The store that all nodes share (L2).
    pub shared: Arc<dyn SharedStore>,
    /// The transport of events.
    pub bus: Arc<dyn EventBus>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids and jitter come from.
    pub entropy: Arc<dyn Entropy>,
    /// Codecs by their id; a value written by one that is not here is a miss.
    pub codecs: Vec<Arc<dyn Codec>>,
}

impl Ports {
    /// These tiers, with the system's clock and randomness, bincode and JSON.
    pub fn new(local: Arc<dyn LocalStores>, shared: Arc<dyn SharedStore>, bus: Arc<dyn EventBus>) -> Self {
        Self {
            local,
            shared,
            bus,
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy::new()),
            codecs: vec![Arc::new(BincodeCodec), Arc::new(JsonCodec)],
        }
    }

    /// The same ports with another clock: a test's, for instance.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    pub(crate) fn codec(&self, id: CodecId) -> Option<&dyn Codec> {
        self.codecs
            .iter()
            .find(|codec| codec.id() == id)
            .map(AsRef::as_ref)
    }
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports")
            .field("codecs", &self.codecs.len())
            .finish_non_exhaustive()
    }
}
