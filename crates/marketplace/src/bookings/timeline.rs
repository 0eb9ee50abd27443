//! One GPU's bookings and every decision about them, as pure functions of the request and the instant.
//!
//! It takes no lock, reads no clock and publishes nothing: the store around it does. Every store decides by this one
//! code, whether it keeps a timeline in memory or loads from a database the part that a request can touch.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::bookings::{Holder, KEY_RETENTION};
use crate::{
    Booking, BookingId, BookingOutcome, BookingState, BookingStoreError, CancelRequest, ChangeKind,
    CompleteRequest, ConfirmRequest, ErrorKind, ExtendRequest, Fence, HoldRequest, Interval, PriceVersion,
    StoreTime,
};

/// What a decision did, and the booking right after it.
pub type Transition = (ChangeKind, Booking);

/// The bookings of one GPU. Those that take their interval are disjoint, so ordering them by start makes every
/// overlap check a look at one neighbour.
///
/// ```
/// use marketplace::{Fence, PriceVersion, StoreTime};
/// use marketplace::bookings::Timeline;
/// let timeline = Timeline::loaded(Fence(7), PriceVersion(2), []);
/// assert_eq!(timeline.at(StoreTime::from_millis(0)), (None, None), "nobody has it, and nobody will");
/// ```
#[derive(Debug, Default)]
pub struct Timeline {
    last_fence: u64,
    price: PriceVersion,
    bookings: HashMap<BookingId, Booking>,
    by_start: BTreeMap<StoreTime, BookingId>,
    /// Cancelled and expired bookings by when they became so, oldest first.
    given_back: VecDeque<(StoreTime, BookingId)>,
}

impl Timeline {
    /// A GPU's last fence, its base price's version, and the bookings of it that a decision may depend on.
    pub fn loaded(fence: Fence, price: PriceVersion, bookings: impl IntoIterator<Item = Booking>) -> Self {
        let mut timeline = Self {
            last_fence: fence.0,
            price,
            ..Self::default()
        };
        for booking in bookings {
            if booking.state.takes_its_interval() {
                let start = booking.interval.start();
                timeline.by_start.insert(start, booking.id.clone());
            }
            timeline.bookings.insert(booking.id.clone(), booking);
        }
        timeline
    }

