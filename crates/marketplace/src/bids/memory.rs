//! Bids in memory, by shelf and in the order they were posted.
//!
//! They survive nothing: after the process has ended, whoever still wants a GPU posts again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Bid, BidBook, MOST_BIDS, NewBid};
use crate::shelf::ShelfKey;
use crate::{BidBookError, BidId, ErrorKind, IdempotencyKey, StoreClock, StoreTime, UserId};

/// Keeps bids in memory.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use marketplace::{BidBook, Currency, GpuModel, IdempotencyKey, ManualClock, MemoryBids, Money, NewBid, Region,
///     ShelfKey, StoreTime, UserId};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bids = MemoryBids::new(Arc::new(ManualClock::at(StoreTime::from_millis(0))));
/// let shelf = ShelfKey { region: Region::new("us-east")?, model: GpuModel::new("H100")? };
/// let bid = bids
///     .post(NewBid {
///         user: UserId::new("ada")?,
///         key: IdempotencyKey::new("order-7")?,
///         shelf: shelf.clone(),
///         at_most: Money::parse("2.50", Currency::USD)?,
///         length: Duration::from_secs(3_600),
///         until: StoreTime::from_millis(60_000),
///     })
///     .await?;
/// assert_eq!(bids.waiting(&shelf).await?, [bid]);
/// # Ok(()) }
/// ```
pub struct MemoryBids {
    clock: Arc<dyn StoreClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shelves: BTreeMap<ShelfKey, BTreeMap<u64, Bid>>,
    places: HashMap<BidId, (ShelfKey, u64)>,
    requests: HashMap<UserId, HashMap<IdempotencyKey, (NewBid, BidId)>>,
    posted: u64,
}

impl MemoryBids {
    /// An empty book that goes by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn StoreClock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// The book, without the bids whose deadline has passed.
    fn waiting_now(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.expire(self.clock.now());
        state
    }
}

#[async_trait]
impl BidBook for MemoryBids {
    async fn post(&self, request: NewBid) -> Result<Bid, BidBookError> {
        let mut state = self.waiting_now();
        let now = self.clock.now();
        if request.until <= now {
            let (until, now) = (request.until.as_millis(), now.as_millis());
            return Err(rejected(format!(
                "the bid ends at {until} ms, and it is {now} ms: it must end later"
            )));
        }
        let own = state.requests.get(&request.user);
        if let Some((known, id)) = own.and_then(|own| own.get(&request.key)) {
            let same = *known == request;
            let bid = state.bid(id).cloned().filter(|_| same);
            return bid.ok_or_else(|| {
                let key = &request.key;
                rejected(format!("another bid waits under the key {key}: use a new key"))
            });
        }
        if own.is_some_and(|own| own.len() >= MOST_BIDS) {
            return Err(rejected(format!(
                "{} has {MOST_BIDS} bids waiting: withdraw one first",
                request.user
            )));
        }
        state.posted += 1;
        let number = state.posted;
        let id = BidId::new(format!("bid-{number}"));
        let id = id.map_err(|error| rejected("no id to give".to_owned()).caused_by(error))?;
        let bid = Bid {
            id: id.clone(),
            user: request.user.clone(),
            shelf: request.shelf.clone(),
            at_most: request.at_most,
            length: request.length,
            until: request.until,
            posted: now,
            attempt: 0,
        };
        let shelf = state.shelves.entry(bid.shelf.clone()).or_default();
        shelf.insert(number, bid.clone());
        state.places.insert(id.clone(), (bid.shelf.clone(), number));
        let own = state.requests.entry(bid.user.clone()).or_default();
        own.insert(request.key.clone(), (request, id));
        Ok(bid)
    }

    async fn withdraw(&self, user: &UserId, id: &BidId) -> Result<Option<Bid>, BidBookError> {
        let mut state = self.waiting_now();
        let own = state.bid(id).is_some_and(|bid| bid.user == *user);
        Ok(if own { state.remove(id) } else { None })
    }

    async fn waiting(&self, shelf: &ShelfKey) -> Result<Vec<Bid>, BidBookError> {
        let state = self.waiting_now();
        let bids = state.shelves.get(shelf);
        Ok(bids.map_or_else(Vec::new, |bids| bids.values().cloned().collect()))
    }

    async fn shelves(&self) -> Result<Vec<ShelfKey>, BidBookError> {
        Ok(self.waiting_now().shelves.keys().cloned().collect())
    }

    async fn failed(&self, id: &BidId, attempt: u32) -> Result<bool, BidBookError> {
        let mut state = self.waiting_now();
        let bid = state.bid_mut(id).filter(|bid| bid.attempt == attempt);
        Ok(bid.map(|bid| bid.attempt += 1).is_some())
    }
}

impl State {
    fn bid(&self, id: &BidId) -> Option<&Bid> {
        let (shelf, number) = self.places.get(id)?;
        self.shelves.get(shelf)?.get(number)
    }

