//! What the marketplace's events tell their subscribers, and the memory of what was told.
//!
//! It names no user: an event goes to every node and to whoever listens there.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use cache_core::{CacheEvent, EventKind};
use edge_cache::{Delivery, EdgeCache, Filter, Subscription};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::shelf::{PriceSheet, ShelfKey, StateCounts};
use crate::{Booking, BookingId, ChangeKind, GpuId, Interval, Money, Multiplier, ProviderId, ProviderStatus};

/// The details of one event: everything that one change brought about.
///
/// ```
/// use cache_core::{CacheEvent, EventKind};
/// use marketplace::News;
/// let event = CacheEvent::new(EventKind::PricingUpdated, "us-east/T4").with_data(&News::default())?;
/// assert!(event.data::<News>()?.booking.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct News {
    /// The GPU it is about, if it is about one.
    pub gpu: Option<GpuId>,
    /// The booking that was decided.
    pub booking: Option<BookingNews>,
    /// The provider that went offline or came back.
    pub provider: Option<(ProviderId, ProviderStatus)>,
    /// The shelves that changed, as they are now.
    pub shelves: Vec<ShelfNews>,
}

/// A decided booking, without its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingNews {
    /// Which booking.
    pub id: BookingId,
    /// What was decided.
    pub change: ChangeKind,
    /// When it takes the GPU.
    pub interval: Interval,
    /// What it was booked at.
    pub price_per_hour: Money,
    /// What it costs.
    pub total_cost: Money,
}

/// A shelf after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfNews {
    /// Which shelf.
    pub shelf: ShelfKey,
    /// The factor on its base prices.
    pub multiplier: Multiplier,
    /// Its GPUs by state.
    pub states: StateCounts,
}

impl BookingNews {
    pub(super) fn of(booking: &Booking, change: ChangeKind) -> Self {
        Self {
            id: booking.id.clone(),
            change,
            interval: booking.interval,
            price_per_hour: booking.quote.price_per_hour,
            total_cost: booking.total_cost,
        }
    }

    /// The kind of event that tells of it.
    pub(super) fn kind(&self) -> EventKind {
        match self.change {
            ChangeKind::Confirmed => EventKind::BookingCreated,
            ChangeKind::Cancelled | ChangeKind::Released | ChangeKind::Completed => {
                EventKind::BookingCancelled
            }
            ChangeKind::Held | ChangeKind::Expired | ChangeKind::Extended => {
                EventKind::GpuAvailabilityChanged
            }
        }
    }
}

impl ShelfNews {
    pub(super) fn of(sheet: &PriceSheet) -> Self {
        Self {
            shelf: sheet.shelf.clone(),
            multiplier: sheet.multiplier,
            states: sheet.whole.states,
        }
    }
}

/// The decisions this node has told of or heard of: what remains are those whose own node may have died first.
/// Forgetting one costs a second announcement and nothing else.
#[derive(Default)]
pub(super) struct Heard(Mutex<Marks>);

#[derive(Default)]
struct Marks {
    known: HashSet<u64>,
    oldest_first: VecDeque<u64>,
}

/// Decisions remembered: some minutes at the highest rate one node hears of, in a megabyte.
const REMEMBERED: usize = 1 << 16;

impl Heard {
    /// Hears what every node tells.
    pub(super) fn listen(self: &Arc<Self>, cache: &EdgeCache) -> Subscription {
        let heard = Arc::clone(self);
        cache.on(bookings(), move |delivery| {
            heard.hear(&delivery);
            std::future::ready(())
        })
    }

    /// Hands each decision to `handle` the first time it is told, however many nodes tell of it.
    pub(super) fn each_once(
        cache: &EdgeCache,
        handle: impl Fn(BookingNews) + Send + Sync + 'static,
    ) -> Subscription {
        let heard = Self::default();
        cache.on(bookings(), move |delivery| {
            if let Delivery::Event(event) = &delivery
                && let Some(booking) = booking_of(event)
                && !heard.contains(&booking.id, booking.change, &booking.interval)
            {
                heard.insert(&booking);
                handle(booking);
            }
            std::future::ready(())
        })
    }

    pub(super) fn contains(&self, id: &BookingId, change: ChangeKind, interval: &Interval) -> bool {
        self.marks(|marks| marks.known.contains(&mark(id, change, interval)))
    }

    /// A confirmed booking was held before; who heard of the one needs not hear of the other.
    pub(super) fn insert(&self, booking: &BookingNews) {
        let BookingNews {
            id, change, interval, ..
        } = booking;
        self.marks(|marks| {
            marks.insert(mark(id, *change, interval));
            if *change == ChangeKind::Confirmed {
                marks.insert(mark(id, ChangeKind::Held, interval));
            }
        });
    }

    fn hear(&self, delivery: &Delivery) {
        if let Delivery::Event(event) = delivery
            && let Some(booking) = booking_of(event)
        {
            self.insert(&booking);
        }
    }

    fn marks<T>(&self, act: impl FnOnce(&mut Marks) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Marks {
    fn insert(&mut self, mark: u64) {
        if self.known.insert(mark) {
            self.oldest_first.push_back(mark);
        }
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn bookings() -> Filter {
    Filter::kind(EventKind::BookingCreated)
        .or_kind(EventKind::BookingCancelled)
        .or_kind(EventKind::GpuAvailabilityChanged)
}

fn booking_of(event: &CacheEvent) -> Option<BookingNews> {
    event.data::<News>().ok()?.booking
}

/// A booking changes once in each way, except that it may be extended again.
fn mark(id: &BookingId, change: ChangeKind, interval: &Interval) -> u64 {
    let again = match change {
        ChangeKind::Extended => interval.end().as_millis().cast_unsigned(),
        _ => 0,
    };
    xxh3_64_with_seed(id.as_str().as_bytes(), change as u64 ^ again << 8)
}