    /// The fence of the last grant.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence(self.last_fence)
    }

    /// The base price's version.
    #[must_use]
    pub fn price(&self) -> PriceVersion {
        self.price
    }

    /// Whether booking `id` is one of these.
    #[must_use]
    pub fn knows(&self, id: &BookingId) -> bool {
        self.bookings.contains_key(id)
    }

    /// Takes the interval when it is free at `now`, as booking `id`; what was changed is added to `out`.
    ///
    /// # Errors
    /// `Rejected` when the interval is already over or its cost does not fit.
    pub fn hold(
        &mut self,
        request: &HoldRequest,
        id: BookingId,
        now: StoreTime,
        out: &mut Vec<Transition>,
    ) -> Result<BookingOutcome, BookingStoreError> {
        let rejected = |message: String| BookingStoreError::new(ErrorKind::Rejected, message);
        let end = request.interval.end();
        if end <= now {
            let (end, now) = (end.as_millis(), now.as_millis());
            let message = format!("the interval ended at {end} ms, and it is {now} ms: it must end later");
            return Err(rejected(message));
        }
        let cost = request.quote.cost_of(&request.interval);
        let total_cost =
            cost.map_err(|error| rejected("the cost does not fit".to_owned()).caused_by(error))?;
        if request.quote.version < self.price {
            return Ok(BookingOutcome::Gone);
        }
        if let Some(taken) = self.taken(&request.interval, now, out) {
            let (with, end) = (taken.id.clone(), taken.interval.end());
            return Ok(BookingOutcome::Conflict {
                with,
                next_free: self.next_free(&request.interval, end, now, out),
            });
        }
        self.last_fence += 1;
        let fence = Fence(self.last_fence);
        let booking = Booking {
            id: id.clone(),
            gpu: request.gpu.clone(),
            user: request.user.clone(),
            interval: request.interval,
            state: BookingState::Held {
                until: now.plus(request.ttl).min(request.interval.end()),
            },
            quote: request.quote,
            total_cost,
            created: now,
            fence,
        };
        self.by_start.insert(booking.interval.start(), id.clone());
        self.bookings.insert(id.clone(), booking.clone());
        out.push((ChangeKind::Held, booking));
        Ok(BookingOutcome::Won { id, fence })
    }

    /// Buys a hold, as [`BookingStore::confirm`](crate::BookingStore::confirm) says.
    pub fn confirm(
        &mut self,
        request: &ConfirmRequest,
        now: StoreTime,
        out: &mut Vec<Transition>,
    ) -> BookingOutcome {
        self.expire(&request.id, now, out);
        let price = self.price;
        let held = self.bookings.get_mut(&request.id).filter(|booking| {
            booking.user == request.user
                && booking.fence == request.fence
                && matches!(booking.state, BookingState::Held { .. })
                && booking.quote.version >= price
        });
        let Some(booking) = held else {
            return BookingOutcome::Gone;
        };
        booking.state = BookingState::Confirmed;
        out.push((ChangeKind::Confirmed, booking.clone()));
        BookingOutcome::Won {
            id: booking.id.clone(),
            fence: booking.fence,
        }
    }

    /// Whether [`confirm`](Self::confirm) would win.
    #[must_use]
    pub fn may_confirm(&self, request: &ConfirmRequest, now: StoreTime) -> bool {
        self.bookings.get(&request.id).is_some_and(|booking| {
            booking.user == request.user
                && booking.fence == request.fence
                && matches!(booking.state, BookingState::Held { until } if now < until)
                && booking.quote.version >= self.price
        })
    }

    /// Moves a booking's end, as [`BookingTerms::extend`](crate::BookingTerms::extend) says.
    ///
    /// # Errors
    /// `Rejected` when the new end is not after the present one, or the cost does not fit.
    pub fn extend(
        &mut self,
        request: &ExtendRequest,
        now: StoreTime,
        out: &mut Vec<Transition>,
    ) -> Result<BookingOutcome, BookingStoreError> {
        let own = self.bookings.get(&request.id).filter(|booking| {
            let bought = matches!(
                booking.state_at(now),
                BookingState::Confirmed | BookingState::Active
            );
            bought
                && booking.user == request.user
                && booking.fence == request.fence
                && booking.quote.version >= self.price
        });
        let Some(booking) = own else {
            return Ok(BookingOutcome::Gone);
        };
        let rejected = |message: String| BookingStoreError::new(ErrorKind::Rejected, message);
        let (start, end) = (booking.interval.start(), booking.interval.end());
        let added = Interval::new(end, request.until).map_err(|error| {
            let message = format!(
                "the booking ends at {} ms: a new end must be after that",
                end.as_millis()
            );
            rejected(message).caused_by(error)
        })?;
        let longer = Interval::new(start, request.until)
            .map_err(|error| rejected("the booking is empty".to_owned()).caused_by(error))?;
        let cost = booking.quote.cost_of(&longer);
        let total_cost =
            cost.map_err(|error| rejected("the cost does not fit".to_owned()).caused_by(error))?;
        if let Some(taken) = self.taken(&added, now, out) {
            let (with, end) = (taken.id.clone(), taken.interval.end());
            return Ok(BookingOutcome::Conflict {
                with,
                next_free: self.next_free(&added, end, now, out),
            });
        }
        let Some(booking) = self.bookings.get_mut(&request.id) else {
            return Ok(BookingOutcome::Gone);
        };
        booking.interval = longer;
        booking.total_cost = total_cost;
        out.push((ChangeKind::Extended, booking.clone()));
        Ok(BookingOutcome::Won {
            id: booking.id.clone(),
            fence: booking.fence,
        })
    }

    /// Ends a running booking, as [`BookingTerms::complete`](crate::BookingTerms::complete) says.
    pub fn complete(
        &mut self,
        request: &CompleteRequest,
        now: StoreTime,
        out: &mut Vec<Transition>,
    ) -> BookingOutcome {
        let own = self.bookings.get(&request.id).filter(|booking| {
            let runs = booking.state_at(now) == BookingState::Active;
            runs && booking.user == request.user && booking.fence == request.fence
        });
        // At its first instant nothing was used yet; then it is cancelled rather than completed.
        let used = own.and_then(|booking| Interval::new(booking.interval.start(), now).ok());
        let Some(used) = used else {
            return BookingOutcome::Gone;
        };
        self.release(&request.id, used, ChangeKind::Completed, out);
        BookingOutcome::Won {
            id: request.id.clone(),
            fence: request.fence,
        }
    }

    /// The earliest start from the interval's on at which it is free.
    pub fn first_free(&mut self, wanted: &Interval, now: StoreTime, out: &mut Vec<Transition>) -> StoreTime {
        self.next_free(wanted, wanted.start(), now, out)
    }

    /// When it is free within `window`, as things stand at `now`.
    #[must_use]
    pub fn free(&self, window: &Interval, now: StoreTime) -> Vec<Interval> {
        let standing = self.by_start.values().filter_map(|id| self.bookings.get(id));
        let standing =
            standing.filter(|booking| !has_lapsed(booking, now) && booking.interval.overlaps(window));
        let mut free = Vec::new();
        let mut from = window.start();
        for booking in standing {
            free.extend(Interval::new(from, booking.interval.start()));
            from = from.max(booking.interval.end());
        }
        free.extend(Interval::new(from, window.end()));
        free
    }

    /// Gives a booking back, as [`BookingStore::cancel`](crate::BookingStore::cancel) says.
    pub fn cancel(
        &mut self,
        request: &CancelRequest,
        now: StoreTime,
        out: &mut Vec<Transition>,
    ) -> BookingOutcome {
        self.expire(&request.id, now, out);
        let own = self.bookings.get(&request.id);
        let own = own.filter(|booking| booking.user == request.user && booking.fence == request.fence);
        let Some(booking) = own else {
            return BookingOutcome::Gone;
        };
        let (interval, fence) = (booking.interval, booking.fence);
        match booking.state_at(now) {
            BookingState::Held { .. } | BookingState::Confirmed => {
                self.give_back(
                    &request.id,
                    BookingState::Cancelled,
                    ChangeKind::Cancelled,
                    now,
                    out,
                );
            }
            BookingState::Active => match Interval::new(interval.start(), now) {
                Ok(used) => self.release(&request.id, used, ChangeKind::Released, out),
                Err(_) => self.give_back(
                    &request.id,
                    BookingState::Cancelled,
                    ChangeKind::Cancelled,
                    now,
                    out,
                ),
            },
            _ => return BookingOutcome::Gone,
        }
        BookingOutcome::Won {
            id: request.id.clone(),
            fence,
        }
    }

    /// Expires booking `id` if it is a hold that has lapsed; says whether it did.
    pub fn expire(&mut self, id: &BookingId, now: StoreTime, out: &mut Vec<Transition>) -> bool {
        let lapsed = self
            .bookings
            .get(id)
            .is_some_and(|booking| has_lapsed(booking, now));
        if lapsed {
            self.give_back(id, BookingState::Expired, ChangeKind::Expired, now, out);
        }
        lapsed
    }

    /// Declares `version` the newest of the base price, unless a newer one is known.
    pub fn reprice(&mut self, version: PriceVersion) {
        self.price = self.price.max(version);
    }

    /// The booking as it stands at `now`.
    #[must_use]
    pub fn booking(&self, id: &BookingId, now: StoreTime) -> Option<Booking> {
        self.bookings.get(id).map(|booking| Booking {
            state: booking.state_at(now),
            ..booking.clone()
        })
    }

    /// Who has the GPU at `at`, and when time alone changes that.
    #[must_use]
    pub fn at(&self, at: StoreTime) -> (Option<Holder>, Option<StoreTime>) {
        let stands = |id: &BookingId| self.bookings.get(id).filter(|booking| !has_lapsed(booking, at));
        let latest = self
            .by_start
            .range(..=at)
            .next_back()
            .and_then(|(_, id)| stands(id));
        if let Some(booking) = latest.filter(|booking| booking.interval.holds(at)) {
            let until = match booking.state {
                BookingState::Held { until } => until,
                _ => booking.interval.end(),
            };
            let holder = Holder {
                booking: booking.id.clone(),
                fence: booking.fence,
            };
            return (Some(holder), Some(until));
        }
        let next = self
            .by_start
            .range(at..)
            .find_map(|(start, id)| stands(id).map(|_| *start));
        (None, next)
    }

    /// Drops what has been over for longer than [`KEY_RETENTION`] and returns the names of it.
    pub fn forget_before(&mut self, now: StoreTime) -> Vec<BookingId> {
        let old = |over: StoreTime| over.plus(KEY_RETENTION) <= now;
        let mut forgotten = Vec::new();
        while let Some((_, id)) = self.given_back.pop_front_if(|(at, _)| old(*at)) {
            forgotten.push(id);
        }
        while let Some(first) = self.by_start.first_entry() {
            if self
                .bookings
                .get(first.get())
                .is_some_and(|booking| !old(booking.interval.end()))
            {
                break;
            }
            forgotten.push(first.remove());
        }
        for id in &forgotten {
            self.bookings.remove(id);
        }
        forgotten
    }

    /// The earliest booking that overlaps `interval`, after expiring holds there that have lapsed.
    pub fn taken(
        &mut self,
        interval: &Interval,
        now: StoreTime,
        out: &mut Vec<Transition>,
    ) -> Option<&Booking> {
        while let Some(id) = self.first_overlap(interval) {
            if !self.expire(&id, now, out) {
                return self.bookings.get(&id);
            }
        }
        None
    }

    fn first_overlap(&self, interval: &Interval) -> Option<BookingId> {
        let before = self.by_start.range(..=interval.start()).next_back();
        let reaching_in = before.filter(|(_, id)| {
            self.bookings
                .get(*id)
                .is_some_and(|b| b.interval.overlaps(interval))
        });
        let inside = || self.by_start.range(interval.start()..interval.end()).next();
        reaching_in.or_else(inside).map(|(_, id)| id.clone())
    }

    /// The earliest start from `from` on at which an interval as long as `wanted` is free.
    fn next_free(
        &mut self,
        wanted: &Interval,
        mut from: StoreTime,
        now: StoreTime,
        out: &mut Vec<Transition>,
    ) -> StoreTime {
        while let Some(candidate) = wanted.moved_to(from) {
            match self.taken(&candidate, now, out) {
                Some(booking) => from = booking.interval.end(),
                None => return from,
            }
        }
        StoreTime::END
    }

    fn give_back(
        &mut self,
        id: &BookingId,
        state: BookingState,
        kind: ChangeKind,
        now: StoreTime,
        out: &mut Vec<Transition>,
    ) {
        let Some(booking) = self.bookings.get_mut(id) else {
            return;
        };
        booking.state = state;
        self.by_start.remove(&booking.interval.start());
        self.given_back.push_back((now, id.clone()));
        out.push((kind, booking.clone()));
    }

    fn release(&mut self, id: &BookingId, used: Interval, kind: ChangeKind, out: &mut Vec<Transition>) {
        let Some(booking) = self.bookings.get_mut(id) else {
            return;
        };
        booking.interval = used;
        booking.state = BookingState::Done;
        // A part of an interval costs no more than the whole, which did fit.
        booking.total_cost = booking.quote.cost_of(&used).unwrap_or(booking.total_cost);
        out.push((kind, booking.clone()));
    }
}

fn has_lapsed(booking: &Booking, now: StoreTime) -> bool {
    matches!(booking.state, BookingState::Held { until } if until <= now)
}
