//! Bookers in a process of their own that is killed in the middle, and what can still be told of it: each entry of its
//! recording had left it before the next step was taken.
//!
//! It kills nothing but processes it started.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use marketplace::checks::{Call, Entry, Recorder, played};
use marketplace::{
    BookingGroups, BookingOutcome, BookingStore, BookingStoreError, BookingTerms, ManualClock, StoreClock,
    StoreTime, SystemOfRecord,
};

use super::bookers::{Bookers, asks_for, resolved};
use super::judgement::judge;
use super::{BOOKINGS, Judged, Size, recorder};

/// Tells the process with the bookers from which number on each of them asks. Without it, it does nothing.
const FROM: &str = "STRESS_FROM";
/// Tells it what time it is, in milliseconds.
const NOW: &str = "STRESS_NOW";
/// Begins every line that is an entry of the recording; a test program writes others.
const ENTRY: &str = "entry ";
/// How often the process is killed before it may end by itself.
const KILLS: u64 = 2;
/// How far the bookers may have moved their clock on without having told, in milliseconds: a few for each of them.
const UNTOLD: Duration = Duration::from_millis(1_000);

/// This test program once more, to run its ignored test of that name and no other.
///
/// # Panics
/// When this program's file is gone.
#[must_use]
pub fn this_program(test: &str) -> Command {
    let mut program = Command::new(std::env::current_exe().expect("it runs"));
    program.args(["--exact", "--ignored", "--nocapture", test]);
    program
}

/// Lets `program`, which calls [`book_until_killed`], ask for all bookings of `size`, and kills it twice on the way, at a
/// third and two thirds. After each kill the store is opened here, and every second request that was cut off is asked again
/// under its key; the others stay open to the end. Judges the whole like [`stress`](super::stress).
///
/// # Panics
/// When a promise was broken; the message says which.
pub async fn stress_killed<S: SystemOfRecord + 'static>(
    program: impl Fn() -> Command,
    open: impl AsyncFn(Arc<ManualClock>) -> S,
    size: Size,
) -> Judged {
    let mut from = vec![0; usize::try_from(size.bookers).expect("few")];
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let (mut recordings, mut kills) = (Vec::new(), 0);
    loop {
        let mut child = program();
        let told: Vec<String> = from.iter().map(u64::to_string).collect();
        child
            .env(BOOKINGS, size.bookings.to_string())
            .env(FROM, told.join(","))
            .env(NOW, clock.now().as_millis().to_string());
        let enough = size.bookers * size.bookings * (kills + 1) / (KILLS + 1);
        let kill_at = (kills < KILLS).then_some(enough);
        let reading = tokio::task::spawn_blocking(move || recorded(child, from, kill_at));
        let recording;
        (recording, from) = reading.await.expect("the process is read");
        for entry in &recording {
            let (Entry::Began { at, .. } | Entry::Ended { at, .. }) = entry;
            clock.advance_to(at.plus(UNTOLD));
        }
        let cut_off = open_calls(&recording);
        recordings.push(recording);
        if kill_at.is_none() {
            break;
        }
        kills += 1;
        assert!(!cut_off.is_empty(), "nothing was under way when it was killed");
        let store = Arc::new(open(clock.clone()).await);
        recordings.push(asked_again(&store, &clock, cut_off.iter().step_by(2)).await);
    }
    let store = open(clock.clone()).await;
    let judged = judge(&played(recordings), &store, &*clock).await;
    Judged {
        kills: usize::try_from(kills).expect("few"),
        ..judged
    }
}

/// The bookers' side: asks as it was told to in the environment, and tells every entry of the recording before it goes on.
/// It returns when all bookings were asked for, or at once in a process that nobody told anything.
///
/// # Panics
/// When what it was told makes no sense, or nobody listens.
#[expect(
    clippy::disallowed_methods,
    reason = "its parent hands over what to do in the environment"
)]
pub async fn book_until_killed<S: SystemOfRecord + 'static>(open: impl AsyncFnOnce(Arc<ManualClock>) -> S) {
    let (Ok(from), Ok(now)) = (std::env::var(FROM), std::env::var(NOW)) else {
        return;
    };
    let from = from
        .split(',')
        .map(|number| number.parse().expect("a number"))
        .collect::<Vec<u64>>();
    let now = now.parse().expect("milliseconds");
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(now)));
    let store = Arc::new(open(clock.clone()).await);
    // The test program's own words end here.
    tell("\n");
    let recorder = recorder(&store, &clock).telling(|entry| {
        let entry = serde_json::to_string(entry).expect("entries can be written");
        tell(&format!("{ENTRY}{entry}\n"));
    });
    let bookers = Arc::new(Bookers::new(recorder, clock, Size::asked_for()));
    bookers.run(&from).await;
}

fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).expect("somebody listens");
    out.flush().expect("somebody listens");
}

/// What the process told, until it ended, or with `kill_at` until it was killed, when that many bookings were asked for since
/// the beginning. `from` is how many each booker had asked for, before and after.
fn recorded(mut program: Command, mut from: Vec<u64>, kill_at: Option<u64>) -> (Vec<Entry>, Vec<u64>) {
    let mut child = program.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut recording = Vec::new();
    while let Some(line) = lines.next() {
        let line = line.expect("it can be read");
        let Some(entry) = line.strip_prefix(ENTRY) else {
            continue;
        };
        let Ok(entry) = serde_json::from_str(entry) else {
            assert!(
                lines.next().is_none(),
                "only the line it was killed in is half told"
            );
            break;
        };
        if let Some((booker, number)) = asked_for(&entry).filter(|(booker, number)| from[*booker] <= *number)
        {
            from[booker] = number + 1;
            if kill_at == Some(from.iter().sum()) {
                child.kill().expect("it runs");
            }
        }
        recording.push(entry);
    }
    let ended = child.wait().expect("it was started");
    assert_eq!(
        ended.success(),
        kill_at.is_none(),
        "it was killed, or ended well: {ended}"
    );
    (recording, from)
}

/// Which booker asks for which of its bookings, be it once more.
fn asked_for(entry: &Entry) -> Option<(usize, u64)> {
    let Entry::Began { call, .. } = entry else {
        return None;
    };
    let (user, key, _) = call.identity()?;
    asks_for(&user, &key)
}

/// Requests whose answer was not told, whichever attempt it would have answered.
fn open_calls(recording: &[Entry]) -> Vec<Call> {
    let mut calls: Vec<(&Call, bool)> = Vec::new();
    for entry in recording {
        match entry {
            Entry::Began { call, .. } => calls.push((call, false)),
            Entry::Ended { operation, .. } => calls[*operation].1 = true,
        }
    }
    let answered: std::collections::HashSet<_> = calls
        .iter()
        .filter(|(_, answered)| *answered)
        .map(|(call, _)| call.identity())
        .collect();
    let mut open: Vec<Call> = Vec::new();
    for (call, _) in calls.into_iter().filter(|(_, answered)| !answered) {
        if !answered.contains(&call.identity()) && !open.contains(call) {
            open.push(call.clone());
        }
    }
    open
}

/// Asks for what was cut off once more, under the same keys, and returns the recording of it.
async fn asked_again<S: SystemOfRecord + 'static>(
    store: &Arc<S>,
    clock: &Arc<ManualClock>,
    calls: impl Iterator<Item = &Call>,
) -> Vec<Entry> {
    let recording = Arc::new(Mutex::new(Vec::new()));
    let told = recording.clone();
    let recorder = recorder(store, clock).telling(move |entry| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(entry.clone());
    });
    let failed = AtomicU64::new(0);
    for call in calls {
        let outcome = resolved(&failed, || ask(&recorder, call)).await;
        assert_ne!(
            outcome,
            BookingOutcome::IdempotencyMismatch,
            "it is the same request"
        );
    }
    std::mem::take(&mut *recording.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn ask(recorder: &Recorder, call: &Call) -> Result<BookingOutcome, BookingStoreError> {
    match call.clone() {
        Call::Hold(request) => recorder.hold(request).await,
        Call::Confirm(request) => recorder.confirm(request).await,
        Call::Cancel(request) => recorder.cancel(request).await,
        Call::HoldSeveral(request) => recorder.hold_several(request).await,
        Call::ConfirmSeveral(request) => recorder.confirm_several(request).await,
        Call::Extend(request) => recorder.extend(request).await,
        Call::Complete(request) => recorder.complete(request).await,
        Call::Reprice(gpu, version) => recorder
            .reprice(&gpu, version)
            .await
            .map(|()| BookingOutcome::Gone),
    }
}
