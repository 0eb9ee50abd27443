//! The truth of a simulated run: the system of record, what was published when, and what every read must be.
//!
//! It judges by values and moments alone and knows nothing of versions, leases or lineages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{
    Barrier, BincodeCodec, CacheKey, Head, Key, Moment, Op, Payload, Record, SchemaFingerprint, Seq, Shard,
    ShardCount, Tag, Write, decode_value, open,
};
use cache_memory::Witness;
use edge_cache::{Fetched, Freshness, SpotCheckTally, Stats, Tier};
use testkit::history::{Point, Served};

use super::published::Published;
use super::recording::Recording;
use super::run::MAX_STALE;
use super::scenario::TIMING;

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
    /// A node was shown a version again that it had been told is outdated.
    ConflictForgotten,
    /// Two changes of a counter were acknowledged that one of them has undone.
    LostUpdate,
    /// The fleet is at rest, and a change is not acknowledged.
    NotAcknowledged,
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
    tags: Vec<Option<Tag>>,
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
    /// Shards that the servers have forgotten something of: what was published first of that, and when it was forgotten.
    forgotten: Vec<(Shard, Moment, Moment)>,
    /// Values that counters were given.
    counted: BTreeSet<(u64, u64)>,
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
        tags: Vec<Option<Tag>>,
        traced: bool,
        recording: Option<Recording>,
    ) -> Self {
        Self {
            keys: keys
                .iter()
                .map(|key| (key.raw().clone(), key.shard(ShardCount::DEFAULT)))
                .collect(),
            tags,
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
    pub(crate) fn end(&self, read: Begun, answer: &Fetched<u64>, now: Moment) {
        let bound = match answer.freshness() {
            Freshness::Stale { .. } | Freshness::Unproven { .. } => MAX_STALE,
            Freshness::Current { .. } | Freshness::WithinTtl { .. } => TIMING.lease,
        };
        let mut state = self.state();
        let value = **answer;
        state.verdict.reads += 1;
        state.verdict.hits += u64::from(answer.tier() == Tier::L1);
        if let (Some(recording), Some(began)) = (&mut state.recording, read.point) {
            recording.read(read.process, read.key, (began, now), value, served(answer));
        }
        let missed = state.truth[read.key].published.first_after(value);
        let behind = missed.map_or(Duration::ZERO, |at| read.at.since(at));
        state.verdict.oldest = state.verdict.oldest.max(behind);
        let newest = &mut state.known(read.process, read.key).newest_read;
        *newest = value.max(*newest);
        let understated = match answer.freshness() {
            Freshness::Current { at_most }
            | Freshness::Unproven { at_most }
            | Freshness::Stale { at_most } => missed.is_some_and(|at| now.since(at) > at_most + GRAIN),
            Freshness::WithinTtl { .. } => false,
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

    /// The servers came back from an old copy, just now. What they forgot is known to be lost if a node survives that must have
    /// heard of it, and has to be assumed if none does: from here on, nothing is current but what is loaded anew.
    pub(crate) fn restored(&self, survivors: bool, now: Moment) {
        let forgotten = std::mem::take(&mut self.state().forgotten);
        for (shard, first, at) in forgotten {
            if at == now && (!survivors || now.since(first) > HEARD_OF) {
                // The step that says so belongs to no history that could be forgotten.
                let barriers = Shard::barriers(shard.lane());
                self.publish(|key| self.is_in(key, shard), None, barriers, Seq::ZERO, now);
            }
        }
        self.state().whole.clear();
    }

    /// A node was shown a version again of which it had been told that another one stands there.
    pub(crate) fn conflict_forgotten(&self, now: Moment, node: usize, counter: u64, version: Seq) {
        self.trace(
            now,
            format_args!("ConflictForgotten: node {node} is shown counter {counter} at {version} once more"),
        );
        self.broken(Breach::ConflictForgotten);
    }

    /// A counter was given this value, and its writer told so.
    pub(crate) fn counted(&self, now: Moment, counter: u64, value: u64) {
        let first = self.state().counted.insert((counter, value));
        if !first {
            self.trace(
                now,
                format_args!("LostUpdate: counter {counter} is made {value} twice"),
            );
            self.broken(Breach::LostUpdate);
        }
    }

    fn broken(&self, breach: Breach) {
        *self.state().verdict.breaches.entry(breach).or_default() += 1;
    }

    /// Whether a key is under a shard: one of its steps can say something of it.
    fn is_in(&self, key: usize, shard: Shard) -> bool {
        let own = self.keys[key].1;
        own == shard || (shard.holds_barriers() && own.lane() == shard.lane())
    }

    /// Everything has come to rest: a read must have the newest value.
    pub(crate) fn at_rest(&self, process: usize, key: usize, answer: &Fetched<u64>, now: Moment) {
        let mut state = self.state();
        let value = **answer;
        if let Some(recording) = &mut state.recording {
            recording.read_at_rest(process, key, now, value, served(answer));
        }
        if value != state.truth[key].value {
            *state.verdict.breaches.entry(Breach::NeverCaughtUp).or_default() += 1;
        }
    }

    /// Everything has come to rest: a change must be acknowledged.
    pub(crate) fn acknowledged_at_rest(&self, is_acknowledged: bool) {
        if !is_acknowledged {
            *self
                .state()
                .verdict
                .breaches
                .entry(Breach::NotAcknowledged)
                .or_default() += 1;
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

/// After what time every node has heard of a publication, whatever went wrong: the longest trouble, and a heartbeat.
const HEARD_OF: Duration = Duration::from_secs(2);

fn served(answer: &Fetched<u64>) -> Served {
    match (answer.freshness(), answer.tier()) {
        (Freshness::Stale { .. } | Freshness::Unproven { .. }, _) => Served::Stale,
        (_, Tier::L1) => Served::Memory,
        (_, Tier::L2) => Served::Shared,
        (_, Tier::Source) => Served::Source,
    }
}

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
            Op::Raise(Barrier::Tag(tag)) => {
                let tagged = |key: usize| self.tags[key].as_ref() == Some(tag);
                self.publish(|key| tagged(key) && in_lane(key), None, shard, seq, at);
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
        let first = state
            .truth
            .iter_mut()
            .filter_map(|truth| truth.published.forget(shard, from))
            .min();
        state.forgotten.extend(first.map(|first| (shard, first, at)));
    }
}
