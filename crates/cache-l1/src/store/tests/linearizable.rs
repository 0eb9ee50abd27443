//! Calls of several threads about one key look as if they had come one at a time.
//!
//! Random short rounds, each judged by itself: long histories cost the search more than they would find. Nothing is evicted or
//! cleared: both go past the lock that orders the rest.

use std::sync::Barrier;

use marketplace::checks::wgl::{Model, Span, order};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::atomic::Ordering;

use super::*;

const ROUNDS: u64 = 400;
const THREADS: u64 = 3;
const CALLS: usize = 8;

/// A call with its answer. Entries are told apart by what they are current as of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Read(Option<Seq>),
    /// Answered with the ticket of the one who leads, `None` for one who joined.
    Begin(Option<Ticket>),
    Finish(Ticket, Option<Seq>, Finished),
    Supersede(Seq, With, bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum With {
    Nothing,
    Eviction,
    IfResident,
    Always,
}

/// The rules in one place, for one caller at a time.
struct OneAtATime;

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    resident: Option<Seq>,
    /// Who leads, the newest event since, and what must be read again.
    fill: Option<(Ticket, Option<Seq>, Option<Seq>)>,
}

impl Model for OneAtATime {
    type Op = Call;
    type State = State;

    fn initial(&self) -> State {
        State::default()
    }

    fn after(&self, state: &State, call: &Call) -> Vec<State> {
        let mut next = state.clone();
        let answered_so = match *call {
            Call::Read(seen) => seen == state.resident,
            Call::Begin(Some(ticket)) => {
                next.fill = Some((ticket, None, None));
                !open(state)
            }
            Call::Begin(None) => open(state),
            Call::Finish(ticket, brought, finished) => finish(&mut next, ticket, brought) == finished,
            Call::Supersede(seq, with, yielded) => supersede(&mut next, seq, with) == yielded,
        };
        answered_so.then_some(next).into_iter().collect()
    }

    fn reads(&self, call: &Call) -> bool {
        matches!(call, Call::Read(_) | Call::Begin(None))
    }
}

fn open(state: &State) -> bool {
    state.fill.is_some_and(|(_, superseded, _)| superseded.is_none())
}

fn finish(state: &mut State, ticket: Ticket, brought: Option<Seq>) -> Finished {
    let Some((_, floor, doubted)) = state.fill.as_mut().filter(|(leader, ..)| *leader == ticket) else {
        return Finished::NotYours;
    };
    if let Some(brought) = brought {
        let floor = (*floor).max(doubted.take().map(Seq::next));
        if let Some(floor) = floor.filter(|floor| brought < *floor) {
            return Finished::Superseded { floor };
        }
    }
    if brought.is_some() {
        state.resident = state.resident.max(brought);
    }
    state.fill = None;
    Finished::Installed
}

fn supersede(state: &mut State, seq: Seq, with: With) -> bool {
    let evicts = with == With::Eviction;
    if let Some((_, superseded, doubted)) = &mut state.fill {
        *superseded = (*superseded).max(Some(if evicts { Seq::ZERO } else { seq }));
        *doubted = (*doubted).max(evicts.then_some(seq));
    }
    let goes = |resident| resident < seq || (evicts && resident == seq);
    let older = state.resident.is_some_and(goes);
    let replaces = match with {
        With::Nothing | With::Eviction => {
            if older {
                state.resident = None;
            }
            return older;
        }
        With::IfResident => older,
        With::Always => older || state.resident.is_none(),
    };
    if replaces {
        state.resident = Some(seq);
    }
    older
}

