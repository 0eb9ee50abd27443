//! The truth of a simulated run: the system of record, what was published when, and what every read must be.
//!
//! It judges by values and moments alone and knows nothing of versions, leases or lineages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{
    Barrier, BincodeCodec, CacheKey, Head, Key, Moment, Op, Payload, Record, SchemaFingerprint, Seq, Shard,
    Write, decode_value, open,
};
use cache_memory::Witness;
use edge_cache::{Fetched, Freshness, SpotCheckTally, Stats, Tier};
use testkit::history::Point;

use super::published::Published;
use super::recording::Recording;

/// A promise that a read broke.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Breach {
    /// G1: this node's acknowledged write is missing.
    OwnWrite,
    /// G2: an earlier read of this node had a newer value.
    Backwards,
    /// G3: something published longer ago than the bound is missing.
    TooOld,
    /// G3: the read said that it was younger than it is.
    Understated,
    /// G5: the shared store was filled with a value older than an invalidation that it had taken before.
    FilledOver,
    /// A history was started anew although nothing of it had been lost, and all that was cached of it died.
    NeedlessRepair,
    /// A node's own spot checks found that it had served what it should not have.
    SpotCheck,
    /// The fleet is at rest, and the value is still not the newest.
    NeverCaughtUp,
}

/// One key's part of the truth.
#[derive(Debug, Default)]
struct KeyTruth {
    /// What the system of record holds: it counts up.
    value: u64,
    /// Nothing older than what was published may be read a bound later.
    published: Published,
}

/// The truth about all keys of a run.
#[derive(Debug)]
pub(crate) struct Truth {
    keys: Vec<(CacheKey, Shard)>,
    tagged: Vec<bool>,
    traced: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    truth: Vec<KeyTruth>,
    /// By process and key.
    known: Vec<Vec<Known>>,
    /// Shards whose history has lost nothing since it was started.
    whole: BTreeSet<Shard>,
    /// For a second judge, where one is wanted.
    recording: Option<Recording>,
    verdict: Verdict,
}

/// What a process has been told about a key.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// What its acknowledged writes oblige it to.
    own: u64,
    /// The newest value a finished read had.
    newest_read: u64,
}

/// A read that has begun, with what it must not be older than.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    process: usize,
    key: usize,
    at: Moment,
    /// Its place in the recording.
    point: Option<Point>,
    known: Known,
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Reads that were judged.
    pub reads: u64,
    /// Of these, answered from memory.
    pub hits: u64,
    /// Changes of the system of record.
    pub writes: u64,
    /// Broken promises, and how often.
    pub breaches: BTreeMap<Breach, u64>,
    /// The longest time by which a read was behind what had been published.
    pub oldest: Duration,
    /// Times a node dropped a shard's entries as a whole.
    pub flushes: u64,
    /// Logs that nodes read to fill a hole.
    pub replays: u64,
    /// Times that owed invalidations became the flush of a shard.
    pub collapses: u64,
    /// What the nodes' own spot checks came to.
    pub spot_checks: SpotCheckTally,
}

impl Begun {
    /// When it began.
    pub(crate) const fn at(&self) -> Moment {
        self.at
    }
}

impl Verdict {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.hits += other.hits;
        self.writes += other.writes;
        self.oldest = self.oldest.max(other.oldest);
        self.flushes += other.flushes;
        self.replays += other.replays;
        self.collapses += other.collapses;
        self.spot_checks.add(&other.spot_checks);
        for (breach, count) in &other.breaches {
            *self.breaches.entry(*breach).or_default() += count;
        }
    }
}

impl Truth {
    pub(crate) fn new(
        keys: &[Key<u64>],
        tagged: Vec<bool>,
        traced: bool,
        recording: Option<Recording>,
    ) -> Self {
        Self {
            keys: keys.iter().map(|key| (key.raw().clone(), key.shard())).collect(),
            tagged,
            traced,
            state: Mutex::new(State {
                recording,
                truth: keys.iter().map(|_| KeyTruth::default()).collect(),
                ..State::default()
            }),
        }
    }

    /// Prints a step of a traced run.
    pub(crate) fn trace(&self, at: Moment, step: std::fmt::Arguments<'_>) {
        if self.traced {
            println!("{:>9.3} {step}", at.as_nanos() as f64 / 1e9);
        }
    }

