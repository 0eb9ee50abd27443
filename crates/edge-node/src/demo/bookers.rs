//! The tenants: each task books its GPUs when it is due, and gives them back when it ends.
//!
//! They believe what a node shows them and let the booking store decide; who loses tries the next GPU.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Clock, Moment};
use futures_util::future::join_all;
use marketplace::{
    BookingId, BookingOutcome, CancelRequest, Effects, Fence, Gpu, GpuModel, IdempotencyKey, Interval,
    MarketError, NameError, NewBooking, SearchFilter, StoreClock, UserId,
};
use tokio::time::Instant;

use super::content::Told;
use super::fleet::{Fleet, Node};
use super::schedule::Planned;
use super::spans::Spans;

/// GPUs that a task is shown beyond those it wants: a page of them. Hundreds are booked a second, so that many of a
/// shorter list would be gone before the list is shown.
const CHOICE: usize = 64;
/// GPUs that a task tries for each one it wants, before it asks for another list.
const TRIES: usize = 8;
/// Lists asked for before a task does without the rest of its GPUs.
const ROUNDS: u32 = 5;
/// Times a request is repeated under its key when its answer is lost.
const REPEATS: u32 = 20;
/// No booking ends by itself during a run: what ends it is its cancellation.
const SHORTEST: Duration = Duration::from_secs(24 * 60 * 60);

/// All tenants together, and what became of their requests.
pub struct Tenants {
    fleet: Arc<Fleet>,
    /// Models by how many GPUs there are of each: what a task asks for is drawn from these.
    models: Vec<GpuModel>,
    start: Instant,
    counts: Counts,
    told: Mutex<HashMap<BookingId, Told>>,
    lateness: Mutex<Spans>,
}

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Counts {
    /// Bookings asked for.
    pub attempted: AtomicU64,
    /// Bookings granted.
    pub won: AtomicU64,
    /// Refused because somebody else has the GPU.
    pub conflict: AtomicU64,
    /// Given back.
    pub cancelled: AtomicU64,
    /// Decided, but not yet told to every node when the call returned.
    pub queued: AtomicU64,
    /// GPUs that a task wanted and did not get.
    pub unserved: AtomicU64,
    /// Tasks that have ended.
    pub done: AtomicU64,
}

struct Granted {
    id: BookingId,
    fence: Fence,
}

impl Tenants {
    /// Tenants of a fleet whose run starts now.
    #[must_use]
    pub fn of(fleet: Arc<Fleet>, models: Vec<GpuModel>) -> Self {
        Self {
            fleet,
            models,
            start: Instant::now(),
            counts: Counts::default(),
            told: Mutex::default(),
            lateness: Mutex::default(),
        }
    }

