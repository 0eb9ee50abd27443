//! Starting a new history of a shard, after the old one was rewritten or lost.
//!
//! Exactly one of many adopters wins. The others learn the winner's head.

use std::mem;

use cache_core::{Adopted, Adoption, BarrierKind, EventOp, Head, RegionId, Seq, WireEvent};

use super::{Instant, Published};
use crate::barriers::BarrierTable;
use crate::state::{Ended, Replaced, ShardState};

/// Sets the new lineage if the old one is still the one named. Every record of the shard is dead afterwards.
pub(crate) fn adopt(state: &mut ShardState, adoption: &Adoption, at: Instant) -> Published<Adopted> {
    let standing = state.head.map(|head| head.lineage);
    if standing == Some(adoption.to) {
        // The same adopter asks again, since it never saw the first answer.
        return Published::silent(Some(Adopted::Won));
    }
    if standing != adoption.from {
        return Published::silent(Some(Adopted::Lost));
    }
    let prev = state.newest_id();
    // Never issues again a number that the adopter has already seen.
    let floor = state.head.map_or(Seq::ZERO, |head| head.seq).max(adoption.hint);
    let head = Head {
        lineage: adoption.to,
        seq: floor.next(),
        id: adoption.id,
        floor,
        mark: at.mark,
    };
    // Numbers may jump here, and a log has no holes: it starts anew. Who asks for older entries sees the new lineage.
    let tables = adoption
        .shard
        .holds_barriers()
        .then(|| BarrierKind::ALL.map(|_| Some(BarrierTable::since(floor))));
    let replaced = Replaced::History(Box::new(Ended {
        records: mem::take(&mut state.records),
        leases: mem::take(&mut state.leases),
        barriers: mem::replace(&mut state.barriers, tables.unwrap_or_default()),
        log: mem::take(&mut state.log),
    }));
    state.advance(head, EventOp::Flushed, replaced, at.log_len);
    Published {
        answer: Some(Adopted::Won),
        event: Some(WireEvent {
            shard: adoption.shard,
            lineage: head.lineage,
            seq: head.seq,
            id: head.id,
            prev,
            origin: RegionId::HERE,
            op: EventOp::Flushed,
        }),
    }
}
