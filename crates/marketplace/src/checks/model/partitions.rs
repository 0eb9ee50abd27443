//! The history taken apart: each part holds all requests about some GPUs, and no request about any other.
//!
//! A part is one GPU, unless a request named several; those, and all that were named with them, stay together.

use std::collections::{BTreeMap, HashMap};

use super::super::wgl::Span;
use super::super::{Call, History};
use super::{Step, by_request};
use crate::{BookingId, BookingOutcome, GpuId};

/// The GPUs of a part, and the requests about them.
type Partition = (Vec<GpuId>, Vec<Span<Step>>);

/// Takes the history apart.
pub(super) fn partitions(history: &History) -> Result<Vec<Partition>, String> {
    let known = gpus_of_bookings(history);
    let mut groups = Groups::default();
    let mut steps: Vec<(Vec<GpuId>, Span<Step>)> = Vec::new();
    for span in by_request(history) {
        let gpus: Vec<GpuId> = gpus_of(&span.op.call, &known);
        if gpus.is_empty() {
            let decision = span.op.decision.as_ref();
            if matches!(
                decision,
                Some(BookingOutcome::Won { .. } | BookingOutcome::WonSeveral(_))
            ) {
                return Err(format!("won a booking that nobody was granted: {:?}", span.op));
            }
            continue;
        }
        groups.join(&gpus);
        steps.push((gpus, span));
    }
    let mut parts: BTreeMap<usize, Partition> = BTreeMap::new();
    let mut numbers: HashMap<GpuId, usize> = HashMap::new();
    for (gpus, mut span) in steps {
        let (of_part, spans) = parts.entry(groups.of(&gpus[0])).or_default();
        for gpu in gpus {
            let number = *numbers.entry(gpu.clone()).or_insert_with(|| {
                of_part.push(gpu);
                of_part.len() - 1
            });
            span.op.gpus.push(number);
        }
        spans.push(span);
    }
    Ok(parts.into_values().collect())
}

/// The GPUs a request is about, as far as the recording tells. A request for bookings that were never granted is about
/// none: all it can be answered is that they are gone.
fn gpus_of(call: &Call, known: &HashMap<&BookingId, &GpuId>) -> Vec<GpuId> {
    let of = |id: &BookingId| known.get(id).map(|gpu| (*gpu).clone());
    match call {
        Call::Hold(request) => vec![request.gpu.clone()],
        Call::Reprice(gpu, _) => vec![gpu.clone()],
        Call::Confirm(request) => of(&request.id).into_iter().collect(),
        Call::Cancel(request) => of(&request.id).into_iter().collect(),
        Call::Extend(request) => of(&request.id).into_iter().collect(),
        Call::Complete(request) => of(&request.id).into_iter().collect(),
        Call::HoldSeveral(request) => request
            .candidates
            .iter()
            .map(|candidate| candidate.gpu.clone())
            .collect(),
        Call::ConfirmSeveral(request) => {
            let all: Option<Vec<GpuId>> = request.bookings.iter().map(|(id, _)| of(id)).collect();
            all.unwrap_or_default()
        }
    }
}

fn gpus_of_bookings(history: &History) -> HashMap<&BookingId, &GpuId> {
    let mut known = HashMap::new();
    for operation in history {
        match (&operation.call, operation.outcome().map(BookingOutcome::decision)) {
            (
                Call::Hold(request),
                Some(BookingOutcome::Won { id, .. } | BookingOutcome::Conflict { with: id, .. }),
            ) => {
                known.insert(id, &request.gpu);
            }
            (_, Some(BookingOutcome::WonSeveral(granted))) => {
                known.extend(granted.iter().map(|granted| (&granted.id, &granted.gpu)));
            }
            _ => {}
        }
    }
    known
}

/// Sets of GPUs that grow together.
#[derive(Default)]
struct Groups {
    numbers: HashMap<GpuId, usize>,
    parents: Vec<usize>,
}

impl Groups {
    fn join(&mut self, gpus: &[GpuId]) {
        let roots: Vec<usize> = gpus.iter().map(|gpu| self.of(gpu)).collect();
        for root in &roots[1..] {
            let (one, other) = (self.root(roots[0]), self.root(*root));
            self.parents[one.max(other)] = one.min(other);
        }
    }

    fn of(&mut self, gpu: &GpuId) -> usize {
        let next = self.parents.len();
        let number = *self.numbers.entry(gpu.clone()).or_insert(next);
        if number == next {
            self.parents.push(next);
        }
        self.root(number)
    }

    fn root(&self, mut number: usize) -> usize {
        while self.parents[number] != number {
            number = self.parents[number];
        }
        number
    }
}
