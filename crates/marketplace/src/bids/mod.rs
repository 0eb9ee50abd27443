//! Bids: requests that wait for a GPU of a model in a region, below a price and until a deadline; and the port of the
//! record that keeps them.
//!
//! A bid holds nothing and grants nothing: it is served by a booking like any other, in the order of posting.

mod memory;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::shelf::ShelfKey;
use crate::{BidBookError, BidId, IdempotencyKey, Money, StoreTime, UserId};

pub use memory::MemoryBids;

/// Bids of one user that may wait at once: more than a buyer follows, few enough that no user fills the book.
pub const MOST_BIDS: usize = 100;

/// Keeps the bids that wait. A bid whose deadline has passed waits no longer, whether or not it was removed yet.
///
/// ```
/// use marketplace::{BidBook, BidBookError, ShelfKey};
/// async fn longest_waiting(book: &dyn BidBook, shelf: &ShelfKey) -> Result<Option<String>, BidBookError> {
///     Ok(book.waiting(shelf).await?.first().map(|bid| bid.user.to_string()))
/// }
/// ```
#[async_trait]
pub trait BidBook: Send + Sync {
    /// Posts a bid. The same request again is answered with the same bid while that waits.
    ///
    /// # Errors
    /// `Rejected` when the deadline has passed, another bid waits under the user's key, or the user has [`MOST_BIDS`]
    /// waiting.
    async fn post(&self, request: NewBid) -> Result<Bid, BidBookError>;

    /// Takes a bid back, and says which it was; `None` when the user has none of that name waiting.
    ///
    /// # Errors
    /// When the book cannot be reached.
    async fn withdraw(&self, user: &UserId, id: &BidId) -> Result<Option<Bid>, BidBookError>;

    /// The bids that wait on a shelf, in the order they were posted.
    ///
    /// # Errors
    /// When the book cannot be reached.
    async fn waiting(&self, shelf: &ShelfKey) -> Result<Vec<Bid>, BidBookError>;

    /// The shelves on which bids wait, in order.
    ///
    /// # Errors
    /// When the book cannot be reached.
    async fn shelves(&self) -> Result<Vec<ShelfKey>, BidBookError>;

    /// Notes that attempt `attempt` to serve a bid has failed, and says whether this was the first to say so: the next
    /// attempt has the next number.
    ///
    /// # Errors
    /// When the book cannot be reached.
    async fn failed(&self, id: &BidId, attempt: u32) -> Result<bool, BidBookError>;
}

/// Asks to wait for a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewBid {
    /// For whom.
    pub user: UserId,
    /// The caller's name for this request.
    pub key: IdempotencyKey,
    /// Which model, and where.
    pub shelf: ShelfKey,
    /// The most that is paid per hour.
    pub at_most: Money,
    /// For how long the GPU is wanted, from the instant at which it is had.
    pub length: Duration,
    /// The first instant, by the store's clock, at which it is no longer wanted.
    pub until: StoreTime,
}

/// A request that waits.
///
/// ```
/// use std::time::Duration;
/// use marketplace::{Bid, BidId, Currency, GpuModel, Money, Region, ShelfKey, StoreTime, UserId};
/// let bid = Bid {
///     id: BidId::new("bid-1")?,
///     user: UserId::new("ada")?,
///     shelf: ShelfKey { region: Region::new("us-east")?, model: GpuModel::new("H100")? },
///     at_most: Money::parse("2.50", Currency::USD)?,
///     length: Duration::from_secs(3_600),
///     until: StoreTime::from_millis(60_000),
///     posted: StoreTime::from_millis(0),
///     attempt: 0,
/// };
/// assert!(bid.waits_at(StoreTime::from_millis(59_999)) && !bid.waits_at(bid.until));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    /// Its name.
    pub id: BidId,
    /// Whose it is.
    pub user: UserId,
    /// Which model, and where.
    pub shelf: ShelfKey,
    /// The most that is paid per hour.
    pub at_most: Money,
    /// For how long the GPU is wanted.
    pub length: Duration,
    /// The first instant at which it is no longer wanted.
    pub until: StoreTime,
    /// When it was posted.
    pub posted: StoreTime,
    /// How many attempts to serve it have failed: the number of the next one.
    pub attempt: u32,
}

impl Bid {
    /// Whether its deadline is still to come.
    #[must_use]
    pub fn waits_at(&self, now: StoreTime) -> bool {
        now < self.until
    }
}
