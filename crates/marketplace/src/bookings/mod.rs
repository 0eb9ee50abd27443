//! The ports of the system of record for bookings: three that decide - about one GPU, about several at once, about the end
//! of a booking - and one that reads.
//!
//! They say nothing about how a store keeps its word, only what the word is; the conformance suite holds every
//! store to it.

mod decider;
mod decision;
mod durable;
mod group;
mod memory;
mod request;
mod several;
mod term;
mod timeline;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    Booking, BookingId, BookingLedgerError, BookingStoreError, Fence, GpuId, Interval, PriceVersion,
    StoreTime,
};

pub use decider::BookingDecider;
pub use decision::{BookingRequest, Reach, Scope, decide};
pub use durable::{DurableOnly, LossyStore};
pub use group::{
    BookingGroups, Candidate, ConfirmSeveralRequest, Granted, HoldSeveralRequest, LARGEST_GROUP,
};
pub use memory::MemoryBookings;
pub use request::{CancelRequest, ConfirmRequest, HoldRequest, RequestHash};
pub use term::{BookingTerms, CompleteRequest, ExtendRequest, SystemOfRecord};
pub use timeline::{Timeline, Transition};

/// How long a decided request is remembered under its idempotency key, by the store's clock: a client that lost
/// an answer on Friday evening has resolved it within a day or never will.
pub const KEY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Decides who gets a GPU and when. Every transition is a compare-and-set on the booking's state and fence, so
/// of any number of racing requests exactly one wins.
///
/// Every request carries a user and an idempotency key. The outcome is stored with the request's hash in the
/// same transaction and kept for at least [`KEY_RETENTION`]: the same request again is answered
/// [`Replay`](BookingOutcome::Replay), another request under the same key
/// [`IdempotencyMismatch`](BookingOutcome::IdempotencyMismatch). An error means that nothing was stored.
///
/// ```
/// use marketplace::{BookingStore, BookingStoreError, Guarantee};
/// async fn expire_all(store: &dyn BookingStore) -> Result<usize, BookingStoreError> {
///     let mut expired = 0;
///     loop {
///         let batch = store.expire_holds(1000).await?;
///         expired += batch;
///         if batch < 1000 { return Ok(expired); }
///     }
/// }
/// ```
#[async_trait]
pub trait BookingStore: Send + Sync {
    /// Takes a GPU for an interval until the request's time to live is over, for the user to confirm.
    ///
    /// `Won` when the interval was free; `Conflict` when it was not; `Gone` when the quote is older than the
    /// GPU's base price. A hold that has lapsed stands in nobody's way, whether or not it was expired yet.
    ///
    /// # Errors
    /// `Rejected` when the interval is already over or its cost does not fit.
    async fn hold(&self, request: HoldRequest) -> Result<BookingOutcome, BookingStoreError>;

    /// Makes a held booking a bought one.
    ///
    /// `Gone` when the booking is not the user's, not at that fence, no longer held, or was quoted before the
    /// GPU's base price last changed.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn confirm(&self, request: ConfirmRequest) -> Result<BookingOutcome, BookingStoreError>;

    /// Gives a booking back: a held or confirmed one is cancelled; an active one ends now and costs what was
    /// used.
    ///
    /// `Gone` when the booking is not the user's, not at that fence, or already over.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn cancel(&self, request: CancelRequest) -> Result<BookingOutcome, BookingStoreError>;

    /// Expires up to `limit` holds that have lapsed and says how many it expired; fewer than `limit` means none
    /// are left. It also forgets what is older than [`KEY_RETENTION`].
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn expire_holds(&self, limit: usize) -> Result<usize, BookingStoreError>;

    /// Declares `version` the newest version of the GPU's base price; quotes of an older one are `Gone` from now
    /// on. An older version than the store knows changes nothing.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn reprice(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError>;

    /// What the store promises about the bookings it acknowledged.
    fn guarantee(&self) -> Guarantee;
}

/// Tells what the store has decided.
///
/// ```
/// use marketplace::{BookingLedger, BookingLedgerError, Cursor};
/// /// Drains the change log from `cursor` on and returns where to go on next time.
/// async fn drain(ledger: &dyn BookingLedger, mut cursor: Cursor) -> Result<Cursor, BookingLedgerError> {
///     loop {
///         let changes = ledger.changes_since(cursor, 100).await?;
///         if changes.rows.is_empty() { return Ok(cursor); }
///         cursor = changes.next;
///     }
/// }
/// ```
#[async_trait]
pub trait BookingLedger: Send + Sync {
    /// The booking as it stands now by the store's clock; `None` when there is none of that name, or it was
    /// forgotten after [`KEY_RETENTION`].
    ///
    /// # Errors
    /// When the store cannot be reached or the booking cannot be read.
    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, BookingLedgerError>;

