//! What can go wrong on the wires between nodes and servers, and how often.
//!
//! Only the settings: the drawing is done in `dice`, and what happens to one node alone in the hub's commands.

use std::ops::RangeInclusive;
use std::time::Duration;

use cache_core::Permille;

/// How bad the network is, for every node. Drawn for each message and request from the hub's seed.
///
/// Without faults, which is the default, calls complete at once and events are delivered during the write.
/// Delays use tokio's timer, so they pass in virtual time when it is paused; its grain is a millisecond.
///
/// ```
/// use cache_core::Permille;
/// use cache_memory::{Faults, Hub};
/// use std::time::Duration;
///
/// let hub = Hub::builder().seed(1).build();
/// hub.set_faults(Faults {
///     event_loss: Permille(80),
///     event_delay: Duration::ZERO..=Duration::from_millis(5),
///     ..Faults::NONE
/// });
/// hub.set_faults(Faults::NONE);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Share of events that never arrive. Drawn for each receiver.
    pub event_loss: Permille,
    /// Share of events that arrive twice.
    pub duplicate: Permille,
    /// Share of events that later ones may overtake. The others of a subscription arrive in order.
    pub reorder: Permille,
    /// How long an event is on its way.
    pub event_delay: RangeInclusive<Duration>,
    /// Share of events that take [`Faults::tail_delay`] in addition. Those behind them wait, as on one connection.
    pub tail: Permille,
    /// The additional delay of the tail.
    pub tail_delay: RangeInclusive<Duration>,
    /// How long a request is on its way, and again its reply. A request that its caller has given up still arrives.
    pub request_delay: RangeInclusive<Duration>,
    /// Share of requests that never arrive. The caller can not tell this from a lost reply.
    pub lost_request: Permille,
    /// Share of replies that never arrive: the effect happened. Changes fail as uncertain, reads as unavailable.
    pub lost_reply: Permille,
    /// Share of replies that take [`Faults::tail_delay`] in addition.
    pub late_reply: Permille,
    /// Share of reads from [`Any`](cache_core::ReadFrom::Any) copy that a lagging replica answers. It may lag behind
    /// an adoption, and then shows the old lineage, or no head.
    pub lagging_read: Permille,
    /// How many events a lagging replica is behind at most. It never lags by more than 64.
    pub lag: u16,
    /// After what time a node gives up a request that got no reply.
    pub timeout: Duration,
}

impl Faults {
    /// A perfect network. The other fields have the values they take where only the shares are set: a replica up to
    /// 8 events behind, and a timeout of one second.
    pub const NONE: Self = Self {
        event_loss: Permille(0),
        duplicate: Permille(0),
        reorder: Permille(0),
        event_delay: Duration::ZERO..=Duration::ZERO,
        tail: Permille(0),
        tail_delay: Duration::ZERO..=Duration::ZERO,
        request_delay: Duration::ZERO..=Duration::ZERO,
        lost_request: Permille(0),
        lost_reply: Permille(0),
        late_reply: Permille(0),
        lagging_read: Permille(0),
        lag: 8,
        timeout: Duration::from_secs(1),
    };

    /// Whether nothing can go wrong.
    pub fn is_none(&self) -> bool {
        let shares = [
            self.event_loss,
            self.duplicate,
            self.reorder,
            self.tail,
            self.lost_request,
            self.lost_reply,
            self.late_reply,
            self.lagging_read,
        ];
        shares.iter().all(|share| share.0 == 0)
            && self.event_delay.end().is_zero()
            && self.request_delay.end().is_zero()
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}

/// Which of a node's connections are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The bus is half-open: events vanish in silence, heads and replays hang until it is healed. Data works.
    Bus,
    /// Requests to the store time out. The bus works.
    Data,
    /// Both.
    Both,
}

impl Cut {
    pub(crate) const fn cuts_bus(self) -> bool {
        matches!(self, Self::Bus | Self::Both)
    }

    pub(crate) const fn cuts_data(self) -> bool {
        matches!(self, Self::Data | Self::Both)
    }
}
