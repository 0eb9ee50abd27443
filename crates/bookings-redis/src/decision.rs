//! One request: its key, what its decision needs, the decision, and what it changed; again, when others were quicker.
//!
//! It takes no lock. What was loaded is one state of the store; the decision is written only if the GPUs it changes, and the
//! request's key, are still as they were in that state. So it is as if it was made in that instant. A refusal changes no GPU
//! and needs only the key.

use std::collections::BTreeMap;

use marketplace::bookings::{BookingRequest, Reach, Scope, Timeline, Transition, decide};
use marketplace::{
    BookingId, BookingOutcome, BookingStoreError, ErrorKind, GpuId, Interval, KEY_RETENTION, PriceVersion,
    StoreTime,
};
use sha2::{Digest, Sha256};

use crate::fault::Fault;
use crate::loaded::{Extent, Loaded, LoadedGpu, Wanted, load};
use crate::packed;
use crate::store::Server;
use crate::written::{Answer, Decision, Moved, commit, moved};

/// How often a decision is made again because others were quicker. Each time one of them went on, so that only a crowd of
/// hundreds on one GPU comes near.
const ATTEMPTS: usize = 1_000;

/// Answers from the request's key, or decides and writes.
pub(crate) async fn decide_once(server: &Server, request: &BookingRequest) -> Result<BookingOutcome, Fault> {
    let field = packed::answer_field(request.user(), request.key());
    for _ in 0..ATTEMPTS {
        let (state, now) = match whole_reach(server, request, &field).await? {
            Known::Answer(outcome, answer) => {
                // It was written, but perhaps not where it should be: that is waited for anew.
                let again = Decision {
                    moved: &[],
                    answer: Some(&answer),
                    transitions: &[],
                    now: answer.decided,
                };
                if server.settings.replicas == 0 || commit(server, &again).await? {
                    return Ok(outcome);
                }
                continue;
            }
            Known::State(state, now) => (state, now),
        };
        let Decided {
            outcome,
            timelines,
            transitions,
        } = over(request, &state, now)?;
        let answer = Answer {
            value: packed::answer(request.hash(), &outcome, now)?,
            seen: state.answer.clone().unwrap_or_default(),
            field: field.clone(),
            decided: now,
        };
        let decision = Decision {
            moved: &moved(&state.gpus, &timelines, &transitions, now)?,
            answer: Some(&answer),
            transitions: &transitions,
            now,
        };
        if commit(server, &decision).await? {
            return Ok(outcome);
        }
    }
    Err(Fault::Crowded)
}

/// Expires up to `limit` of the holds that had lapsed at `now`.
pub(crate) async fn expire(server: &Server, ids: &[BookingId]) -> Result<usize, Fault> {
    for _ in 0..ATTEMPTS {
        let wanted = Wanted {
            answer_field: &[],
            named: ids.iter().collect(),
            gpus: vec![],
            from: StoreTime::END,
            extent: Extent::Near,
        };
        let state = load(&server.deciding, &server.keys, &wanted).await?;
        let now = decided_at(server, &state);
        let mut timelines = timelines(&state, now);
        let mut transitions = Vec::new();
        for booking in &state.named {
            if let Some(timeline) = timelines.get_mut(&booking.gpu) {
                timeline.expire(&booking.id, now, &mut transitions);
            }
        }
        let decision = Decision {
            moved: &moved(&state.gpus, &timelines, &transitions, now)?,
            answer: None,
            transitions: &transitions,
            now,
        };
        if transitions.is_empty() || commit(server, &decision).await? {
            return Ok(transitions.len());
        }
    }
    Err(Fault::Crowded)
}

/// Notes the newest version of a GPU's base price.
pub(crate) async fn reprice(server: &Server, gpu: &GpuId, version: PriceVersion) -> Result<(), Fault> {
    for _ in 0..ATTEMPTS {
        let wanted = Wanted {
            answer_field: &[],
            named: vec![],
            gpus: vec![gpu],
            from: StoreTime::END,
            extent: Extent::Near,
        };
        let state = load(&server.deciding, &server.keys, &wanted).await?;
        let Some(LoadedGpu { seen, record, .. }) = state.gpus.get(gpu) else {
            continue;
        };
        if version <= record.price {
            return Ok(());
        }
        let mut record = record.after(&version.0.to_be_bytes());
        record.price = version;
        let record = record.bytes();
        let decision = Decision {
            moved: &[Moved { gpu, seen, record }],
            answer: None,
            transitions: &[],
            now: decided_at(server, &state),
        };
        if commit(server, &decision).await? {
            return Ok(());
        }
    }
    Err(Fault::Crowded)
}

/// What is known before a request is decided.
enum Known {
    /// It was decided before, and this stands under its key.
    Answer(BookingOutcome, Answer),
    /// All that its decision may depend on, and the instant of it.
    State(Loaded, StoreTime),
}

