//! The barriers of one lane as a node knows them: which tags and namespaces were invalidated, and when.
//!
//! Pure. Fed by the events of the lane's barrier shard; it never asks the store itself, it only says when somebody must.

use std::collections::HashMap;

use cache_core::{Barrier, BarrierStamp, CacheKey, Head, Lineage, Seq};

use crate::rules::{Rule, Rules};

/// Barriers remembered one by one. With more, the table starts over and older values are checked against the store.
const REMEMBERED: usize = 65_536;

/// What the barriers say about a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// None of its barriers was raised since its fill started.
    Valid,
    /// One was: the value is dead.
    Dead,
    /// It is older than what this node knows: read the barriers' records, [`Barriers::learn`] them, ask again.
    Unknown,
}

/// What one node knows of one lane's barriers.
///
/// ```
/// use cache_core::{Barrier, BarrierStamp, EventId, Head, Lineage, Seq, ServerMark, Tag};
/// use event_bus::{Barriers, Standing};
///
/// let mut barriers = Barriers::default();
/// let (lineage, mark) = (Lineage(1), ServerMark(0));
/// barriers.reset(&Head { lineage, seq: Seq(4), id: EventId(0), floor: Seq(0), mark });
/// let (stamp, eu) = (BarrierStamp { lineage: Lineage(1), seq: Seq(4) }, Barrier::Tag(Tag::new("eu")));
/// assert_eq!(barriers.judge(stamp, &[eu.key()]), Standing::Valid);
/// barriers.raise(&eu, Seq(5));
/// assert_eq!(barriers.judge(stamp, &[eu.key()]), Standing::Dead);
/// ```
#[derive(Debug, Default)]
pub struct Barriers {
    lineage: Lineage,
    /// Every barrier above this has been seen by event.
    complete_since: Seq,
    /// Values stamped below this are dead, whatever their tags.
    floor: Seq,
    /// Everything up to here has been seen.
    cursor: Seq,
    raised: HashMap<CacheKey, Seq>,
    rules: Rules,
}