/// Calls the store, and notes what was called when.
fn call(store: &dyn LocalStore, rng: &mut StdRng, led: &mut Option<Ticket>) -> Call {
    let seq = Seq(rng.random_range(1..8));
    match rng.random_range(0..12) {
        0..4 => Call::Read(store.read(&key(1)).map(|entry| entry.as_of)),
        4..6 => match store.begin(&key(1), at(0), flight(0, 10)) {
            Begun::Lead(ticket) => {
                *led = Some(ticket);
                Call::Begin(Some(ticket))
            }
            Begun::Join(_) => Call::Begin(None),
        },
        6..8 => match *led {
            None => Call::Read(store.read(&key(1)).map(|entry| entry.as_of)),
            Some(ticket) => {
                let brought = rng.random_bool(0.8).then_some(seq);
                let entry = brought.map(|seq| entry(0, seq.0, 10));
                Call::Finish(ticket, brought, store.finish(&key(1), ticket, entry))
            }
        },
        _ => {
            let with =
                [With::Nothing, With::Eviction, With::IfResident, With::Always][rng.random_range(0..4)];
            let replacement = match with {
                With::Nothing => Replacement::None,
                With::Eviction => Replacement::Evict,
                With::IfResident => Replacement::IfResident(entry(0, seq.0, 10)),
                With::Always => Replacement::Always(entry(0, seq.0, 10)),
            };
            Call::Supersede(seq, with, store.supersede(&key(1), seq, replacement))
        }
    }
}

fn round(store: &dyn LocalStore, seed: u64) -> Vec<Span<Call>> {
    let (ticks, together) = (AtomicU64::new(0), Barrier::new(THREADS as usize));
    let run = |thread: u64| {
        let mut rng = StdRng::seed_from_u64(seed * THREADS + thread);
        let (mut spans, mut led) = (Vec::new(), None);
        together.wait();
        for _ in 0..CALLS {
            let began = ticks.fetch_add(1, Ordering::SeqCst);
            let op = call(store, &mut rng, &mut led);
            let ended = Some(ticks.fetch_add(1, Ordering::SeqCst));
            spans.push(Span { op, began, ended });
        }
        spans
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let run = &run;
                    move || run(thread)
                })
            })
            .collect();
        let spans = threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"));
        spans.flatten().collect()
    })
}

fn told(history: &[Span<Call>]) -> String {
    let line = |span: &Span<Call>| {
        format!(
            "{:>3} to {:>3}: {:?}",
            span.began,
            span.ended.unwrap_or(0),
            span.op
        )
    };
    history.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn calls_of_several_threads_look_as_if_they_had_come_one_at_a_time() {
    for seed in 0..ROUNDS {
        let store = store();
        let history = round(&*store, seed);
        if let Err(unfit) = order(&OneAtATime, &history) {
            panic!("seed {seed}: no order fits {unfit:?} of\n{}", told(&history));
        }
        let usage = store.usage();
        let resident = store.read(&key(1)).is_some();
        assert_eq!(
            (usage.entries, usage.bytes),
            (u64::from(resident), 10 * u64::from(resident))
        );
        assert!(usage.in_flight <= 1, "{usage:?}");
    }
}

#[test]
fn a_read_of_what_an_event_had_dropped_fits_in_no_order() {
    let at = |op, began| Span {
        op,
        began,
        ended: Some(began + 1),
    };
    let fair = [
        at(Call::Supersede(Seq(1), With::Always, false), 0),
        at(Call::Read(Some(Seq(1))), 2),
        at(Call::Supersede(Seq(2), With::Nothing, true), 4),
        at(Call::Read(None), 6),
    ];
    assert_eq!(order(&OneAtATime, &fair), Ok(()));
    let lost = [
        at(Call::Supersede(Seq(1), With::Always, false), 0),
        at(Call::Supersede(Seq(2), With::Nothing, true), 2),
        at(Call::Read(Some(Seq(1))), 4),
    ];
    assert_eq!(order(&OneAtATime, &lost), Err(vec![2]));
    let outdated = [
        at(Call::Begin(Some(Ticket(1))), 0),
        at(Call::Supersede(Seq(2), With::Nothing, false), 2),
        at(Call::Finish(Ticket(1), Some(Seq(1)), Finished::Installed), 4),
    ];
    assert_eq!(order(&OneAtATime, &outdated), Err(vec![2]));
}
