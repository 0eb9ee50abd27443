//! GPUs' bookings as a sequence of requests would leave them: what a store's answers are held against.
//!
//! It is written apart from every store, on purpose, and knows of time only what the recording does: between
//! which two instants a request was decided. Whatever may have happened by then, may have.

mod groups;
mod partitions;
mod terms;

use std::collections::HashMap;

use self::partitions::partitions;
use super::wgl::{Model, Span, order};
use super::{Call, History, Violation};
use crate::{
    BookingId, BookingOutcome, CancelRequest, ConfirmRequest, Fence, GpuId, HoldRequest, Interval,
    PriceVersion, StoreTime, UserId,
};

/// Checks, GPU by GPU, and for GPUs that one request named together, together, that the answers of `history` could have been given one request at a time, in an order in
/// which no request comes after one that began when it was over. Requests under one key count as one that was
/// under way from the first attempt to the first answer.
///
/// # Errors
/// When no such order exists; the evidence names the requests that do not fit.
///
/// ```
/// assert!(marketplace::checks::linearizable(&vec![]).is_ok());
/// ```
pub fn linearizable(history: &History) -> Result<(), Violation> {
    let violation = |evidence| Violation {
        check: "linearizable",
        evidence,
    };
    for (gpus, steps) in partitions(history).map_err(violation)? {
        let fits = order(&Gpus(gpus.len()), &steps);
        fits.map_err(|stuck| {
            let stuck: Vec<&Step> = stuck
                .into_iter()
                .take(MOST_EVIDENCE)
                .map(|index| &steps[index].op)
                .collect();
            let gpus: Vec<&str> = gpus.iter().take(MOST_EVIDENCE).map(GpuId::as_str).collect();
            violation(format!(
                "no order of the requests for {} explains {stuck:#?}",
                gpus.join(", ")
            ))
        })?;
    }
    Ok(())
}

const MOST_EVIDENCE: usize = 5;

/// A request and how it was decided, if that is known.
#[derive(Debug)]
struct Step {
    call: Call,
    /// The GPUs it is about, by their numbers in the partition: for several, one for each that the call names.
    gpus: Vec<usize>,
    decision: Option<BookingOutcome>,
    window: Window,
}

/// The store's time at the decision lies between these, both included.
#[derive(Debug, Clone, Copy)]
struct Window {
    earliest: StoreTime,
    latest: StoreTime,
}

/// Attempts under one key become one step: it took effect at most once, after the first began and before the
/// first that knew its outcome was over.
fn by_request(history: &History) -> Vec<Span<Step>> {
    let mut steps: Vec<Span<Step>> = Vec::new();
    let mut of_key = HashMap::new();
    for operation in history {
        if operation.outcome() == Some(&BookingOutcome::IdempotencyMismatch) {
            continue;
        }
        let index = match operation.call.identity() {
            Some(identity) => *of_key.entry(identity).or_insert(steps.len()),
            None => steps.len(),
        };
        if index == steps.len() {
            let window = Window {
                earliest: operation.earliest,
                latest: StoreTime::END,
            };
            let op = Step {
                call: operation.call.clone(),
                gpus: vec![],
                decision: None,
                window,
            };
            steps.push(Span {
                op,
                began: operation.began,
                ended: None,
            });
        }
        if let Some(answer) = &operation.answer {
            let span = &mut steps[index];
            if span.ended.is_none_or(|ended| answer.ended < ended) {
                span.ended = Some(answer.ended);
                span.op.decision = Some(answer.outcome.decision().clone());
                span.op.window.latest = answer.latest;
            }
        }
    }
    steps
}

/// That many GPUs, each with a state of its own.
struct Gpus(usize);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    grants: Vec<Grant>,
    fence: Fence,
    price: PriceVersion,
}

/// A booking, as far as the recording tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Grant {
    start: StoreTime,
    /// It surely takes the GPU up to here.
    sure_end: StoreTime,
    /// It may take the GPU up to here.
    maybe_end: StoreTime,
    /// Unknown while no answer named it.
    name: Option<(BookingId, Option<Fence>)>,
    user: UserId,
    quoted: PriceVersion,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    /// It lapses between these two.
    Held {
        earliest: StoreTime,
        latest: StoreTime,
    },
    Confirmed,
    Released,
}

impl Model for Gpus {
    type Op = Step;
    type State = Vec<State>;

    fn initial(&self) -> Vec<State> {
        let initial = State {
            grants: Vec::new(),
            fence: Fence(0),
            price: PriceVersion::FIRST,
        };
        vec![initial; self.0]
    }

