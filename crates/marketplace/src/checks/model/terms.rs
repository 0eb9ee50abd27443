//! Requests that move the end of a booking: what they may have left.
//!
//! They keep its fence, its price and its start.

use super::{Grant, Phase, State, Window};
use crate::{BookingOutcome, CompleteRequest, ExtendRequest, Interval};

impl State {
    pub(super) fn after_extension(
        &self,
        request: &ExtendRequest,
        decision: Option<&BookingOutcome>,
        window: Window,
    ) -> Vec<Self> {
        let found = self.find(&request.user, &request.id, request.fence);
        let extendable = found.filter(|index| {
            let grant = &self.grants[*index];
            grant.phase == Phase::Confirmed && grant.quoted >= self.price && window.earliest < grant.maybe_end
        });
        let added = |index: usize| Interval::new(self.grants[index].maybe_end, request.until).ok();
        match decision {
            Some(BookingOutcome::Gone) => {
                let surely = extendable.is_some_and(|index| window.latest < self.grants[index].sure_end);
                if surely { vec![] } else { vec![self.clone()] }
            }
            Some(BookingOutcome::Conflict { with, next_free }) => extendable
                .and_then(added)
                .map_or_else(Vec::new, |added| self.refused(added, window, with, *next_free)),
            Some(BookingOutcome::Won { id, .. }) if *id != request.id => vec![],
            Some(BookingOutcome::Won { .. }) | None => extendable
                .and_then(|index| self.extended(index, &added(index)?, window))
                .into_iter()
                .collect(),
            Some(_) => vec![],
        }
    }

    pub(super) fn after_completion(
        &self,
        request: &CompleteRequest,
        decision: Option<&BookingOutcome>,
        window: Window,
    ) -> Vec<Self> {
        let found = self.find(&request.user, &request.id, request.fence);
        let running = found.filter(|index| self.grants[*index].phase == Phase::Confirmed);
        match decision {
            Some(BookingOutcome::Gone) => {
                let surely = running.is_some_and(|index| {
                    let grant = &self.grants[index];
                    grant.start < window.earliest && window.latest < grant.sure_end
                });
                if surely { vec![] } else { vec![self.clone()] }
            }
            Some(BookingOutcome::Won { id, .. }) if *id != request.id => vec![],
            Some(BookingOutcome::Won { .. }) | None => running
                .filter(|index| {
                    let grant = &self.grants[*index];
                    grant.start < window.latest && window.earliest < grant.maybe_end
                })
                .map(|index| {
                    self.with(index, |grant| {
                        grant.sure_end = window.earliest.max(grant.start).min(grant.sure_end);
                        grant.maybe_end = window.latest.min(grant.maybe_end);
                        grant.phase = Phase::Released;
                    })
                })
                .into_iter()
                .collect(),
            Some(_) => vec![],
        }
    }

    fn extended(&self, index: usize, added: &Interval, window: Window) -> Option<Self> {
        let own = &self.grants[index];
        let in_the_way = |grant: &Grant| grant.start != own.start;
        if self
            .grants
            .iter()
            .any(|grant| in_the_way(grant) && grant.surely_overlaps(added) && !grant.may_have_lapsed(window))
        {
            return None;
        }
        let name = own.name.clone();
        let mut after = self.clone();
        after.grants.retain(|grant| {
            grant.name == name || !(grant.may_overlap(added) && grant.may_have_lapsed(window))
        });
        let own = after.grants.iter_mut().find(|grant| grant.name == name)?;
        (own.sure_end, own.maybe_end) = (added.end(), added.end());
        after.grants.sort_unstable();
        Some(after)
    }
}
