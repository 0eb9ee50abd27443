//! Whether a step of the history that somebody names has been taken.
//!
//! It changes nothing: nothing is known to exist because somebody has named it.

use cache_core::Position;

use super::{Follower, Reached, State};

impl Follower {
    /// Whether a step of the history has been taken. Its identity is compared as far back as identities are kept.
    pub fn reached(&self, at: &Position) -> Reached {
        if self.past.contains(&at.lineage) {
            return Reached::Superseded;
        }
        if self.state != State::Live || at.lineage != self.lineage || at.seq > self.cursor {
            return Reached::NotYet;
        }
        if self.contradicts(at.seq, at.id) {
            return Reached::Superseded;
        }
        Reached::Applied
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cache_core::{
        EventId, EventOp, Head, Lane, Lineage, Moment, Seq, ServerId, ServerMark, Shard, WireEvent,
    };

    use super::*;
    use crate::{Effect, Source};

    const NOW: Moment = Moment::from_nanos(5);

    /// A follower at 7, whose events have ten times their number as their identity.
    fn follower() -> Follower {
        let mut follower = Follower::new(Duration::from_secs(3), Duration::from_secs(2));
        hears(&mut follower, 1, 7, 70);
        follower
    }

    fn hears(follower: &mut Follower, lineage: u64, seq: u64, id: u64) -> Vec<Effect> {
        let (probe, mut effects) = (follower.probe(NOW), Vec::new());
        let head = Head {
            lineage: Lineage(lineage),
            seq: Seq(seq),
            id: EventId(id),
            floor: Seq(0),
            mark: ServerMark::default(),
        };
        follower.observe(NOW, &probe, Source::Bus, ServerId(1), Some(head), &mut effects);
        effects
    }

    fn applies(follower: &mut Follower, seq: u64) {
        let event = WireEvent {
            shard: Shard::barriers(Lane::Bulk),
            lineage: Lineage(1),
            seq: Seq(seq),
            id: EventId(seq * 10),
            prev: EventId(seq * 10 - 10),
            origin: cache_core::RegionId::HERE,
            op: EventOp::Changed(Vec::new()),
        };
        follower.on_event(event, &mut Vec::new());
    }

    fn at(lineage: u64, seq: u64, id: u64) -> Position {
        Position {
            shard: Shard::barriers(Lane::Bulk),
            lineage: Lineage(lineage),
            seq: Seq(seq),
            id: EventId(id),
        }
    }

    #[test]
    fn a_step_is_reached_when_everything_up_to_it_has_been_applied() {
        let mut follower = follower();
        assert_eq!(follower.reached(&at(1, 9, 90)), Reached::NotYet);
        applies(&mut follower, 9);
        assert_eq!(follower.reached(&at(1, 9, 90)), Reached::NotYet, "8 is missing");
        applies(&mut follower, 8);
        assert_eq!(follower.reached(&at(1, 9, 90)), Reached::Applied);
        assert_eq!(
            follower.reached(&at(1, 3, 30)),
            Reached::Applied,
            "from before it followed"
        );
    }

    #[test]
    fn a_number_that_somebody_made_up_changes_nothing() {
        let mut follower = follower();
        assert_eq!(follower.reached(&at(1, 1_000_000, 1)), Reached::NotYet);
        assert_eq!(follower.seen(), Seq(7));
        assert_eq!(hears(&mut follower, 1, 7, 70), [], "no fork");
        assert_eq!(
            follower.reached(&at(1, 7, 71)),
            Reached::Superseded,
            "another event has its number"
        );
    }

    #[test]
    fn a_step_of_a_history_that_was_superseded_is_never_reached() {
        let mut follower = follower();
        hears(&mut follower, 2, 9, 99);
        assert_eq!(follower.reached(&at(1, 7, 70)), Reached::Superseded);
        assert_eq!(follower.reached(&at(2, 9, 99)), Reached::Applied);
        assert_eq!(
            follower.reached(&at(3, 9, 99)),
            Reached::NotYet,
            "of a history not heard of yet"
        );
    }
}