    fn after(&self, states: &Vec<State>, step: &Step) -> Vec<Vec<State>> {
        match &step.call {
            Call::HoldSeveral(request) => groups::held(states, request, step),
            Call::ConfirmSeveral(request) => groups::confirmed(states, request, step),
            _ => {
                let Some(gpu) = step.gpus.first() else {
                    return vec![];
                };
                let replaced = |state: State| {
                    let mut after = states.clone();
                    after[*gpu] = state;
                    after
                };
                states[*gpu].after(step).into_iter().map(replaced).collect()
            }
        }
    }

    /// Refusals: at most they tell the name of a grant whose answer never came.
    fn reads(&self, step: &Step) -> bool {
        matches!(
            step.decision,
            Some(BookingOutcome::Gone | BookingOutcome::Conflict { .. })
        )
    }
}

impl State {
    /// After a request about this GPU alone.
    fn after(&self, step: &Step) -> Vec<Self> {
        let state = self;
        use BookingOutcome::{Conflict, Gone, Won};
        let window = step.window;
        match (&step.call, &step.decision) {
            (Call::Reprice(_, version), _) => vec![State {
                price: state.price.max(*version),
                ..state.clone()
            }],
            (Call::Hold(request), Some(Won { id, fence })) if state.fence < *fence => {
                let name = Some((id.clone(), Some(*fence)));
                state
                    .granted(request, window, name)
                    .map(|after| State {
                        fence: *fence,
                        ..after
                    })
                    .into_iter()
                    .collect()
            }
            (Call::Hold(request), None) => state.granted(request, window, None).into_iter().collect(),
            (Call::Hold(request), Some(Conflict { with, next_free })) => {
                state.refused(request.interval, window, with, *next_free)
            }
            (Call::Hold(request), Some(Gone)) if request.quote.version < state.price => vec![state.clone()],
            (Call::Confirm(request), Some(Won { id, .. })) if *id == request.id => {
                state.confirmed(request, window)
            }
            (Call::Confirm(request), None) => state.confirmed(request, window),
            (Call::Confirm(request), Some(Gone)) if !state.surely_confirms(request, window) => {
                vec![state.clone()]
            }
            (Call::Cancel(request), Some(Won { id, .. })) if *id == request.id => {
                state.cancelled(request, window)
            }
            (Call::Cancel(request), None) => state.cancelled(request, window),
            (Call::Cancel(request), Some(Gone)) if !state.surely_cancels(request, window) => {
                vec![state.clone()]
            }
            (Call::Extend(request), decision) => state.after_extension(request, decision.as_ref(), window),
            (Call::Complete(request), decision) => state.after_completion(request, decision.as_ref(), window),
            _ => vec![],
        }
    }

    /// After a grant, if nothing that surely stands is in its way.
    fn granted(
        &self,
        request: &HoldRequest,
        window: Window,
        name: Option<(BookingId, Option<Fence>)>,
    ) -> Option<Self> {
        let mut after = self.clone();
        after
            .grants
            .retain(|grant| !(grant.may_overlap(&request.interval) && grant.may_have_lapsed(window)));
        let blocked = after
            .grants
            .iter()
            .any(|grant| grant.surely_overlaps(&request.interval));
        if blocked || request.quote.version < self.price {
            return None;
        }
        let end = request.interval.end();
        after.grants.push(Grant {
            start: request.interval.start(),
            sure_end: end,
            maybe_end: end,
            name,
            user: request.user.clone(),
            quoted: request.quote.version,
            phase: Phase::Held {
                earliest: window.earliest.plus(request.ttl).min(end),
                latest: window.latest.plus(request.ttl).min(end),
            },
        });
        after.grants.sort_unstable();
        Some(after)
    }