    fn bid_mut(&mut self, id: &BidId) -> Option<&mut Bid> {
        let (shelf, number) = self.places.get(id)?;
        self.shelves.get_mut(shelf)?.get_mut(number)
    }

    fn expire(&mut self, now: StoreTime) {
        let bids = self.shelves.values().flat_map(BTreeMap::values);
        let over: Vec<BidId> = bids
            .filter(|bid| !bid.waits_at(now))
            .map(|bid| bid.id.clone())
            .collect();
        for id in over {
            self.remove(&id);
        }
    }

    fn remove(&mut self, id: &BidId) -> Option<Bid> {
        let (shelf, number) = self.places.remove(id)?;
        let bids = self.shelves.get_mut(&shelf)?;
        let bid = bids.remove(&number)?;
        if bids.is_empty() {
            self.shelves.remove(&shelf);
        }
        if let Some(own) = self.requests.get_mut(&bid.user) {
            own.retain(|_, (_, known)| known != id);
            if own.is_empty() {
                self.requests.remove(&bid.user);
            }
        }
        Some(bid)
    }
}

fn rejected(message: String) -> BidBookError {
    BidBookError::new(ErrorKind::Rejected, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Currency, GpuModel, ManualClock, Money, Region};

    fn at(millis: i64) -> StoreTime {
        StoreTime::from_millis(millis)
    }

    fn wanted(user: &str, key: &str, until: i64) -> NewBid {
        NewBid {
            user: UserId::new(user).unwrap(),
            key: IdempotencyKey::new(key).unwrap(),
            shelf: ShelfKey {
                region: Region::new("us").unwrap(),
                model: GpuModel::new("T4").unwrap(),
            },
            at_most: Money::from_micros(1, Currency::USD),
            length: Duration::from_secs(60),
            until: at(until),
        }
    }

    #[tokio::test]
    async fn bids_wait_in_the_order_of_posting_until_withdrawn_or_over() {
        let clock = Arc::new(ManualClock::at(at(0)));
        let bids = MemoryBids::new(clock.clone());
        let mut posted = Vec::new();
        for (user, until) in [("ada", 100), ("bob", 50), ("cyd", 100)] {
            posted.push(bids.post(wanted(user, "k", until)).await.unwrap());
        }
        let shelf = posted[0].shelf.clone();
        assert_eq!(bids.waiting(&shelf).await.unwrap(), posted);
        let bob = &posted[1];
        assert_eq!(
            bids.withdraw(&bob.user, &posted[0].id).await.unwrap(),
            None,
            "not bob's"
        );
        clock.advance_to(at(50));
        assert_eq!(
            bids.withdraw(&bob.user, &bob.id).await.unwrap(),
            None,
            "bob's is over"
        );
        assert!(
            bids.withdraw(&posted[0].user, &posted[0].id)
                .await
                .unwrap()
                .is_some()
        );
        assert_eq!(bids.waiting(&shelf).await.unwrap(), posted[2..]);
        clock.advance_to(at(100));
        assert_eq!(bids.shelves().await.unwrap(), []);
        let state = bids.waiting_now();
        assert!(
            state.places.is_empty() && state.requests.is_empty(),
            "nothing is left behind"
        );
    }

    #[tokio::test]
    async fn the_same_request_again_is_the_same_bid_and_another_under_its_key_is_refused() {
        let bids = MemoryBids::new(Arc::new(ManualClock::at(at(0))));
        let first = bids.post(wanted("ada", "k", 100)).await.unwrap();
        assert_eq!(bids.post(wanted("ada", "k", 100)).await.unwrap(), first);
        let other = bids.post(wanted("ada", "k", 101)).await.unwrap_err();
        assert_eq!(
            other.to_string(),
            "bid book: another bid waits under the key k: use a new key"
        );
        let over = bids.post(wanted("ada", "k2", 0)).await.unwrap_err();
        assert_eq!(
            (over.kind(), over.to_string().as_str()),
            (
                ErrorKind::Rejected,
                "bid book: the bid ends at 0 ms, and it is 0 ms: it must end later"
            )
        );
    }

    #[tokio::test]
    async fn one_user_cannot_fill_the_book() {
        let bids = MemoryBids::new(Arc::new(ManualClock::at(at(0))));
        for number in 0..MOST_BIDS {
            bids.post(wanted("ada", &number.to_string(), 9)).await.unwrap();
        }
        assert!(bids.post(wanted("ada", "more", 9)).await.is_err());
        assert!(bids.post(wanted("bob", "more", 9)).await.is_ok());
    }

    #[tokio::test]
    async fn a_failed_attempt_is_noted_once() {
        let bids = MemoryBids::new(Arc::new(ManualClock::at(at(0))));
        let bid = bids.post(wanted("ada", "k", 9)).await.unwrap();
        assert!(bids.failed(&bid.id, 0).await.unwrap());
        assert!(!bids.failed(&bid.id, 0).await.unwrap());
        assert_eq!(bids.waiting(&bid.shelf).await.unwrap()[0].attempt, 1);
    }
}