    /// For each of `gpus`, in their order: who has it at `at`, and when time alone will change that.
    ///
    /// # Errors
    /// When the store cannot be reached or a booking cannot be read.
    async fn occupied(&self, gpus: &[GpuId], at: StoreTime) -> Result<Vec<Occupancy>, BookingLedgerError>;

    /// For each of `gpus`, in their order: when it is free within `window`, in order of time, as things stand now. A hold
    /// that lapses within the window takes its whole interval until then.
    ///
    /// # Errors
    /// When the store cannot be reached or a booking cannot be read.
    async fn free(&self, gpus: &[GpuId], window: Interval) -> Result<Vec<Vec<Interval>>, BookingLedgerError>;

    /// Up to `limit` changes after `cursor`, in the order they were decided. Cursors are dense, and a change is
    /// visible only when all before it are: whoever reads on from the last one it saw misses none.
    ///
    /// # Errors
    /// When the store cannot be reached or a change cannot be read.
    async fn changes_since(&self, cursor: Cursor, limit: usize) -> Result<Changes, BookingLedgerError>;
}

/// How a request was decided.
///
/// ```
/// use marketplace::{BookingId, BookingOutcome, Fence};
/// let won = BookingOutcome::Won { id: BookingId::new("b-1")?, fence: Fence(1) };
/// let again = BookingOutcome::Replay(Box::new(won.clone()));
/// assert_eq!(again.won(), won.won());
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BookingOutcome {
    /// The request took effect.
    Won {
        /// The booking.
        id: BookingId,
        /// Its fence, to be named in the next request about it.
        fence: Fence,
    },
    /// A request for several GPUs took effect.
    WonSeveral(Vec<Granted>),
    /// The same request was decided before, as inside; nothing was done now.
    Replay(Box<BookingOutcome>),
    /// The interval is taken.
    Conflict {
        /// The earliest booking that is in the way.
        with: BookingId,
        /// The earliest start from the requested one on at which an interval of that length is free now.
        next_free: StoreTime,
    },
    /// The key was used for another request; nothing was done.
    IdempotencyMismatch,
    /// What the request was about is no longer there: someone else decided first, or the price has moved.
    Gone,
    /// The request may or may not have been decided. Repeat it with the same key until it is.
    Uncertain,
}

impl BookingOutcome {
    /// The decision itself: what a replay repeats, or this.
    #[must_use]
    pub fn decision(&self) -> &Self {
        match self {
            Self::Replay(previous) => previous.decision(),
            decision => decision,
        }
    }

    /// The bookings of a request for several GPUs that took effect, now or before.
    #[must_use]
    pub fn granted(&self) -> &[Granted] {
        match self.decision() {
            Self::WonSeveral(granted) => granted,
            _ => &[],
        }
    }

    /// The booking and its fence when the request took effect, now or before.
    #[must_use]
    pub fn won(&self) -> Option<(BookingId, Fence)> {
        match self.decision() {
            Self::Won { id, fence } => Some((id.clone(), *fence)),
            _ => None,
        }
    }
}

/// What a store promises about the bookings it acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Guarantee {
    /// Decisions are linearizable and survive the loss of the process and its machine's power.
    DurableLinearizable,
    /// Decisions are linearizable while the process that decides lives; its loss may lose acknowledged ones.
    LinearizableUntilFailover,
}

/// Who has one GPU at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupancy {
    /// The GPU asked about.
    pub gpu: GpuId,
    /// Who has it; `None` when it is free.
    pub holder: Option<Holder>,
    /// The next instant at which time alone changes the answer: the holder's end or lapse, or the next booking's
    /// start. `None` when only a decision can change it. A view must not outlive it.
    pub changes_at: Option<StoreTime>,
}

/// The booking that has a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The booking.
    pub booking: BookingId,
    /// Its fence.
    pub fence: Fence,
}

/// A position in the change log; positions are dense and start at [`START`](Self::START).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the first change.
    pub const START: Self = Self(0);
}

/// One decision as the log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its position; the first is 1.
    pub cursor: Cursor,
    /// When it was decided.
    pub at: StoreTime,
    /// What was decided.
    pub kind: ChangeKind,
    /// The booking right after it.
    pub booking: Booking,
}

/// What a decision did to its booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChangeKind {
    /// It took the interval for the user to confirm.
    Held,
    /// It was bought.
    Confirmed,
    /// It was given back before it began.
    Cancelled,
    /// It was given back while it ran.
    Released,
    /// Its end was moved to a later instant.
    Extended,
    /// Its work was done before its end.
    Completed,
    /// It was not confirmed in time.
    Expired,
}

/// A stretch of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The changes, in order.
    pub rows: Vec<Change>,
    /// Where to read on: the last row's cursor, or the one asked from when there is none.
    pub next: Cursor,
    /// Whether rows between the cursor asked from and the first row here are lost.
    pub completeness: Completeness,
}

/// Whether a stretch of the change log begins where it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Nothing is missing.
    Complete,
    /// Older changes were dropped from the log; every view built from it must be rebuilt from the ledger.
    Lagged,
}
