//! A run as a history, for a second judge: testkit's checks, which share nothing with the first but what records.
//!
//! It judges nothing while it records, and is kept only where it is asked for.

use cache_core::{Moment, Seq, Shard};
use testkit::checks::{
    Bounds, Counterexample, convergence, lost_invalidations, monotonic_reads, own_writes, staleness,
};
use testkit::history::{
    Acknowledgement, Commit, History, Install, Invalidation, NodeIndex, Place, Point, Publication, Read,
    Served, Timeline,
};

use super::run::MAX_STALE;
use super::scenario::TIMING;

/// What was recorded of a run. A node is a process here: who starts anew knows nothing of before.
#[derive(Debug, Default)]
pub struct Recording {
    timeline: Timeline,
    history: History<usize, u64>,
    /// The reads once everything had come to rest.
    at_rest: History<usize, u64>,
    /// The steps of the shared store that made the publications, and the invalidations: to know what is forgotten.
    publishing: Vec<(Shard, Seq)>,
    invalidating: Vec<(Shard, Seq)>,
}

impl Recording {
    /// Everything that breaks a promise. No read may be further behind than a lease, or than values may be stale on purpose.
    pub fn counterexamples(&self) -> Vec<Counterexample> {
        let bounds = Bounds {
            stale: MAX_STALE,
            ..Bounds::all(TIMING.lease)
        };
        let rest = Point {
            at: Moment::NEVER,
            tick: 0,
        };
        [
            own_writes(&self.history),
            monotonic_reads(&self.history),
            staleness(&self.history, bounds).0,
            lost_invalidations(&self.history),
            convergence(&self.at_rest, rest),
        ]
        .concat()
    }

    /// Reads that were recorded.
    pub fn reads(&self) -> usize {
        self.history.reads.len()
    }

    pub(super) fn point(&self, now: Moment) -> Point {
        self.timeline.point(now)
    }

    pub(super) fn committed(&mut self, key: usize, revision: u64, now: Moment) {
        let at = self.point(now);
        self.at_rest.commits.push(Commit { key, revision, at });
    }

    pub(super) fn acknowledged(&mut self, process: usize, key: usize, revision: u64, now: Moment) {
        let at = self.point(now);
        self.history.acknowledgements.push(Acknowledgement {
            node: NodeIndex(process),
            key,
            revision,
            at,
            forgotten: None,
        });
    }

    pub(super) fn read(
        &mut self,
        process: usize,
        key: usize,
        (began, now): (Point, Moment),
        revision: u64,
        served: Served,
    ) {
        let read = self.read_of(process, key, began, now, revision, served);
        self.history.reads.push(read);
    }

    pub(super) fn read_at_rest(
        &mut self,
        process: usize,
        key: usize,
        now: Moment,
        revision: u64,
        served: Served,
    ) {
        let began = self.point(now);
        let read = self.read_of(process, key, began, now, revision, served);
        self.at_rest.reads.push(read);
    }

    /// A step of this shard says that nothing older is current. One of the key's own shard, that nothing older may be filled in.
    pub(super) fn published(
        &mut self,
        key: usize,
        revision: u64,
        (shard, seq): (Shard, Seq),
        own_shard: Shard,
        at: Moment,
    ) {
        let at = self.point(at);
        self.publishing.push((shard, seq));
        self.history.publications.push(Publication {
            key,
            revision,
            at,
            forgotten: None,
        });
        if shard == own_shard {
            self.invalidating.push((shard, seq));
            self.history.invalidations.push(Invalidation {
                place: Place::Shared,
                key,
                revision,
                at,
                forgotten: None,
            });
        }
    }

    pub(super) fn filled(&mut self, key: usize, revision: u64, at: Moment) {
        let at = self.point(at);
        self.history.installs.push(Install {
            place: Place::Shared,
            key,
            revision,
            at,
        });
    }

    /// The servers forgot the steps of a shard from this one on.
    pub(super) fn forget(&mut self, shard: Shard, from: Seq, at: Moment) {
        let now = Some(self.point(at));
        let gone = |step: &(Shard, Seq)| step.0 == shard && step.1 >= from;
        let publications = self.history.publications.iter_mut().map(|one| &mut one.forgotten);
        let invalidations = self
            .history
            .invalidations
            .iter_mut()
            .map(|one| &mut one.forgotten);
        let publications = self.publishing.iter().zip(publications);
        let invalidations = self.invalidating.iter().zip(invalidations);
        for (_, forgotten) in publications.chain(invalidations).filter(|(step, _)| gone(step)) {
            *forgotten = forgotten.or(now);
        }
    }

    fn read_of(
        &self,
        process: usize,
        key: usize,
        began: Point,
        now: Moment,
        revision: u64,
        served: Served,
    ) -> Read<usize, u64> {
        Read {
            node: NodeIndex(process),
            key,
            revision,
            began,
            ended: self.point(now),
            served,
        }
    }
}
