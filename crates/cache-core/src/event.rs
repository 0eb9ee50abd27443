//! Events for people and services: what happened, to what, where, and which cached things it touches.
//!
//! They are carried by the protocol's own events; their delivery has the same promises.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CacheKey, Lane, Seq, Tag};

/// The identity of one event, drawn at random by its node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EventUid(pub u64);

/// A node's unique name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// A node of this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(Arc::from(name.as_ref()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happened. Open: a kind that this release does not know arrives as [`EventKind::Custom`] with its name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A GPU became available, busy, offline, or went into maintenance.
    GpuAvailabilityChanged,
    /// A price changed.
    PricingUpdated,
    /// A booking was made.
    BookingCreated,
    /// A booking ended before its time.
    BookingCancelled,
    /// A provider went offline or came back.
    ProviderStatusChanged,
    /// Market statistics were computed anew.
    MarketStatsUpdated,
    /// An order book changed.
    OrderBookUpdated,
    /// Somebody invalidated something by hand.
    ManualInvalidation,
    /// A kind of a downstream crate or of a newer release, by its name.
    Custom(Arc<str>),
}

impl EventKind {
    const NAMED: [(Self, &'static str); 8] = [
        (Self::GpuAvailabilityChanged, "gpu_availability_changed"),
        (Self::PricingUpdated, "pricing_updated"),
        (Self::BookingCreated, "booking_created"),
        (Self::BookingCancelled, "booking_cancelled"),
        (Self::ProviderStatusChanged, "provider_status_changed"),
        (Self::MarketStatsUpdated, "market_stats_updated"),
        (Self::OrderBookUpdated, "order_book_updated"),
        (Self::ManualInvalidation, "manual_invalidation"),
    ];

    /// The name it has on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Custom(name) => name,
            named => Self::NAMED
                .iter()
                .find(|(kind, _)| kind == named)
                .map_or("", |(_, name)| name),
        }
    }

    /// The kind of this name; an unknown name is a custom kind, never an error.
    pub fn from_name(name: &str) -> Self {
        Self::NAMED
            .iter()
            .find(|(_, known)| *known == name)
            .map_or_else(|| Self::Custom(Arc::from(name)), |(kind, _)| kind.clone())
    }
}

impl Serialize for EventKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_name(&name))
    }
}

/// How urgent an event is: chooses its lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventPriority {
    /// Carried by the bulk lane.
    Normal,
    /// Carried by the critical lane.
    Critical,
}

impl EventPriority {
    /// The lane that carries it.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Normal => Lane::Bulk,
            Self::Critical => Lane::Critical,
        }
    }
}

/// A key that an event touches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AffectedKey {
    /// The key.
    pub key: CacheKey,
    /// The version at which the change stands, in the key's own shard. A node that has this version or a newer one keeps
    /// it; with [`Seq::ZERO`] the publishing cache invalidates the key first and fills this in.
    pub version: Seq,
}

/// Something that happened.
///
/// ```
/// use cache_core::{CacheEvent, EventKind, EventPriority};
///
/// let event = CacheEvent::new(EventKind::PricingUpdated, "us-east/H100")
///     .with_data(&serde_json::json!({"per_hour": "2.65"}))?
///     .with_priority(EventPriority::Critical);
/// assert_eq!(event.data::<serde_json::Value>()?["per_hour"], "2.65");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CacheEvent {
    /// Its identity; set when it is published.
    pub uid: EventUid,
    /// What happened.
    pub kind: EventKind,
    /// To what: a GPU, a booking, a region and model. Handlers can filter by it.
    pub resource: Arc<str>,
    /// Details as JSON text, readable by any language and any release.
    pub json: Arc<str>,
    /// When, in milliseconds since the Unix epoch by the source's wall clock. For people; orders nothing.
    pub at_millis: u64,
    /// The node it happened on; set when it is published.
    pub node: NodeId,
    /// That node's region; set when it is published.
    pub region: Arc<str>,
    /// Namespaces that are invalidated as a whole.
    pub namespaces: Vec<Arc<str>>,
    /// Keys that are invalidated.
    pub keys: Vec<AffectedKey>,
    /// Tags that are invalidated.
    pub tags: Vec<Tag>,
    /// How urgent it is.
    pub priority: EventPriority,
}

impl CacheEvent {
    /// An event that touches nothing yet.
    pub fn new(kind: EventKind, resource: impl AsRef<str>) -> Self {
        Self {
            uid: EventUid(0),
            kind,
            resource: Arc::from(resource.as_ref()),
            json: Arc::from("null"),
            at_millis: 0,
            node: NodeId::new(""),
            region: Arc::from(""),
            namespaces: Vec::new(),
            keys: Vec::new(),
            tags: Vec::new(),
            priority: EventPriority::Normal,
        }
    }

    /// Attaches details.
    ///
    /// # Errors
    /// When `data` cannot be written as JSON.
    pub fn with_data<T: Serialize>(mut self, data: &T) -> Result<Self, serde_json::Error> {
        self.json = Arc::from(serde_json::to_string(data)?);
        Ok(self)
    }

    /// Sets the urgency.
    #[must_use]
    pub fn with_priority(mut self, priority: EventPriority) -> Self {
        self.priority = priority;
        self
    }

    /// Adds a key to invalidate.
    #[must_use]
    pub fn touching_key(self, key: CacheKey) -> Self {
        self.touching_key_at(key, Seq::ZERO)
    }

    /// Adds a key that was already changed, at this version: it is not invalidated again.
    #[must_use]
    pub fn touching_key_at(mut self, key: CacheKey, version: Seq) -> Self {
        self.keys.push(AffectedKey { key, version });
        self
    }

    /// Adds a tag to invalidate.
    #[must_use]
    pub fn touching_tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Adds a namespace to invalidate as a whole.
    #[must_use]
    pub fn touching_namespace(mut self, name: &str) -> Self {
        self.namespaces.push(Arc::from(name));
        self
    }

    /// The details as a type of the reader's choice.
    ///
    /// # Errors
    /// When the details are not of that type.
    pub fn data<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_kind_keeps_its_name_and_comes_back() {
        for (kind, name) in EventKind::NAMED {
            assert_eq!(EventKind::from_name(name), kind);
            assert_eq!(kind.name(), name);
        }
    }

    #[test]
    fn a_kind_of_a_newer_release_is_delivered_with_its_name() {
        let newer = r#"{"uid":1,"kind":"gpu_teleported","resource":"g","json":"null","at_millis":0,"node":"n","region":"r",
            "namespaces":[],"keys":[],"tags":[],"priority":"normal","a_new_field":true}"#;
        let event: CacheEvent = serde_json::from_str(newer).expect("readable");
        assert_eq!(event.kind, EventKind::Custom("gpu_teleported".into()));
    }
}