impl Barriers {
    pub(crate) fn under(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Starts over at this head: on first contact, in a new lineage, or after missed events.
    pub fn reset(&mut self, head: &Head) {
        *self = Self {
            lineage: head.lineage,
            complete_since: head.seq,
            floor: head.floor,
            cursor: head.seq,
            raised: HashMap::new(),
            rules: self.rules,
        };
    }

    /// A barrier was raised at `seq`. A delayed message never lowers it.
    pub fn raise(&mut self, barrier: &Barrier, seq: Seq) {
        let key = barrier.key();
        // It may have been raised again before this table started over, and that was forgotten: older news would pass for all
        // there is to know, so it stays unknown.
        if seq > self.complete_since || self.raised.contains_key(&key) {
            self.learn(key, seq);
        }
    }

    /// The store's record says that this barrier was last raised at `seq` ([`Seq::ZERO`]: never, as far as kept).
    pub fn learn(&mut self, key: CacheKey, seq: Seq) {
        if self.raised.len() >= REMEMBERED && !self.raised.contains_key(&key) {
            // Barriers may have come early, so the newest of those forgotten may lie above the cursor.
            let newest = self.raised.drain().map(|(_, seq)| seq).max();
            self.complete_since = self.cursor.max(seq).max(newest.unwrap_or_default());
        }
        let known = self.raised.entry(key).or_insert(seq);
        if seq > *known || !self.rules.hold(Rule::BarriersOnlyRise) {
            *known = seq;
        }
    }

    /// Everything up to `cursor` has been seen, and the shard's floor is this.
    pub fn advance(&mut self, cursor: Seq, floor: Seq) {
        self.cursor = self.cursor.max(cursor);
        self.floor = self.floor.max(floor);
    }

    /// The history that is followed.
    pub const fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Whether a value with this stamp, under these barriers, is still valid.
    pub fn judge(&self, stamp: BarrierStamp, barriers: &[CacheKey]) -> Standing {
        if stamp.lineage != self.lineage || stamp.seq < self.floor {
            return Standing::Dead;
        }
        let mut standing = Standing::Valid;
        for key in barriers {
            match self.raised.get(key) {
                Some(raised) if *raised > stamp.seq => return Standing::Dead,
                None if stamp.seq < self.complete_since => standing = Standing::Unknown,
                _not_since => {}
            }
        }
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::{EventId, Tag};

    fn at(seq: u64) -> Barriers {
        let mut barriers = Barriers::default();
        barriers.reset(&Head {
            lineage: Lineage(1),
            seq: Seq(seq),
            id: EventId(0),
            floor: Seq(0),
            mark: cache_core::ServerMark(0),
        });
        barriers
    }

    fn stamp(seq: u64) -> BarrierStamp {
        BarrierStamp {
            lineage: Lineage(1),
            seq: Seq(seq),
        }
    }

    fn tag(name: &str) -> Barrier {
        Barrier::Tag(Tag::new(name))
    }

    #[test]
    fn a_delayed_message_never_lowers_a_barrier() {
        let mut barriers = at(1);
        barriers.raise(&tag("a"), Seq(9));
        barriers.raise(&tag("a"), Seq(5));
        assert_eq!(barriers.judge(stamp(7), &[tag("a").key()]), Standing::Dead);
    }

    #[test]
    fn a_value_older_than_the_node_must_be_looked_up_and_is_then_judged() {
        let mut barriers = at(10);
        assert_eq!(barriers.judge(stamp(4), &[tag("a").key()]), Standing::Unknown);
        barriers.learn(tag("a").key(), Seq(3));
        assert_eq!(barriers.judge(stamp(4), &[tag("a").key()]), Standing::Valid);
        assert_eq!(barriers.judge(stamp(2), &[tag("a").key()]), Standing::Dead);
    }

    #[test]
    fn news_from_before_the_table_started_over_does_not_stand_for_what_it_forgot() {
        let mut barriers = at(7);
        barriers.raise(&tag("a"), Seq(12));
        let forgets = Head {
            lineage: Lineage(1),
            seq: Seq(12),
            id: EventId(0),
            floor: Seq(0),
            mark: cache_core::ServerMark(0),
        };
        barriers.reset(&forgets);
        // The hole before the early event is filled only now.
        barriers.raise(&tag("a"), Seq(10));
        assert_eq!(barriers.judge(stamp(11), &[tag("a").key()]), Standing::Unknown);
        barriers.learn(tag("a").key(), Seq(12));
        assert_eq!(barriers.judge(stamp(11), &[tag("a").key()]), Standing::Dead);
        assert_eq!(barriers.judge(stamp(12), &[tag("a").key()]), Standing::Valid);
    }

    #[test]
    fn a_value_of_another_lineage_or_below_the_floor_is_dead() {
        let mut barriers = at(10);
        barriers.advance(Seq(12), Seq(11));
        assert_eq!(barriers.judge(stamp(10), &[]), Standing::Dead);
        assert_eq!(
            barriers.judge(
                BarrierStamp {
                    lineage: Lineage(2),
                    seq: Seq(50)
                },
                &[]
            ),
            Standing::Dead
        );
        assert_eq!(barriers.judge(stamp(12), &[]), Standing::Valid);
    }

    #[test]
    fn a_full_table_starts_over_and_older_values_become_unknown_never_valid() {
        let mut barriers = at(0);
        barriers.raise(&tag("first"), Seq(1));
        for index in 0..=REMEMBERED {
            barriers.raise(&tag(&index.to_string()), Seq(2 + index as u64));
            barriers.advance(Seq(2 + index as u64), Seq(0));
        }
        assert_eq!(barriers.judge(stamp(0), &[tag("first").key()]), Standing::Unknown);
    }
}