/// Loads the request's reach: a little at first, and more when that is not enough to be sure.
async fn whole_reach(server: &Server, request: &BookingRequest, field: &[u8]) -> Result<Known, Fault> {
    let (gpus, named) = match request.scope() {
        Scope::Gpus(gpus) => (gpus, vec![]),
        Scope::Bookings(ids) => (vec![], ids),
    };
    let mut reach = request.reach(&[]);
    let mut extent = Extent::Near;
    loop {
        let from = match reach {
            Reach::Named => StoreTime::END,
            Reach::Overlapping(interval) => interval.start(),
        };
        let wanted = Wanted {
            answer_field: field,
            named: named.clone(),
            gpus: gpus.clone(),
            from,
            extent,
        };
        let state = load(&server.deciding, &server.keys, &wanted).await?;
        let now = decided_at(server, &state);
        if let Some((outcome, decided)) = remembered(request, state.answer.as_deref(), now)? {
            let value = state.answer.unwrap_or_default();
            let answer = Answer {
                field: field.to_vec(),
                decided,
                seen: value.clone(),
                value,
            };
            return Ok(Known::Answer(outcome, answer));
        }
        let found = request.reach(&state.named);
        if found != reach {
            // Where a named booking ends is known only now.
            reach = found;
        } else if let (Reach::Overlapping(interval), Extent::Near) = (reach, extent)
            && !is_enough(request, &state, &interval, now)?
        {
            extent = Extent::All;
        } else {
            return Ok(Known::State(state, now));
        }
    }
}

/// Whether what is near tells all: it reaches past the interval, and where nothing is in the way nothing later matters.
fn is_enough(
    request: &BookingRequest,
    state: &Loaded,
    interval: &Interval,
    now: StoreTime,
) -> Result<bool, Fault> {
    let cut: Vec<&LoadedGpu> = state.gpus.values().filter(|gpu| gpu.is_cut).collect();
    if cut.is_empty() {
        return Ok(true);
    }
    let reaches = |gpu: &&LoadedGpu| {
        let last = gpu.standing.last();
        last.is_some_and(|last| last.interval.start() >= interval.end())
    };
    let granted = !matches!(
        over(request, state, now)?.outcome,
        BookingOutcome::Conflict { .. }
    );
    Ok(granted && cut.iter().all(reaches))
}

struct Decided {
    outcome: BookingOutcome,
    timelines: BTreeMap<GpuId, Box<Timeline>>,
    transitions: Vec<Transition>,
}

fn over(request: &BookingRequest, state: &Loaded, now: StoreTime) -> Result<Decided, Fault> {
    let mut timelines = timelines(state, now);
    let mut granted = 0_usize;
    let mut next_id = || {
        granted += 1;
        id(request, now, granted)
    };
    let mut transitions = Vec::new();
    let outcome = decide(request, &mut timelines, &mut next_id, now, &mut transitions)?;
    Ok(Decided {
        outcome,
        timelines,
        transitions,
    })
}

fn timelines(state: &Loaded, now: StoreTime) -> BTreeMap<GpuId, Box<Timeline>> {
    let timeline = |(gpu, loaded): (&GpuId, &LoadedGpu)| {
        let named = state.named.iter().filter(|booking| booking.gpu == *gpu).cloned();
        let named: Vec<_> = named.collect();
        (gpu.clone(), Box::new(loaded.timeline(&named, now)))
    };
    state.gpus.iter().map(timeline).collect()
}

/// The name of the `nth` booking of a request. A server that lost bookings would give a counter's names away a second time,
/// so a name follows from what is granted: to whom, under which key, and when.
fn id(request: &BookingRequest, now: StoreTime, nth: usize) -> Result<BookingId, BookingStoreError> {
    let digest = Sha256::new_with_prefix(packed::answer_field(request.user(), request.key()))
        .chain_update(packed::instant(now))
        .chain_update(nth.to_be_bytes())
        .finalize();
    let name: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    BookingId::new(format!("b-{name}"))
        .map_err(|error| BookingStoreError::new(ErrorKind::Rejected, "no id to give").caused_by(error))
}

/// The instant of a decision: the clock's, but never before the last decision about one of the GPUs.
fn decided_at(server: &Server, state: &Loaded) -> StoreTime {
    let now = server.time(state.now);
    let decided = state.gpus.values().map(|gpu| gpu.record.decided);
    decided.fold(now, StoreTime::max)
}

fn remembered(
    request: &BookingRequest,
    answer: Option<&[u8]>,
    now: StoreTime,
) -> Result<Option<(BookingOutcome, StoreTime)>, Fault> {
    let Some(answer) = answer else { return Ok(None) };
    let (hash, decided, outcome) = packed::read_answer(answer)?;
    if decided.plus(KEY_RETENTION) <= now {
        return Ok(None);
    }
    let outcome = if hash == request.hash() {
        BookingOutcome::Replay(Box::new(outcome))
    } else {
        BookingOutcome::IdempotencyMismatch
    };
    Ok(Some((outcome, decided)))
}