    /// After a refusal, if `with` may have been in the way and `next_free` may have been the first way out.
    fn refused(&self, wanted: Interval, window: Window, with: &BookingId, next_free: StoreTime) -> Vec<Self> {
        let may_block =
            |grant: &Grant, interval: &Interval| grant.may_overlap(interval) && grant.may_stand(window);
        let may_be_taken = |start| {
            wanted
                .moved_to(start)
                .is_none_or(|moved| self.grants.iter().any(|grant| may_block(grant, &moved)))
        };
        let must_be_taken = |start| {
            let stands = |grant: &Grant| !grant.may_have_lapsed(window);
            let blocks = |moved: Interval| self.grants.iter().any(|g| g.surely_overlaps(&moved) && stands(g));
            wanted.moved_to(start).is_some_and(blocks)
        };
        let earlier = self
            .grants
            .iter()
            .flat_map(|grant| [grant.sure_end, grant.maybe_end]);
        let mut earlier = earlier.filter(|end| (wanted.start()..next_free).contains(end));
        if next_free <= wanted.start() || must_be_taken(next_free) || !earlier.all(may_be_taken) {
            return vec![];
        }
        let known = |grant: &&Grant| grant.name.as_ref().is_some_and(|(id, _)| id == with);
        if let Some(grant) = self.grants.iter().find(known) {
            return if may_block(grant, &wanted) {
                vec![self.clone()]
            } else {
                vec![]
            };
        }
        // A grant whose answer never came may be the one that is named here.
        let nameless =
            |index: &usize| self.grants[*index].name.is_none() && may_block(&self.grants[*index], &wanted);
        let named = |index: usize| {
            let mut after = self.clone();
            after.grants[index].name = Some((with.clone(), None));
            after.grants.sort_unstable();
            after
        };
        (0..self.grants.len()).filter(nameless).map(named).collect()
    }

    fn confirmed(&self, request: &ConfirmRequest, window: Window) -> Vec<Self> {
        let found = self.find(&request.user, &request.id, request.fence);
        let confirmable = found.filter(|index| {
            let grant = &self.grants[*index];
            matches!(grant.phase, Phase::Held { .. }) && grant.may_stand(window) && grant.quoted >= self.price
        });
        confirmable
            .map(|index| self.with(index, |grant| grant.phase = Phase::Confirmed))
            .into_iter()
            .collect()
    }

    fn surely_confirms(&self, request: &ConfirmRequest, window: Window) -> bool {
        self.find(&request.user, &request.id, request.fence)
            .is_some_and(|index| {
                let grant = &self.grants[index];
                let held = matches!(grant.phase, Phase::Held { .. });
                held && !grant.may_have_lapsed(window) && grant.quoted >= self.price
            })
    }

    fn cancelled(&self, request: &CancelRequest, window: Window) -> Vec<Self> {
        let Some(index) = self.find(&request.user, &request.id, request.fence) else {
            return vec![];
        };
        let grant = &self.grants[index];
        let without = || {
            let mut after = self.clone();
            after.grants.remove(index);
            after
        };
        match grant.phase {
            Phase::Held { .. } if grant.may_stand(window) => vec![without()],
            Phase::Confirmed if window.latest <= grant.start => vec![without()],
            Phase::Confirmed if window.earliest < grant.maybe_end => vec![self.with(index, |grant| {
                grant.sure_end = window.earliest.max(grant.start).min(grant.sure_end);
                grant.maybe_end = window.latest.min(grant.maybe_end);
                grant.phase = Phase::Released;
            })],
            _ => vec![],
        }
    }

    fn surely_cancels(&self, request: &CancelRequest, window: Window) -> bool {
        self.find(&request.user, &request.id, request.fence)
            .is_some_and(|index| {
                let grant = &self.grants[index];
                match grant.phase {
                    Phase::Held { .. } => !grant.may_have_lapsed(window),
                    Phase::Confirmed => window.latest < grant.sure_end,
                    Phase::Released => false,
                }
            })
    }

    fn find(&self, user: &UserId, id: &BookingId, fence: Fence) -> Option<usize> {
        self.grants.iter().position(|grant| {
            grant.user == *user
                && grant
                    .name
                    .as_ref()
                    .is_some_and(|(name, own)| name == id && own.is_none_or(|own| own == fence))
        })
    }

    fn with(&self, index: usize, change: impl FnOnce(&mut Grant)) -> Self {
        let mut after = self.clone();
        change(&mut after.grants[index]);
        after.grants.sort_unstable();
        after
    }
}

impl Grant {
    fn may_overlap(&self, interval: &Interval) -> bool {
        self.start < interval.end() && interval.start() < self.maybe_end
    }

    fn surely_overlaps(&self, interval: &Interval) -> bool {
        self.start < interval.end().min(self.sure_end) && interval.start() < self.sure_end
    }

    fn may_stand(&self, window: Window) -> bool {
        !matches!(self.phase, Phase::Held { latest, .. } if latest <= window.earliest)
    }

    fn may_have_lapsed(&self, window: Window) -> bool {
        matches!(self.phase, Phase::Held { earliest, .. } if earliest <= window.latest)
    }
}

#[cfg(test)]
mod tests;
