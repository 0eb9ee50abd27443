//! What a log says about a hit, and what nobody can say.

use cache_core::{Barrier, ChangedKey, Lane, Lineage, ServerId, Tag};

use super::*;

const OLD: Lineage = Lineage(1);

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn key(id: u64) -> CacheKey {
    CacheKey::from_wire(format!("numbers:id={id}"))
}

fn shard() -> Shard {
    ShardCount::DEFAULT.of(Lane::Bulk, &key(1))
}

/// Ids follow from numbers, ten to one, in the one history of these tests.
fn head(seq: u64) -> Head {
    Head {
        lineage: OLD,
        seq: Seq(seq),
        id: EventId(seq * 10),
        floor: Seq(0),
        mark: cache_core::ServerMark(0),
    }
}

fn event(seq: u64, op: EventOp) -> LogEntry {
    LogEntry {
        seq: Seq(seq),
        id: EventId(seq * 10),
        origin: cache_core::RegionId::HERE,
        op,
    }
}

fn change(seq: u64, of: u64) -> LogEntry {
    event(
        seq,
        EventOp::Changed(vec![ChangedKey {
            key: key(of),
            record: None,
        }]),
    )
}

fn log(entries: Vec<LogEntry>) -> Replay {
    let newest = entries.last().map_or(0, |entry| entry.seq.0);
    Replay {
        server: ServerId(1),
        head: Some(head(newest)),
        entries,
    }
}

/// A value of key 1, unchanged since that event, served at one second as current at `current_at` milliseconds.
fn served(event: u64, current_at: u64) -> Served {
    Served {
        shard: shard(),
        keys: vec![key(1)],
        unchanged_since: Version {
            lineage: OLD,
            seq: Seq(event),
        },
        current_at: at(current_at),
        at: at(1_000),
    }
}

/// What a hit comes to that must be unchanged since event 3, where the head was known to be 6 at 500 ms.
fn judged_by(replay: &Replay) -> SpotCheckTally {
    let mut checks = SpotChecks::of(ShardCount::DEFAULT);
    checks.saw_head(shard(), at(500), &head(6));
    checks.served(served(3, 900));
    for check in checks.due() {
        assert_eq!(check.from, Seq(4));
        checks.decide(check, replay);
    }
    *checks.tally()
}

const CONSISTENT: SpotCheckTally = SpotCheckTally {
    consistent: 1,
    inconsistent: 0,
    undecided: 0,
};
const INCONSISTENT: SpotCheckTally = SpotCheckTally {
    consistent: 0,
    inconsistent: 1,
    undecided: 0,
};
const UNDECIDED: SpotCheckTally = SpotCheckTally {
    consistent: 0,
    inconsistent: 0,
    undecided: 1,
};

#[test]
fn a_hit_that_lacks_a_change_of_its_key_is_inconsistent() {
    assert_eq!(
        judged_by(&log(vec![change(4, 2), change(5, 1), change(6, 2)])),
        INCONSISTENT
    );
}

#[test]
fn a_hit_that_lacks_only_changes_of_other_keys_is_consistent() {
    assert_eq!(
        judged_by(&log(vec![change(4, 2), change(5, 3), change(6, 2)])),
        CONSISTENT
    );
}

#[test]
fn a_hit_that_survived_a_flush_is_inconsistent() {
    let flushed = event(5, EventOp::Flushed);
    assert_eq!(
        judged_by(&log(vec![change(4, 2), flushed, change(6, 2)])),
        INCONSISTENT
    );
}

#[test]
fn what_a_newer_release_says_decides_nothing_and_hides_nothing() {
    let foreign = event(4, EventOp::Unknown);
    assert_eq!(
        judged_by(&log(vec![foreign.clone(), change(5, 2), change(6, 2)])),
        UNDECIDED
    );
    assert_eq!(
        judged_by(&log(vec![foreign, change(5, 1), change(6, 2)])),
        INCONSISTENT
    );
}

