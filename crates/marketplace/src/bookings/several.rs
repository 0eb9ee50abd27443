//! The decisions that span several timelines: all of them change, or none.
//!
//! Each single change is the timeline's own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::DerefMut;

use super::group::{Candidate, ConfirmSeveralRequest, Granted, HoldSeveralRequest, LARGEST_GROUP};
use super::{ConfirmRequest, HoldRequest, Timeline, Transition};
use crate::{BookingId, BookingOutcome, BookingStoreError, ErrorKind, GpuId, StoreTime};

/// Decides [`BookingGroups::hold_several`](super::BookingGroups::hold_several).
pub(super) fn hold<T: DerefMut<Target = Timeline>>(
    request: &HoldSeveralRequest,
    timelines: &mut BTreeMap<GpuId, T>,
    next_id: &mut dyn FnMut() -> Result<BookingId, BookingStoreError>,
    now: StoreTime,
    out: &mut Vec<Transition>,
) -> Result<BookingOutcome, BookingStoreError> {
    check(request, now)?;
    let wanted = request.count.get();
    let (mut free, mut first_taken, mut current) = (Vec::new(), None, BTreeSet::new());
    for candidate in &request.candidates {
        let timeline = timelines.get_mut(&candidate.gpu).ok_or_else(not_loaded)?;
        if candidate.quote.version < timeline.price() {
            continue;
        }
        current.insert(&candidate.gpu);
        match timeline.taken(&request.interval, now, out) {
            Some(taken) => first_taken = first_taken.or_else(|| Some(taken.id.clone())),
            None => free.push(candidate),
        }
    }
    if let (true, Some(with)) = (free.len() < wanted && current.len() >= wanted, first_taken) {
        return Ok(BookingOutcome::Conflict {
            with,
            next_free: enough_free(request, timelines, &current, now, out),
        });
    }
    if free.len() < wanted {
        return Ok(BookingOutcome::Gone);
    }
    let mut granted = Vec::with_capacity(wanted);
    for candidate in free.into_iter().take(wanted) {
        let timeline = timelines.get_mut(&candidate.gpu).ok_or_else(not_loaded)?;
        let outcome = timeline.hold(&single(request, candidate), next_id()?, now, out)?;
        let (id, fence) = outcome.won().ok_or_else(not_loaded)?;
        granted.push(Granted {
            gpu: candidate.gpu.clone(),
            id,
            fence,
        });
    }
    Ok(BookingOutcome::WonSeveral(granted))
}

/// Decides [`BookingGroups::confirm_several`](super::BookingGroups::confirm_several).
pub(super) fn confirm<T: DerefMut<Target = Timeline>>(
    request: &ConfirmSeveralRequest,
    timelines: &mut BTreeMap<GpuId, T>,
    now: StoreTime,
    out: &mut Vec<Transition>,
) -> Result<BookingOutcome, BookingStoreError> {
    let names: BTreeSet<&BookingId> = request.bookings.iter().map(|(id, _)| id).collect();
    size(names.len(), request.bookings.len(), "booking")?;
    let single = |(id, fence): &(BookingId, crate::Fence)| ConfirmRequest {
        user: request.user.clone(),
        key: request.key.clone(),
        id: id.clone(),
        fence: *fence,
    };
    let singles: Vec<ConfirmRequest> = request.bookings.iter().map(single).collect();
    let all = singles.iter().all(|single| {
        timelines
            .values()
            .any(|timeline| timeline.may_confirm(single, now))
    });
    if !all {
        return Ok(BookingOutcome::Gone);
    }
    let mut granted = Vec::with_capacity(singles.len());
    for single in &singles {
        for (gpu, timeline) in timelines
            .iter_mut()
            .filter(|(_, timeline)| timeline.knows(&single.id))
        {
            timeline.confirm(single, now, out);
            granted.push(Granted {
                gpu: gpu.clone(),
                id: single.id.clone(),
                fence: single.fence,
            });
        }
    }
    Ok(BookingOutcome::WonSeveral(granted))
}

/// Everything that can be refused is, before any timeline is touched.
fn check(request: &HoldSeveralRequest, now: StoreTime) -> Result<(), BookingStoreError> {
    let gpus: BTreeSet<&GpuId> = request
        .candidates
        .iter()
        .map(|candidate| &candidate.gpu)
        .collect();
    size(gpus.len(), request.candidates.len(), "GPU")?;
    if request.candidates.len() < request.count.get() {
        return Err(rejected(format!(
            "{} GPUs are wanted and {} named: name at least as many",
            request.count,
            request.candidates.len()
        )));
    }
    if request.interval.end() <= now {
        return Err(rejected("the interval is already over".to_owned()));
    }
    for candidate in &request.candidates {
        let cost = candidate.quote.cost_of(&request.interval);
        cost.map_err(|error| {
            rejected(format!("the cost of {} does not fit", candidate.gpu)).caused_by(error)
        })?;
    }
    Ok(())
}

fn size(different: usize, named: usize, what: &str) -> Result<(), BookingStoreError> {
    if named == 0 {
        return Err(rejected(format!("no {what} is named: name one at least")));
    }
    if named > LARGEST_GROUP {
        return Err(rejected(format!(
            "{named} {what}s are named: at most {LARGEST_GROUP} go together"
        )));
    }
    if different < named {
        return Err(rejected(format!("a {what} is named twice: name each once")));
    }
    Ok(())
}

/// The earliest start from the requested one on at which enough of `gpus` are free. Each step goes to the instant at which
/// the last of those needed is free by itself; it ends where they are so together.
fn enough_free<T: DerefMut<Target = Timeline>>(
    request: &HoldSeveralRequest,
    timelines: &mut BTreeMap<GpuId, T>,
    gpus: &BTreeSet<&GpuId>,
    now: StoreTime,
    out: &mut Vec<Transition>,
) -> StoreTime {
    let mut start = request.interval.start();
    while let Some(moved) = request.interval.moved_to(start) {
        let current = timelines.iter_mut().filter(|(gpu, _)| gpus.contains(gpu));
        let mut starts: Vec<StoreTime> = current
            .map(|(_, timeline)| timeline.first_free(&moved, now, out))
            .collect();
        starts.sort_unstable();
        match starts.get(request.count.get() - 1) {
            Some(enough) if *enough == start => return start,
            Some(enough) => start = *enough,
            None => break,
        }
    }
    StoreTime::END
}

fn single(request: &HoldSeveralRequest, candidate: &Candidate) -> HoldRequest {
    HoldRequest {
        user: request.user.clone(),
        key: request.key.clone(),
        gpu: candidate.gpu.clone(),
        interval: request.interval,
        quote: candidate.quote,
        ttl: request.ttl,
    }
}

fn rejected(message: String) -> BookingStoreError {
    BookingStoreError::new(ErrorKind::Rejected, message)
}

pub(super) fn not_loaded() -> BookingStoreError {
    BookingStoreError::new(
        ErrorKind::Corrupt,
        "the store loaded no timeline for a GPU of the request",
    )
}
