//! The truth of a simulated run: the system of record, what was published when, and what every read must be.
//!
//! It judges by values and moments alone and knows nothing of versions, leases or lineages.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{
    Barrier, BincodeCodec, CacheKey, Head, Lane, Moment, Op, Payload, SchemaFingerprint, Seq, Shard, Write,
    decode_value, open,
};
use cache_memory::Witness;
use edge_cache::Tier;

/// A promise that a read broke.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Breach {
    /// G1: this node's acknowledged write is missing.
    OwnWrite,
    /// G2: an earlier read of this node had a newer value.
    Backwards,
    /// G3: something published longer ago than the bound is missing.
    TooOld,
    /// The fleet is at rest, and the value is still not the newest.
    NeverCaughtUp,
}

/// One key's part of the truth.
#[derive(Debug, Default)]
struct KeyTruth {
    /// What the system of record holds: it counts up.
    value: u64,
    /// Published at that moment, by that step of that shard: nothing older may be read a bound later.
    announced: Vec<(Moment, u64, Shard, Seq)>,
}

/// The truth about all keys of a run.
#[derive(Debug)]
pub(crate) struct Truth {
    keys: Vec<CacheKey>,
    tagged: Vec<bool>,
    traced: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    truth: Vec<KeyTruth>,
    /// By node and key: what its acknowledged writes oblige it to.
    own: HashMap<(usize, usize), u64>,
    /// By node and key: the newest value a finished read had.
    newest_read: HashMap<(usize, usize), u64>,
    verdict: Verdict,
}

/// A read that has begun, with what it must not be older than.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    node: usize,
    key: usize,
    at: Moment,
    own: u64,
    newest_read: u64,
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
        for (breach, count) in &other.breaches {
            *self.breaches.entry(*breach).or_default() += count;
        }
    }
}

impl Truth {
    pub(crate) fn new(keys: Vec<CacheKey>, tagged: Vec<bool>, traced: bool) -> Self {
        let truth = keys.iter().map(|_| KeyTruth::default()).collect();
        Self {
            keys,
            tagged,
            traced,
            state: Mutex::new(State {
                truth,
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
    pub(crate) fn commit(&self, key: usize) -> u64 {
        let mut state = self.state();
        state.verdict.writes += 1;
        state.truth[key].value += 1;
        state.truth[key].value
    }

    /// The node was told that its change to this value is known to the cache.
    pub(crate) fn acknowledged(&self, node: usize, key: usize, value: u64) {
        let mut state = self.state();
        let own = state.own.entry((node, key)).or_default();
        *own = (*own).max(value);
    }

    /// A read begins.
    pub(crate) fn begin(&self, node: usize, key: usize, at: Moment) -> Begun {
        let state = self.state();
        let own = state.own.get(&(node, key)).copied().unwrap_or(0);
        let newest_read = state.newest_read.get(&(node, key)).copied().unwrap_or(0);
        Begun {
            node,
            key,
            at,
            own,
            newest_read,
        }
    }

    /// A read ended with this value.
    pub(crate) fn end(&self, read: Begun, value: u64, tier: Tier, bound: Duration) {
        let mut state = self.state();
        state.verdict.reads += 1;
        state.verdict.hits += u64::from(tier == Tier::L1);
        let missed = state.truth[read.key]
            .announced
            .iter()
            .filter(|(_, announced, _, _)| *announced > value);
        let behind = missed
            .map(|(at, ..)| read.at.since(*at))
            .max()
            .unwrap_or_default();
        state.verdict.oldest = state.verdict.oldest.max(behind);
        let newest = state.newest_read.entry((read.node, read.key)).or_default();
        *newest = (*newest).max(value);
        let breaches = [
            (Breach::OwnWrite, value < read.own),
            (Breach::Backwards, value < read.newest_read),
            (Breach::TooOld, behind > bound),
        ];
        for (breach, _) in breaches.into_iter().filter(|(_, broken)| *broken) {
            self.trace(read.at, format_args!("{breach:?}: {read:?} ended with {value}"));
            *state.verdict.breaches.entry(breach).or_default() += 1;
        }
    }

    /// Everything has come to rest: a read must have the newest value.
    pub(crate) fn at_rest(&self, key: usize, value: u64) {
        let mut state = self.state();
        if value != state.truth[key].value {
            *state.verdict.breaches.entry(Breach::NeverCaughtUp).or_default() += 1;
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.state().verdict.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(
        &self,
        which: impl Fn(usize) -> bool,
        value: Option<u64>,
        shard: Shard,
        seq: Seq,
        at: Moment,
    ) {
        if shard.lane() != Lane::Critical {
            // Barriers are raised in both lanes; the keys of this run are in one.
            return;
        }
        let mut state = self.state();
        for key in (0..self.keys.len()).filter(|key| which(*key)) {
            let truth = &mut state.truth[key];
            truth
                .announced
                .push((at, value.unwrap_or(truth.value), shard, seq));
        }
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
        let seq = head.seq;
        match &write.op {
            Op::Change(changes) => {
                for change in changes {
                    let value = change.record.as_ref().and_then(|record| stored(&record.body));
                    self.announce(|key| self.keys[key] == change.key, value, write.shard, seq, at);
                }
            }
            Op::Raise(Barrier::Tag(_)) => self.announce(|key| self.tagged[key], None, write.shard, seq, at),
            Op::Raise(_) => self.announce(|_| true, None, write.shard, seq, at),
            Op::Flush => self.announce(
                |key| Shard::of(write.shard.lane(), &self.keys[key]) == write.shard,
                None,
                write.shard,
                seq,
                at,
            ),
            Op::Announce(_) => {}
        }
    }

    fn adopted(&self, shard: Shard, head: &Head, at: Moment) {
        // Every record of the shard is dead from here on, so whatever is read next comes from the system of record.
        self.announce(
            |key| Shard::of(shard.lane(), &self.keys[key]) == shard,
            None,
            shard,
            head.seq,
            at,
        );
    }

    fn lost(&self, shard: Shard, from: Seq, _at: Moment) {
        // What the servers forgot is no longer published in the history that stands.
        for truth in &mut self.state().truth {
            truth
                .announced
                .retain(|(_, _, of, seq)| *of != shard || *seq < from);
        }
    }
}
