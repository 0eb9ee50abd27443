//! What the embedded server keeps for one shard: head, records, fill leases, log, and enough to lose its newest part.
//!
//! It decides nothing: the rules are the functions in `script`, which are given this and the time.

use std::collections::VecDeque;

use cache_core::{
    BarrierKind, CacheKey, EventId, EventOp, FillToken, Head, LogEntry, Record, RegionId, Seq, ServerTime,
};

use crate::barriers::{BarrierTable, Raised};
use crate::expiring::{Ending, Expiring};

/// One shard.
#[derive(Debug, Default)]
pub(crate) struct ShardState {
    /// `None` until the shard is adopted for the first time, and after it was wiped.
    pub(crate) head: Option<Head>,
    /// Records by key. Those at or below the floor are not kept.
    pub(crate) records: Expiring<Record>,
    /// In a barrier shard, its barriers by kind; `None` where they were lost.
    pub(crate) barriers: Tables,
    /// Who may fill which key.
    pub(crate) leases: Expiring<Lease>,
    /// The newest events, without holes.
    pub(crate) log: VecDeque<LogEntry>,
    /// How to take back the newest steps, the oldest first.
    pub(crate) steps: VecDeque<Step>,
}

/// The barriers of each kind.
pub(crate) type Tables = [Option<BarrierTable>; BarrierKind::ALL.len()];

/// A right to fill a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    pub(crate) token: FillToken,
    pub(crate) until: ServerTime,
    /// The head when it was given.
    pub(crate) since: Seq,
}

impl Ending for Lease {
    fn ends(&self) -> ServerTime {
        self.until
    }

    fn weight(&self) -> u64 {
        96
    }
}

/// What one step of the history replaced.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) head: Option<Head>,
    pub(crate) replaced: Replaced,
}

/// The part of a shard that a step replaced.
#[derive(Debug)]
pub(crate) enum Replaced {
    /// Only the head.
    Nothing,
    /// A barrier of this kind.
    Barrier(BarrierKind, Raised),
    /// Some keys, in the order in which they were changed.
    Keys(Vec<ReplacedKey>),
    /// All records and leases.
    Records(Expiring<Record>, Expiring<Lease>),
    /// All records and leases, and the log with them: another history begins.
    History(Box<Ended>),
}

/// What another history takes the place of.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) records: Expiring<Record>,
    pub(crate) leases: Expiring<Lease>,
    pub(crate) barriers: Tables,
    pub(crate) log: VecDeque<LogEntry>,
}

/// A key before a step.
#[derive(Debug)]
pub(crate) struct ReplacedKey {
    pub(crate) key: CacheKey,
    pub(crate) record: Option<Record>,
    pub(crate) lease: Option<Lease>,
}

impl ShardState {
    /// The barriers of a kind. Where they were lost, everything counts as raised at the head that stands now.
    pub(crate) fn barriers(&mut self, kind: BarrierKind) -> &mut BarrierTable {
        let now = self.head.map_or(Seq::ZERO, |head| head.seq);
        self.barriers[kind.index()].get_or_insert_with(|| BarrierTable::since(now))
    }

    /// The live record of a key.
    pub(crate) fn live(&self, key: &CacheKey, now: ServerTime) -> Option<&Record> {
        let floor = self.head?.floor;
        self.records
            .find(key, now)
            .filter(|record| record.version > floor)
    }

    /// Moves the head on by one event and keeps what is needed to take the step back.
    pub(crate) fn advance(&mut self, head: Head, op: EventOp, replaced: Replaced, log_len: usize) {
        let before = self.head.replace(head);
        self.steps.push_back(Step {
            head: before,
            replaced,
        });
        if self.steps.len() > STEPS_KEPT {
            self.steps.pop_front();
        }
        self.log.push_back(LogEntry {
            seq: head.seq,
            id: head.id,
            origin: RegionId::HERE,
            op,
        });
        while self.log.len() > log_len {
            self.log.pop_front();
        }
    }

    /// What of it would be found on a disk.
    pub(crate) fn saved(&self) -> Self {
        Self {
            head: self.head,
            records: self.records.clone(),
            barriers: self.barriers.clone(),
            log: self.log.clone(),
            ..Self::default()
        }
    }

    /// The identity of the newest event.
    pub(crate) fn newest_id(&self) -> EventId {
        self.head.map_or(EventId(0), |head| head.id)
    }

    /// Removes a bounded number of ended records and leases. Every step adds at most one of each for each key it
    /// names, so twice that many keep the memory in bounds.
    pub(crate) fn sweep(&mut self, now: ServerTime, added: usize) {
        self.records.sweep(now, added * 2 + 2);
        self.leases.sweep(now, added * 2 + 2);
    }

    /// Bytes of records, leases and barriers.
    pub(crate) fn used_bytes(&self) -> u64 {
        let barriers = self.barriers.iter().flatten().map(BarrierTable::weight);
        self.records.weight() + self.leases.weight() + barriers.sum::<u64>()
    }

    /// Takes the newest `count` steps back, or as many as are known, and returns the first number that was lost.
    pub(crate) fn lose_newest(&mut self, count: u64) -> Option<Seq> {
        let mut lost = None;
        for _ in 0..count {
            let Some(step) = self.steps.pop_back() else { break };
            lost = self.head.map(|head| head.seq);
            self.head = step.head;
            match step.replaced {
                Replaced::Nothing => {}
                Replaced::Keys(keys) => keys.into_iter().rev().for_each(|key| self.put_back(key)),
                Replaced::Records(records, leases) => (self.records, self.leases) = (records, leases),
                Replaced::Barrier(kind, raised) => {
                    if let Some(table) = &mut self.barriers[kind.index()] {
                        table.take_back(raised);
                    }
                }
                Replaced::History(ended) => {
                    (self.records, self.leases) = (ended.records, ended.leases);
                    (self.barriers, self.log) = (ended.barriers, ended.log);
                }
            }
        }
        lost?;
        let newest = self.head.map_or(Seq::ZERO, |head| head.seq);
        // Fills take no step, but those that came after the lost ones are lost with them.
        self.records.retain(|record| record.version <= newest);
        self.leases.retain(|lease| lease.since <= newest);
        while self.log.back().is_some_and(|entry| entry.seq > newest) {
            self.log.pop_back();
        }
        lost
    }

    fn put_back(&mut self, before: ReplacedKey) {
        match before.record {
            Some(record) => drop(self.records.insert(before.key.clone(), record)),
            None => drop(self.records.remove(&before.key)),
        }
        match before.lease {
            Some(lease) => drop(self.leases.insert(before.key, lease)),
            None => drop(self.leases.remove(&before.key)),
        }
    }
}

/// Steps that can be taken back. A replica that is further behind than this is thrown away by its operator, and
/// each step keeps the records it replaced: 64 of them in 130 shards are some megabytes at worst.
const STEPS_KEPT: usize = 64;