    /// What the system of record holds now.
    pub(crate) fn value(&self, key: usize) -> u64 {
        self.state().truth[key].value
    }

    /// Changes the system of record.
    pub(crate) fn commit(&self, key: usize, now: Moment) -> u64 {
        let mut state = self.state();
        state.verdict.writes += 1;
        state.truth[key].value += 1;
        let value = state.truth[key].value;
        if let Some(recording) = &mut state.recording {
            recording.committed(key, value, now);
        }
        value
    }

    /// The process was told that its change to this value is known to the cache.
    pub(crate) fn acknowledged(&self, process: usize, key: usize, value: u64, now: Moment) {
        let mut state = self.state();
        let own = &mut state.known(process, key).own;
        *own = value.max(*own);
        if let Some(recording) = &mut state.recording {
            recording.acknowledged(process, key, value, now);
        }
    }

    /// A read begins.
    pub(crate) fn begin(&self, process: usize, key: usize, at: Moment) -> Begun {
        let mut state = self.state();
        Begun {
            process,
            key,
            at,
            point: state.recording.as_ref().map(|recording| recording.point(at)),
            known: *state.known(process, key),
        }
    }

    /// A read ended with this answer.
    pub(crate) fn end(&self, read: Begun, answer: &Fetched<u64>, now: Moment, bound: Duration) {
        let mut state = self.state();
        let value = **answer;
        state.verdict.reads += 1;
        state.verdict.hits += u64::from(answer.tier() == Tier::L1);
        if let (Some(recording), Some(began)) = (&mut state.recording, read.point) {
            recording.read(read.process, read.key, (began, now), value, answer.tier());
        }
        let missed = state.truth[read.key].published.first_after(value);
        let behind = missed.map_or(Duration::ZERO, |at| read.at.since(at));
        state.verdict.oldest = state.verdict.oldest.max(behind);
        let newest = &mut state.known(read.process, read.key).newest_read;
        *newest = value.max(*newest);
        let understated = match answer.freshness() {
            Freshness::Current { at_most } => missed.is_some_and(|at| now.since(at) > at_most + GRAIN),
            Freshness::WithinTtl { .. } | Freshness::Unproven { .. } | Freshness::Stale { .. } => false,
        };
        let breaches = [
            (Breach::OwnWrite, value < read.known.own),
            (Breach::Backwards, value < read.known.newest_read),
            (Breach::TooOld, behind > bound),
            (Breach::Understated, understated),
        ];
        for (breach, _) in breaches.into_iter().filter(|(_, broken)| *broken) {
            self.trace(now, format_args!("{breach:?}: {read:?} ended with {answer:?}"));
            *state.verdict.breaches.entry(breach).or_default() += 1;
        }
    }

    /// The servers lost the head of a shard, and with it the history.
    pub(crate) fn head_lost(&self, shard: Shard) {
        self.state().whole.remove(&shard);
    }

    /// Everything has come to rest: a read must have the newest value.
    pub(crate) fn at_rest(&self, process: usize, key: usize, answer: &Fetched<u64>, now: Moment) {
        let mut state = self.state();
        let value = **answer;
        if let Some(recording) = &mut state.recording {
            recording.read_at_rest(process, key, now, value, answer.tier());
        }
        if value != state.truth[key].value {
            *state.verdict.breaches.entry(Breach::NeverCaughtUp).or_default() += 1;
        }
    }

