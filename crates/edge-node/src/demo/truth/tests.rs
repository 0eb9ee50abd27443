//! Tests of the judge, with reads that are true and reads that are made up.
//!
//! No cache takes part: what a cache would return is written down here.

use cache_core::{Change, EventId, Expect, Key, Propagation, ShardCount};
use marketplace::namespaces::{GPU_PRICING, PricedShelf};

use super::*;

const OLD: Lineage = Lineage(1);
const NEW: Lineage = Lineage(2);

fn key() -> Key<PricedShelf> {
    GPU_PRICING.key(&[("region", &"us-east"), ("model", &"T4")])
}

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

fn head(lineage: Lineage, seq: u64) -> Head {
    Head {
        lineage,
        seq: Seq(seq),
        id: EventId(seq),
        floor: Seq::ZERO,
        mark: cache_core::ServerMark(0),
    }
}

fn write(op: Op) -> Write {
    Write {
        shard: key().shard(ShardCount::DEFAULT),
        lineage: OLD,
        id: EventId(0),
        op,
    }
}

fn change() -> Write {
    let change = Change {
        key: key().raw().clone(),
        record: None,
        expect: Expect::Any,
        propagation: Propagation::Invalidate,
    };
    write(Op::Change(vec![change]))
}

/// Published at 10 ms as number 1, and at 20 ms as number 5.
fn truth() -> Truth {
    let truth = Truth::new(ShardCount::DEFAULT);
    truth.adopted(key().shard(ShardCount::DEFAULT), &head(OLD, 0), at(0));
    truth.published(&change(), &head(OLD, 1), at(10));
    truth.published(&change(), &head(OLD, 5), at(20));
    truth
}

fn judged(truth: &Truth, lineage: Lineage, seq: u64, began: u64) -> Verdict {
    truth.judge(
        key().raw(),
        Version {
            lineage,
            seq: Seq(seq),
        },
        at(began),
    )
}

fn behind(millis: u64) -> Verdict {
    Verdict::Behind(Duration::from_millis(millis))
}

#[test]
fn a_read_of_the_newest_version_is_not_behind_however_late_it_is() {
    assert_eq!(judged(&truth(), OLD, 5, 9_000), behind(0));
    assert_eq!(
        judged(&truth(), OLD, 7, 9_000),
        behind(0),
        "a fill has the number of the shard's head"
    );
}

#[test]
fn a_fabricated_stale_read_is_behind_since_the_first_newer_publication() {
    assert_eq!(
        judged(&truth(), OLD, 4, 5_020),
        behind(5_000),
        "of two missed, one was there before"
    );
    assert_eq!(
        judged(&truth(), OLD, 0, 5_020),
        behind(5_010),
        "of two missed, the first counts"
    );
    assert_eq!(
        judged(&truth(), OLD, 4, 15),
        behind(0),
        "it was not published yet when the read began"
    );
}

#[test]
fn a_flush_is_newer_than_everything_in_its_shard() {
    let truth = truth();
    truth.published(&write(Op::Flush), &head(OLD, 6), at(30));
    assert_eq!(judged(&truth, OLD, 5, 130), behind(100));
    assert_eq!(judged(&truth, OLD, 6, 130), behind(0));
}

#[test]
fn a_new_history_is_newer_than_the_one_before_whatever_its_numbers_are() {
    let truth = truth();
    truth.adopted(key().shard(ShardCount::DEFAULT), &head(NEW, 6), at(40));
    assert_eq!(judged(&truth, OLD, 99, 140), behind(100));
    assert_eq!(judged(&truth, NEW, 6, 140), behind(0));
    truth.published(&change(), &head(NEW, 7), at(50));
    assert_eq!(judged(&truth, NEW, 6, 140), behind(90));
}

#[test]
fn what_a_failover_forgot_obliges_nobody() {
    let truth = truth();
    truth.lost(key().shard(ShardCount::DEFAULT), Seq(2), at(30));
    assert_eq!(judged(&truth, OLD, 1, 9_000), behind(0));
    truth.published(&change(), &head(OLD, 2), at(40));
    assert_eq!(judged(&truth, OLD, 1, 140), behind(100));
}

#[test]
fn a_version_of_no_history_is_a_fabrication_and_none_at_all_is_said_so() {
    assert_eq!(judged(&truth(), Lineage(77), 5, 30), Verdict::Fabricated);
    assert_eq!(judged(&truth(), Lineage::default(), 0, 30), Verdict::Unversioned);
}

#[test]
fn the_moment_of_a_publication_is_found_by_its_version() {
    assert_eq!(truth().publication_of(key().raw(), Seq(5)), Some(at(20)));
    assert_eq!(truth().publication_of(key().raw(), Seq(4)), None);
}

#[test]
fn a_fabricated_stale_read_breaks_the_bound_and_one_within_it_does_not() {
    let (truth, bound) = (truth(), Duration::from_secs(3));
    assert!(
        judged(&truth, OLD, 4, 3_021).breaks(bound),
        "a millisecond beyond"
    );
    assert!(!judged(&truth, OLD, 4, 3_020).breaks(bound), "exactly the bound");
    assert!(
        !judged(&truth, OLD, 5, 90_000).breaks(bound),
        "the newest, however old"
    );
    assert!(judged(&truth, Lineage(77), 5, 30).breaks(bound));
}