#[test]
fn a_hit_that_survived_its_barrier_is_inconsistent_and_one_of_another_tag_is_not() {
    for (raised, tally) in [("eu", INCONSISTENT), ("us", CONSISTENT)] {
        let mut checks = SpotChecks::of(ShardCount::DEFAULT);
        checks.saw_head(shard(), at(500), &head(4));
        checks.served(Served {
            keys: vec![Barrier::Tag(Tag::new("eu")).key()],
            ..served(3, 900)
        });
        let raise = event(4, EventOp::Raised(Barrier::Tag(Tag::new(raised))));
        for check in checks.due() {
            checks.decide(check, &log(vec![raise.clone()]));
        }
        assert_eq!(*checks.tally(), tally);
    }
}

#[test]
fn a_change_that_came_after_what_had_to_be_known_is_nobodys_mistake() {
    assert_eq!(
        judged_by(&log(vec![change(4, 2), change(5, 2), change(6, 2), change(7, 1)])),
        CONSISTENT
    );
}

#[test]
fn a_head_that_was_seen_after_the_value_was_current_obliges_to_nothing() {
    let mut checks = SpotChecks::of(ShardCount::DEFAULT);
    checks.saw_head(shard(), at(900), &head(6));
    checks.served(served(3, 900));
    assert_eq!(
        (checks.due(), *checks.tally()),
        (vec![], SpotCheckTally::default())
    );
}

#[test]
fn a_hit_that_is_as_new_as_every_head_needs_no_log() {
    let mut checks = SpotChecks::of(ShardCount::DEFAULT);
    checks.saw_head(shard(), at(500), &head(6));
    checks.served(served(6, 900));
    assert_eq!((checks.due(), *checks.tally()), (vec![], CONSISTENT));
}

#[test]
fn a_log_that_was_trimmed_rewritten_or_repaired_decides_nothing() {
    let trimmed = log(vec![change(5, 1), change(6, 2)]);
    let mut rewritten = log(vec![change(4, 2), change(5, 1), change(6, 2)]);
    rewritten.entries[2].id = EventId(66);
    let mut repaired = log(vec![change(4, 2), change(5, 1), change(6, 2)]);
    repaired.head = Some(Head {
        lineage: Lineage(2),
        ..head(6)
    });
    let shorter = log(vec![change(4, 2), change(5, 1)]);
    for replay in [trimmed, rewritten, repaired, shorter, log(vec![])] {
        assert_eq!(judged_by(&replay), UNDECIDED, "{replay:?}");
    }
}

#[test]
fn what_nobody_answers_is_asked_again_and_given_up_after_ten_seconds() {
    let mut checks = SpotChecks::of(ShardCount::DEFAULT);
    checks.saw_head(shard(), at(500), &head(6));
    checks.served(served(3, 900));
    let check = checks.due().remove(0);
    checks.unanswered(check, at(10_900));
    let again = checks.due().remove(0);
    assert_eq!(*checks.tally(), SpotCheckTally::default());
    checks.unanswered(again, at(11_000));
    assert_eq!((checks.due(), *checks.tally()), (vec![], UNDECIDED));
}

#[test]
fn however_much_is_served_a_bounded_number_waits_and_few_logs_are_read_at_once() {
    let mut checks = SpotChecks::of(ShardCount::DEFAULT);
    for id in 0..500 {
        let shard = ShardCount::DEFAULT.of(Lane::Bulk, &key(id));
        checks.saw_head(shard, at(500), &head(6));
        checks.served(Served {
            shard,
            keys: vec![key(id)],
            ..served(3, 900)
        });
    }
    let (mut rounds, mut claims) = (0, 0);
    loop {
        let due = checks.due();
        if due.is_empty() {
            break;
        }
        assert!(due.len() <= READS);
        rounds += 1;
        claims += due.iter().map(|check| check.claims.len()).sum::<usize>();
    }
    assert_eq!(claims, WAITING);
    assert!(rounds <= WAITING.div_ceil(READS));
}
