//! Which events were announced when and by whom, to measure how long they take to every subscriber.
//!
//! It reads two fields of an event and nothing of what it tells.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cache_core::{CacheEvent, EventUid, Moment, NodeId};
use serde::Deserialize;

/// The events announced so far.
#[derive(Debug, Default)]
pub struct Announcements(Mutex<HashMap<EventUid, Announced>>);

#[derive(Debug)]
struct Announced {
    at: Moment,
    node: NodeId,
}

impl Announcements {
    /// An encoded event was put into a shard's log at `at`.
    pub fn made(&self, event: &[u8], at: Moment) {
        // What cannot be read is no event of this release; whoever receives it will say so.
        if let Ok(Stamp { uid, node }) = serde_json::from_slice(event) {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(uid, Announced { at, node });
        }
    }

    /// How long the event took to a subscriber on `node` that has it at `now`; `None` on the node that published it.
    pub fn travelled(&self, event: &CacheEvent, node: &str, now: Moment) -> Option<Duration> {
        let announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let announced = announced.get(&event.uid)?;
        (announced.node.as_str() != node).then(|| now.since(announced.at))
    }
}

#[derive(Deserialize)]
struct Stamp {
    uid: EventUid,
    node: NodeId,
}

#[cfg(test)]
mod tests {
    use cache_core::EventKind;

    use super::*;

    #[test]
    fn an_event_travels_from_its_announcement_to_every_node_but_its_own() {
        let mut event = CacheEvent::new(EventKind::BookingCreated, "gpu-1");
        (event.uid, event.node) = (EventUid(7), NodeId::new("one"));
        let announcements = Announcements::default();
        let millis = |millis: u64| Moment::from_nanos(millis * 1_000_000);
        announcements.made(&serde_json::to_vec(&event).unwrap(), millis(10));
        assert_eq!(
            announcements.travelled(&event, "two", millis(14)),
            Some(Duration::from_millis(4))
        );
        assert_eq!(announcements.travelled(&event, "one", millis(14)), None);
        event.uid = EventUid(8);
        assert_eq!(announcements.travelled(&event, "two", millis(14)), None);
    }
}