    /// A node has ended: what it counted is part of the verdict.
    pub(crate) fn ended(&self, stats: &Stats) {
        let verdict = &mut self.state().verdict;
        verdict.spot_checks.add(&stats.spot_checks);
        if stats.spot_checks.inconsistent > 0 {
            *verdict.breaches.entry(Breach::SpotCheck).or_default() += stats.spot_checks.inconsistent;
        }
        verdict.collapses += stats.collapses;
        for tally in &stats.events {
            verdict.flushes += tally.flushes;
            verdict.replays += tally.replays;
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.state().verdict.clone()
    }

    /// What was recorded, if anything was to be.
    pub(crate) fn recording(&self) -> Option<Recording> {
        self.state().recording.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, which: impl Fn(usize) -> bool, value: Option<u64>, shard: Shard, seq: Seq, at: Moment) {
        let mut state = self.state();
        let State { truth, recording, .. } = &mut *state;
        for key in (0..self.keys.len()).filter(|key| which(*key)) {
            let value = value.unwrap_or(truth[key].value);
            truth[key].published.push(at, value, shard, seq);
            if let Some(recording) = recording {
                recording.published(key, value, (shard, seq), self.keys[key].1, at);
            }
        }
    }
}

impl State {
    fn known(&mut self, process: usize, key: usize) -> &mut Known {
        if self.known.len() <= process {
            self.known.resize_with(process + 1, Vec::new);
        }
        let keys = &mut self.known[process];
        if keys.len() <= key {
            keys.resize(key + 1, Known::default());
        }
        &mut keys[key]
    }
}

/// What a moment of the servers' clock, and of the timer, is rounded to.
const GRAIN: Duration = Duration::from_millis(1);

/// The value that a sealed record holds.
fn stored(body: &[u8]) -> Option<u64> {
    match open(body, SchemaFingerprint::of::<u64>()).ok()?.1 {
        Payload::Value(bytes) => decode_value(&BincodeCodec, &bytes).ok(),
        Payload::Absent => None,
    }
}

impl Witness for Truth {
    fn published(&self, write: &Write, head: &Head, at: Moment) {
        let (shard, seq) = (write.shard, head.seq);
        let in_lane = |key: usize| self.keys[key].1.lane() == shard.lane();
        match &write.op {
            Op::Change(changes) => {
                for change in changes {
                    let value = change.record.as_ref().and_then(|record| stored(&record.body));
                    self.publish(|key| self.keys[key].0 == change.key, value, shard, seq, at);
                }
            }
            Op::Raise(Barrier::Tag(_)) => {
                self.publish(|key| self.tagged[key] && in_lane(key), None, shard, seq, at);
            }
            Op::Raise(Barrier::Namespace(name)) => {
                self.publish(
                    |key| self.keys[key].0.namespace() == &**name,
                    None,
                    shard,
                    seq,
                    at,
                );
            }
            Op::Raise(Barrier::Everything) => self.publish(in_lane, None, shard, seq, at),
            Op::Flush if shard.holds_barriers() => self.publish(in_lane, None, shard, seq, at),
            Op::Flush => self.publish(|key| self.keys[key].1 == shard, None, shard, seq, at),
            Op::Announce(_) => {}
        }
    }

    fn filled(&self, shard: Shard, key: &CacheKey, record: &Record, at: Moment) {
        let Some(index) = self.keys.iter().position(|(ours, _)| ours == key) else {
            return;
        };
        let value = stored(&record.body).unwrap_or(0);
        let mut state = self.state();
        if let Some(recording) = &mut state.recording {
            recording.filled(index, value, at);
        }
        // A barrier lies in another shard; what it kills is told by the record's stamp, and judged when it is read.
        if let Some(newer) = state.truth[index].published.newest_of(shard)
            && newer > value
        {
            self.trace(
                at,
                format_args!("FilledOver: {key:?} is filled with {value} after {newer}"),
            );
            *state.verdict.breaches.entry(Breach::FilledOver).or_default() += 1;
        }
    }

    fn adopted(&self, shard: Shard, head: &Head, at: Moment) {
        // Every record of the shard is dead from here on, so whatever is read next comes from the system of record.
        self.publish(|key| self.keys[key].1 == shard, None, shard, head.seq, at);
        let mut state = self.state();
        if !state.whole.insert(shard) {
            self.trace(at, format_args!("NeedlessRepair: {shard:?} has lost nothing"));
            *state.verdict.breaches.entry(Breach::NeedlessRepair).or_default() += 1;
        }
    }

    fn lost(&self, shard: Shard, from: Seq, at: Moment) {
        let mut state = self.state();
        if let Some(recording) = &mut state.recording {
            recording.forget(shard, from, at);
        }
        state.whole.remove(&shard);
        // What the servers forgot is no longer published in the history that stands.
        for truth in &mut state.truth {
            truth.published.forget(shard, from);
        }
    }
}
