//! A booking store that records what is asked of the one behind it, and what it answers.
//!
//! It changes nothing on the way: neither requests nor outcomes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::history::{Answer, Call, History, Operation, Tick};
use super::tape::Entry;
use crate::{
    BookingGroups, BookingOutcome, BookingStore, BookingStoreError, BookingTerms, CancelRequest,
    CompleteRequest, ConfirmRequest, ConfirmSeveralRequest, ErrorKind, ExtendRequest, GpuId, Guarantee,
    HoldRequest, HoldSeveralRequest, PriceVersion, StoreClock,
};

/// Records the calls of a store for the checks.
///
/// ```
/// use std::sync::Arc;
/// use marketplace::checks::{Recorder, linearizable};
/// use marketplace::{BookingStore, GpuId, ManualClock, MemoryBookings, PriceVersion, StoreTime};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
/// let recorder = Recorder::new(Arc::new(MemoryBookings::new(clock.clone())), clock);
/// recorder.reprice(&GpuId::new("gpu-1")?, PriceVersion(1)).await?;
/// linearizable(&recorder.history())?;
/// # Ok(()) }
/// ```
pub struct Recorder {
    store: Arc<dyn BookingStore>,
    groups: Option<Arc<dyn BookingGroups>>,
    terms: Option<Arc<dyn BookingTerms>>,
    clock: Arc<dyn StoreClock>,
    listener: Option<Listener>,
    ticks: AtomicU64,
    history: Mutex<History>,
}

type Listener = Box<dyn Fn(&Entry) + Send + Sync>;

impl Recorder {
    /// Records `store`, whose time is told by `clock`.
    #[must_use]
    pub fn new(store: Arc<dyn BookingStore>, clock: Arc<dyn StoreClock>) -> Self {
        Self {
            store,
            groups: None,
            terms: None,
            clock,
            listener: None,
            ticks: AtomicU64::new(0),
            history: Mutex::default(),
        }
    }

    /// Records what `groups` and `terms`, the same store's, decide as well. Without them such requests are `Rejected`.
    #[must_use]
    pub fn with(self, groups: Arc<dyn BookingGroups>, terms: Arc<dyn BookingTerms>) -> Self {
        Self {
            groups: Some(groups),
            terms: Some(terms),
            ..self
        }
    }

    /// Tells `listener` every entry as it is made, in order: what is asked before the store hears of it, and what came back
    /// before the caller does. A recording that was told outlives this process.
    #[must_use]
    pub fn telling(self, listener: impl Fn(&Entry) + Send + Sync + 'static) -> Self {
        Self {
            listener: Some(Box::new(listener)),
            ..self
        }
    }

    /// What was recorded so far. A call whose future was dropped is in it as open.
    #[must_use]
    pub fn history(&self) -> History {
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn began(&self, call: Call) -> usize {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = self.clock.now();
        if let Some(listener) = &self.listener {
            listener(&Entry::Began {
                operation: history.len(),
                call: call.clone(),
                at: earliest,
            });
        }
        history.push(Operation {
            call,
            began: self.tick(),
            earliest,
            answer: None,
        });
        history.len() - 1
    }

    /// An error leaves the operation open: a store that breaks its word may have decided all the same.
    fn ended(&self, index: usize, outcome: &BookingOutcome) {
        if *outcome == BookingOutcome::Uncertain {
            return;
        }
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = Answer {
            outcome: outcome.clone(),
            ended: self.tick(),
            latest: self.clock.now(),
        };
        if let Some(listener) = &self.listener {
            listener(&Entry::Ended {
                operation: index,
                outcome: outcome.clone(),
                at: answer.latest,
            });
        }
        history[index].answer = Some(answer);
    }

    fn tick(&self) -> Tick {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }
}

#[async_trait]
impl BookingStore for Recorder {
    async fn hold(&self, request: HoldRequest) -> Result<BookingOutcome, BookingStoreError> {
        let index = self.began(Call::Hold(request.clone()));
        self.store
            .hold(request)
            .await
            .inspect(|outcome| self.ended(index, outcome))
    }

    async fn confirm(&self, request: ConfirmRequest) -> Result<BookingOutcome, BookingStoreError> {
        let index = self.began(Call::Confirm(request.clone()));
        self.store
            .confirm(request)
            .await
            .inspect(|outcome| self.ended(index, outcome))
    }

    async fn cancel(&self, request: CancelRequest) -> Result<BookingOutcome, BookingStoreError> {
        let index = self.began(Call::Cancel(request.clone()));
        self.store
            .cancel(request)
            .await
            .inspect(|outcome| self.ended(index, outcome))
    }

    async fn expire_holds(&self, limit: usize) -> Result<usize, BookingStoreError> {
        self.store.expire_holds(limit).await
    }

    async fn reprice(&self, gpu: &GpuId, version: PriceVersion) -> Result<(), BookingStoreError> {
        let index = self.began(Call::Reprice(gpu.clone(), version));
        self.store
            .reprice(gpu, version)
            .await
            .inspect(|()| self.ended(index, &BookingOutcome::Gone))
    }

    fn guarantee(&self) -> Guarantee {
        self.store.guarantee()
    }
}

#[async_trait]
impl BookingGroups for Recorder {
    async fn hold_several(&self, request: HoldSeveralRequest) -> Result<BookingOutcome, BookingStoreError> {
        let groups = self.groups.as_ref().ok_or_else(not_handed_in)?;
        let index = self.began(Call::HoldSeveral(request.clone()));
        let outcome = groups.hold_several(request).await;
        outcome.inspect(|outcome| self.ended(index, outcome))
    }

    async fn confirm_several(
        &self,
        request: ConfirmSeveralRequest,
    ) -> Result<BookingOutcome, BookingStoreError> {
        let groups = self.groups.as_ref().ok_or_else(not_handed_in)?;
        let index = self.began(Call::ConfirmSeveral(request.clone()));
        let outcome = groups.confirm_several(request).await;
        outcome.inspect(|outcome| self.ended(index, outcome))
    }
}

#[async_trait]
impl BookingTerms for Recorder {
    async fn extend(&self, request: ExtendRequest) -> Result<BookingOutcome, BookingStoreError> {
        let terms = self.terms.as_ref().ok_or_else(not_handed_in)?;
        let index = self.began(Call::Extend(request.clone()));
        let outcome = terms.extend(request).await;
        outcome.inspect(|outcome| self.ended(index, outcome))
    }

    async fn complete(&self, request: CompleteRequest) -> Result<BookingOutcome, BookingStoreError> {
        let terms = self.terms.as_ref().ok_or_else(not_handed_in)?;
        let index = self.began(Call::Complete(request.clone()));
        let outcome = terms.complete(request).await;
        outcome.inspect(|outcome| self.ended(index, outcome))
    }
}

fn not_handed_in() -> BookingStoreError {
    BookingStoreError::new(
        ErrorKind::Rejected,
        "the recorder was made without that port; hand it in by `with`",
    )
}
