//! Writes short histories by hand: one call a step, in the order they happen, moments in milliseconds.
//!
//! It checks nothing.

use std::ops::Range;

use cache_core::Moment;

use crate::history::{
    Acknowledgement, Commit, History, Install, Invalidation, NodeIndex, Place, Point, Publication, Read,
    Served, Timeline,
};

#[derive(Default)]
pub(super) struct Script {
    pub(super) history: History<&'static str, u32>,
    timeline: Timeline,
}

impl Script {
    pub(super) fn at(&self, millis: u64) -> Point {
        self.timeline.point(Moment::from_nanos(millis * 1_000_000))
    }

    pub(super) fn read(&mut self, node: usize, key: &'static str, revision: u32, span: Range<u64>) {
        self.overlapping_read(node, key, revision, span.start, |_| (), span.end);
    }

    /// A read during which something else happens.
    pub(super) fn overlapping_read(
        &mut self,
        node: usize,
        key: &'static str,
        revision: u32,
        began: u64,
        meanwhile: impl FnOnce(&mut Self),
        ended: u64,
    ) {
        let began = self.at(began);
        meanwhile(self);
        let ended = self.at(ended);
        self.history.reads.push(Read {
            node: NodeIndex(node),
            key,
            revision,
            began,
            ended,
            served: Served::Memory,
        });
    }

    pub(super) fn acknowledge(&mut self, node: usize, key: &'static str, revision: u32, at: u64) {
        let at = self.at(at);
        self.history.acknowledgements.push(Acknowledgement {
            node: NodeIndex(node),
            key,
            revision,
            at,
            forgotten: None,
        });
    }

    pub(super) fn publish(&mut self, key: &'static str, revision: u32, at: u64) {
        let at = self.at(at);
        self.history.publications.push(Publication {
            key,
            revision,
            at,
            forgotten: None,
        });
    }

    pub(super) fn install(&mut self, place: Place, key: &'static str, revision: u32, at: u64) {
        let at = self.at(at);
        self.history.installs.push(Install {
            place,
            key,
            revision,
            at,
        });
    }

    pub(super) fn invalidate(&mut self, place: Place, key: &'static str, revision: u32, at: u64) {
        let at = self.at(at);
        self.history.invalidations.push(Invalidation {
            place,
            key,
            revision,
            at,
            forgotten: None,
        });
    }

    pub(super) fn commit(&mut self, key: &'static str, revision: u32, at: u64) {
        let at = self.at(at);
        self.history.commits.push(Commit { key, revision, at });
    }
}
