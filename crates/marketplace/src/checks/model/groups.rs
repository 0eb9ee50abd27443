//! Requests about several GPUs: what they may have left of all of them.
//!
//! What each does to one GPU is the model's of a single request.

use super::{Grant, State, Step, Window};
use crate::{
    BookingOutcome, Candidate, ConfirmRequest, ConfirmSeveralRequest, Granted, HoldRequest,
    HoldSeveralRequest,
};

pub(super) fn held(states: &[State], request: &HoldSeveralRequest, step: &Step) -> Vec<Vec<State>> {
    let wanted = request.count.get();
    let candidates: Vec<(usize, &Candidate)> = step.gpus.iter().copied().zip(&request.candidates).collect();
    let current = |(gpu, candidate): &&(usize, &Candidate)| candidate.quote.version >= states[*gpu].price;
    match &step.decision {
        Some(BookingOutcome::WonSeveral(granted)) if granted.len() == wanted => {
            taken(states, request, step.window, &candidates, wanted, Some(granted))
        }
        None => taken(states, request, step.window, &candidates, wanted, None),
        Some(BookingOutcome::Gone) if candidates.iter().filter(current).count() < wanted => {
            vec![states.to_vec()]
        }
        Some(BookingOutcome::Conflict { with, next_free }) => {
            let may_block = |gpu: usize, interval| {
                let blocks = |grant: &Grant| grant.may_overlap(interval) && grant.may_stand(step.window);
                states[gpu].grants.iter().any(blocks)
            };
            let surely_free = candidates
                .iter()
                .filter(current)
                .filter(|(gpu, _)| !may_block(*gpu, &request.interval));
            let moved = request.interval.moved_to(*next_free);
            let free_then = candidates.iter().filter(current).filter(|(gpu, _)| {
                let stands = |grant: &Grant| !grant.may_have_lapsed(step.window);
                moved.is_some_and(|moved| {
                    !states[*gpu]
                        .grants
                        .iter()
                        .any(|grant| grant.surely_overlaps(&moved) && stands(grant))
                })
            });
            let named = |grant: &Grant| match &grant.name {
                Some((id, _)) => id == with,
                // A grant whose answer never came may be the one that is named here.
                None => true,
            };
            let in_the_way = candidates.iter().any(|(gpu, _)| {
                let blocks =
                    |grant: &Grant| grant.may_overlap(&request.interval) && grant.may_stand(step.window);
                states[*gpu]
                    .grants
                    .iter()
                    .any(|grant| named(grant) && blocks(grant))
            });
            let explained = in_the_way
                && surely_free.count() < wanted
                && (moved.is_none() || free_then.count() >= wanted)
                && *next_free > request.interval.start();
            if explained { vec![states.to_vec()] } else { vec![] }
        }
        _ => vec![],
    }
}

pub(super) fn confirmed(states: &[State], request: &ConfirmSeveralRequest, step: &Step) -> Vec<Vec<State>> {
    let singles: Vec<(usize, ConfirmRequest)> = step
        .gpus
        .iter()
        .zip(&request.bookings)
        .map(|(gpu, (id, fence))| {
            let single = ConfirmRequest {
                user: request.user.clone(),
                key: request.key.clone(),
                id: id.clone(),
                fence: *fence,
            };
            (*gpu, single)
        })
        .collect();
    match &step.decision {
        Some(BookingOutcome::WonSeveral(_)) | None => {
            let mut after = states.to_vec();
            for (gpu, single) in &singles {
                let Some(state) = after[*gpu].confirmed(single, step.window).pop() else {
                    return vec![];
                };
                after[*gpu] = state;
            }
            vec![after]
        }
        Some(BookingOutcome::Gone) => {
            let surely =
                |(gpu, single): &(usize, ConfirmRequest)| states[*gpu].surely_confirms(single, step.window);
            if singles.iter().all(surely) {
                vec![]
            } else {
                vec![states.to_vec()]
            }
        }
        _ => vec![],
    }
}

/// After the first `left` candidates that are free were taken: those in `granted` if that is known. One may be passed by
/// only where something may have been in the way.
fn taken(
    states: &[State],
    request: &HoldSeveralRequest,
    window: Window,
    candidates: &[(usize, &Candidate)],
    left: usize,
    granted: Option<&[Granted]>,
) -> Vec<Vec<State>> {
    let Some(((gpu, candidate), rest)) = candidates.split_first().filter(|_| left > 0) else {
        return if left == 0 { vec![states.to_vec()] } else { vec![] };
    };
    let state = &states[*gpu];
    let own = granted.map(|granted| granted.iter().find(|granted| granted.gpu == candidate.gpu));
    let mut after = Vec::new();
    if own.is_none_or(|own| own.is_some()) {
        let single = HoldRequest {
            user: request.user.clone(),
            key: request.key.clone(),
            gpu: candidate.gpu.clone(),
            interval: request.interval,
            quote: candidate.quote,
            ttl: request.ttl,
        };
        let own = own.flatten();
        let name = own.map(|granted| (granted.id.clone(), Some(granted.fence)));
        let fenced = own.is_none_or(|granted| state.fence < granted.fence);
        if let Some(mut taken_state) = state.granted(&single, window, name).filter(|_| fenced) {
            taken_state.fence = own.map_or(taken_state.fence, |granted| granted.fence);
            let mut with = states.to_vec();
            with[*gpu] = taken_state;
            after.extend(taken(&with, request, window, rest, left - 1, granted));
        }
    }
    let blocks = |grant: &Grant| grant.may_overlap(&request.interval) && grant.may_stand(window);
    let may_be_passed_by = candidate.quote.version < state.price || state.grants.iter().any(blocks);
    if own.is_none_or(|own| own.is_none()) && may_be_passed_by {
        after.extend(taken(states, request, window, rest, left, granted));
    }
    after
}
