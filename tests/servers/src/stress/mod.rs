//! Bookers that ask a store for everything it can decide, at once and at random, over a network that loses answers; and the
//! judgement over all of it, also when their process is killed in the middle.
//!
//! What is drawn comes from a seed; the order in which the requests meet is the machine's.

mod bookers;
mod judgement;
mod lossy;
mod processes;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use marketplace::checks::Recorder;
use marketplace::{ManualClock, SystemOfRecord};

use self::bookers::Bookers;
use self::judgement::judge;
use self::lossy::Lossy;

pub use processes::{book_until_killed, stress_killed, this_program};

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Bookers at once.
    pub bookers: u64,
    /// How many bookings each of them asks for.
    pub bookings: u64,
    /// GPUs there are.
    pub gpus: u64,
}

impl Size {
    /// The 16 bookers and 500 GPUs that the promise is made for; the number of bookings is what one has time for, in
    /// `STRESS_BOOKINGS`, or few enough for every test run.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test program is its own composition root"
    )]
    pub fn asked_for() -> Self {
        let bookings = std::env::var(BOOKINGS).ok().and_then(|text| text.parse().ok());
        Self {
            bookers: 16,
            bookings: bookings.unwrap_or(120),
            gpus: 500,
        }
    }
}

/// Names the size in the environment.
const BOOKINGS: &str = "STRESS_BOOKINGS";

/// What became of a run that was judged well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Requests in the recording, repeats included.
    pub requests: usize,
    /// Those without an answer: it was lost on the way, the store failed, or its process was killed.
    pub unanswered: usize,
    /// Changes in the log.
    pub changes: usize,
    /// Requests that failed and were repeated, as far as this process made them.
    pub failed: u64,
    /// How often the bookers' process was killed.
    pub kills: usize,
}

/// Runs `bookers` against `store`, whose time is told by `clock`, and judges: linearizable, one outcome for each key, no
/// overlap, increasing fences, dense cursors, and no booking lost that was answered. `at_half` runs once half of the
/// bookings were asked for.
///
/// # Panics
/// When a promise was broken; the message says which.
pub async fn stress<S: SystemOfRecord + 'static>(
    store: Arc<S>,
    clock: Arc<ManualClock>,
    size: Size,
    at_half: impl Future<Output = ()> + Send + 'static,
) -> Judged {
    let bookers = Arc::new(Bookers::new(recorder(&store, &clock), clock.clone(), size));
    let halfway = bookers.clone();
    let disturbing = tokio::spawn(async move {
        halfway.half.notified().await;
        at_half.await;
    });
    bookers
        .run(&vec![0; usize::try_from(size.bookers).expect("few")])
        .await;
    disturbing.await.expect("the disturbance ends");
    let judged = judge(&bookers.recorder.history(), &*store, &*clock).await;
    Judged {
        failed: bookers.failed.load(Ordering::Relaxed),
        ..judged
    }
}

/// Records what is asked of `store` over a network that loses answers.
fn recorder<S: SystemOfRecord + 'static>(store: &Arc<S>, clock: &Arc<ManualClock>) -> Recorder {
    let lossy = Arc::new(Lossy::of(store.clone()));
    Recorder::new(lossy.clone(), clock.clone()).with(lossy.clone(), lossy)
}