    /// What became of the requests so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How late each booking and cancellation began, measured against the compressed clock.
    #[must_use]
    pub fn lateness(&self) -> Spans {
        self.lateness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// When the effects of each booking and of its end were known to stand.
    #[must_use]
    pub fn told(&self) -> HashMap<BookingId, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One task from its booking to its end.
    pub async fn live(self: Arc<Self>, number: usize, task: Planned) {
        self.wait_until(task.books_at).await;
        // The names below are made of numbers; they are names.
        let granted = self.book(number, &task).await.unwrap_or_default();
        if let Some(at) = task.releases_at {
            self.wait_until(at).await;
            // Whoever answers: not the node that booked, but one near it.
            let node = self.node(number, 1);
            join_all(
                granted
                    .iter()
                    .map(|granted| self.give_back(node, number, granted)),
            )
            .await;
        }
        self.counts.done.fetch_add(1, Ordering::Relaxed);
    }

    async fn wait_until(&self, after: Duration) {
        let due = self.start + after;
        tokio::time::sleep_until(due).await;
        self.lateness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record(due.elapsed());
    }

    async fn book(&self, number: usize, task: &Planned) -> Result<Vec<Granted>, NameError> {
        let model = self.wish(number);
        let node = self.node(number, 0);
        let mut granted: Vec<Granted> = Vec::new();
        let mut tried = 0;
        for round in 0..ROUNDS {
            let missing = task.gpus as usize - granted.len();
            if missing == 0 {
                break;
            }
            // Near and of the wanted model at first; anything anywhere in the end.
            let filter = SearchFilter {
                region: (round < 2).then(|| node.region.clone()),
                model: model.filter(|_| round < 3).cloned(),
                ..SearchFilter::default()
            };
            let list = node.market.search_gpus(filter, missing + CHOICE).await;
            let mut list = list.map(|answer| answer.value).unwrap_or_default();
            // Tastes differ: those who are shown the same list do not all begin at its top.
            let first = number % list.len().max(1);
            list.rotate_left(first);
            for gpu in list.into_iter().take(missing * TRIES) {
                if granted.len() == task.gpus as usize {
                    break;
                }
                tried += 1;
                granted.extend(self.book_one(node, number, task, &gpu, tried).await?);
            }
        }
        self.counts
            .unserved
            .fetch_add(u64::from(task.gpus) - granted.len() as u64, Ordering::Relaxed);
        Ok(granted)
    }

    async fn book_one(
        &self,
        node: &Node,
        number: usize,
        task: &Planned,
        gpu: &Gpu,
        tried: u32,
    ) -> Result<Option<Granted>, NameError> {
        let Ok(Some(quote)) = node.market.quote(&gpu.id).await.map(|answer| answer.value) else {
            return Ok(None);
        };
        let now = self.fleet.clock.now();
        let Ok(interval) = Interval::new(now, now.plus(task.length.max(SHORTEST))) else {
            return Ok(None);
        };
        let request = NewBooking {
            user: user(number)?,
            key: IdempotencyKey::new(format!("book/{tried}"))?,
            gpu: gpu.id.clone(),
            interval,
            quote,
        };
        self.counts.attempted.fetch_add(1, Ordering::Relaxed);
        let booked = until_decided(|| node.market.create_booking(request.clone())).await;
        let Some((outcome, effects)) = booked else {
            return Ok(None);
        };
        match outcome.decision() {
            BookingOutcome::Won { id, fence } => {
                self.counts.won.fetch_add(1, Ordering::Relaxed);
                self.note(id, &effects, |told, at| told.taken = Some(at));
                Ok(Some(Granted {
                    id: id.clone(),
                    fence: *fence,
                }))
            }
            BookingOutcome::Conflict { .. } => {
                self.counts.conflict.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    async fn give_back(&self, node: &Node, number: usize, granted: &Granted) -> Result<(), NameError> {
        let Granted { id, fence } = granted;
        let key = IdempotencyKey::new(format!("end/{id}"))?;
        let request = CancelRequest {
            user: user(number)?,
            key,
            id: id.clone(),
            fence: *fence,
        };
        let booked = until_decided(|| node.market.cancel_booking(request.clone())).await;
        if let Some((outcome, effects)) = booked
            && outcome.won().is_some()
        {
            self.counts.cancelled.fetch_add(1, Ordering::Relaxed);
            self.note(id, &effects, |told, at| told.freed = Some(at));
        }
        Ok(())
    }

    /// Only what is known to stand in the shared store counts as told.
    fn note(&self, id: &BookingId, effects: &Effects, note: impl FnOnce(&mut Told, Moment)) {
        if matches!(effects, Effects::Published { .. }) {
            let at = self.fleet.clock.shared().now();
            note(
                self.told
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(id.clone())
                    .or_default(),
                at,
            );
        } else {
            self.counts.queued.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The model that a task wants.
    fn wish(&self, number: usize) -> Option<&GpuModel> {
        self.models
            .get(number.wrapping_mul(STRIDE) % self.models.len().max(1))
    }

    /// The node for one step of a task: all steps of a task are done in one region.
    fn node(&self, number: usize, step: usize) -> &Node {
        let nodes = &self.fleet.nodes;
        let region = &nodes[number % nodes.len()].region;
        let near = || nodes.iter().filter(|node| node.region == *region);
        let place = (number / nodes.len() + step) % near().count().max(1);
        near().nth(place).unwrap_or(&nodes[0])
    }
}

/// Repeats a request under its key until it is known how it was decided.
async fn until_decided<F>(ask: impl Fn() -> F) -> Option<(BookingOutcome, Effects)>
where
    F: Future<Output = Result<marketplace::Booked, MarketError>>,
{
    for _repeat in 0..REPEATS {
        match ask().await {
            Ok(booked) if booked.outcome != BookingOutcome::Uncertain => {
                return Some((booked.outcome, booked.effects));
            }
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    None
}

/// Every task is a tenant of its own, so that its keys are.
fn user(number: usize) -> Result<UserId, NameError> {
    UserId::new(format!("tenant-{number}"))
}

/// Walks through the list of models in steps that have no factor in common with it, so that neighbours in time want
/// different models: a large prime.
const STRIDE: usize = 2_147_483_647;
