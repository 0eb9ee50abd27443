//! Which events a subscriber wants to hear of.
//!
//! A filter is data, so that matching cannot block or fail.

use std::sync::Arc;

use cache_core::{CacheEvent, EventKind};

/// Selects events by kind, by resource, or both; the default selects all.
///
/// ```
/// use cache_core::{CacheEvent, EventKind};
/// use event_bus::Filter;
///
/// let prices = Filter::kind(EventKind::PricingUpdated);
/// assert!(prices.matches(&CacheEvent::new(EventKind::PricingUpdated, "us-east/H100")));
/// let one = prices.and_resource("us-east/H100");
/// assert!(!one.matches(&CacheEvent::new(EventKind::PricingUpdated, "europe/H100")));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    kinds: Vec<EventKind>,
    resource: Option<Arc<str>>,
}

impl Filter {
    /// Every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Events of one kind.
    pub fn kind(kind: EventKind) -> Self {
        Self {
            kinds: vec![kind],
            resource: None,
        }
    }

    /// Events about one resource.
    pub fn resource(resource: impl AsRef<str>) -> Self {
        Self::all().and_resource(resource)
    }

    /// Events of this kind as well.
    #[must_use]
    pub fn or_kind(mut self, kind: EventKind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Only events about this resource.
    #[must_use]
    pub fn and_resource(mut self, resource: impl AsRef<str>) -> Self {
        self.resource = Some(Arc::from(resource.as_ref()));
        self
    }

    /// Whether the subscriber wants this event.
    pub fn matches(&self, event: &CacheEvent) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self
                .resource
                .as_ref()
                .is_none_or(|resource| *resource == event.resource)
    }
}
