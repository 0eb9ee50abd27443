//! The suite of [`SharedStore`](cache_core::SharedStore): lineages, the sequence, fills, and how records end.
//!
//! Reads that must see a write ask the primary: any other copy may lag, and that is no fault.

mod adoption;
mod ending;
mod filling;
mod leases;
mod writing;

use std::time::Duration;

use cache_core::{CacheKey, Lane, Shard};

use super::StoreFixture;
use crate::{Scribe, keys_in, shards_in};

/// Runs every rule, each on what a call of `make` gives.
///
/// # Panics
/// When a rule is broken; the message names every broken rule.
pub async fn all(make: impl AsyncFn() -> StoreFixture) {
    hear_all!(
        "shared_store", async make,
        adoption: [
            a_connected_store_says_so,
            there_is_no_head_before_an_adoption,
            an_adoption_gives_a_shard_its_first_head,
            of_many_adopters_of_a_new_shard_one_wins,
            of_many_adopters_of_a_lineage_one_wins,
            an_adoption_from_another_lineage_loses_and_changes_nothing,
            a_number_up_to_the_hint_is_never_issued_again,
            a_hint_below_the_head_does_not_turn_the_sequence_back,
            after_an_adoption_every_record_is_dead_and_new_ones_live,
            after_an_adoption_the_old_lineage_is_refused,
            shards_have_histories_of_their_own,
            an_adoption_sets_the_mark_and_every_other_step_keeps_it,
        ],
        writing: [
            a_write_without_a_head_is_refused,
            a_write_in_another_lineage_is_refused_and_changes_nothing,
            every_step_takes_the_next_number_and_its_reply_has_its_own_head,
            concurrent_writes_take_a_number_each_without_gaps,
            a_record_that_was_set_is_read_back_with_its_version,
            records_are_read_in_the_order_asked_with_the_head,
            a_deleted_record_is_gone,
            deleting_what_is_not_there_is_a_step_too,
            an_expected_version_that_matches_lets_the_write_happen,
            an_expected_version_that_differs_is_told_and_nothing_is_written,
            version_zero_expects_that_there_is_no_live_record,
            of_many_writers_that_expect_the_same_version_one_wins,
            a_write_of_many_keys_is_one_step,
            one_mismatch_refuses_a_write_of_many_keys,
            a_raised_barrier_is_a_record_with_the_version_of_its_step,
            a_barrier_that_was_never_raised_has_no_number_until_a_flush_raises_every_one,
        ],
        filling: [
            a_fill_of_a_missing_record_gets_the_lease_and_the_next_one_waits,
            a_fill_of_a_live_record_finds_it,
            a_record_that_is_not_newer_counts_as_missing,
            a_fill_of_a_shard_without_a_head_is_refused,
            a_fill_in_another_lineage_is_refused,
            a_committed_fill_is_a_record_of_the_heads_version_and_no_step,
            a_committed_fill_replaces_a_record_that_counted_as_missing,
            a_commit_without_a_record_gives_the_lease_back,
            of_many_that_begin_a_fill_at_once_one_gets_the_lease,
        ],
        leases: [
            a_commit_without_a_lease_is_rejected,
            another_token_neither_commits_nor_releases,
            a_lease_commits_once,
            a_lease_ends_after_its_time,
            a_write_takes_the_lease_away,
            a_deletion_takes_the_lease_away,
            a_write_of_many_keys_takes_the_lease_of_each_away,
            a_write_of_another_key_leaves_the_lease,
            a_flush_takes_every_lease_away,
        ],
        ending: [
            a_flush_kills_every_record_and_new_ones_live,
            a_fill_right_after_a_flush_lives,
            a_flush_leaves_other_shards_alone,
            a_record_ends_with_its_ttl,
            a_filled_record_ends_with_its_ttl,
            a_write_with_a_ttl_of_zero_is_rejected_and_changes_nothing,
            a_fill_with_a_ttl_of_zero_is_rejected_and_stores_nothing,
        ],
    );
}

/// A lease or life that ends within a rule.
const SHORT: Duration = Duration::from_millis(100);

/// After this time what is [`SHORT`] has ended, on a clock of any sensible grain.
const AFTER_SHORT: Duration = Duration::from_millis(150);

/// A lease that outlasts every rule.
const LONG: Duration = Duration::from_secs(120);

/// Some writers at once: enough to collide, few enough for a small server.
const CROWD: u64 = 16;

fn shard() -> Shard {
    shards_in(Lane::Bulk, 1)[0]
}

fn key() -> CacheKey {
    keys(1).remove(0)
}

fn keys(count: usize) -> Vec<CacheKey> {
    keys_in(shard(), count)
}

/// The writer of a shard that has its first head.
async fn scribe(fixture: &StoreFixture) -> Scribe {
    Scribe::create(&fixture.store, shard()).await
}
