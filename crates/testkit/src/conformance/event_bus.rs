//! The suite of [`EventBus`](cache_core::EventBus): delivery, the log, heads.
//!
//! It tests a healthy bus; that nodes survive a sick one is the protocol's concern.

mod delivery;
mod heads;
mod log;
mod words;

use std::sync::Arc;
use std::time::Duration;

use cache_core::{BusLink, Lane, Shard, WireEvent};

use super::BusFixture;
use crate::{Recorder, Scribe, shards_in};

/// Runs every rule, each on what a call of `make` gives.
///
/// # Panics
/// When a rule is broken; the message names every broken rule.
pub async fn all(make: impl AsyncFn() -> BusFixture) {
    hear_all!(
        "event_bus", async make,
        delivery: [
            a_subscriber_sees_every_event_in_order,
            each_event_names_the_one_before_it,
            every_shard_of_the_lane_is_heard,
            events_of_the_other_lane_are_not_delivered,
            two_subscribers_both_get_everything,
            dropping_the_link_ends_delivery,
            what_was_refused_is_no_event,
            a_fill_is_no_event,
        ],
        words: [
            a_change_of_many_keys_is_one_event,
            a_small_value_travels_inside_its_event_when_asked_to,
            an_inlined_record_is_the_one_that_is_stored,
            a_raised_barrier_is_told,
            a_flush_is_told,
            an_adoption_is_told_as_a_flush_in_the_new_lineage,
            an_announcement_is_delivered_as_it_was_given,
        ],
        heads: [
            heads_name_every_shard_of_the_lane_once,
            heads_are_those_of_this_instant,
            every_answer_names_the_same_server,
            a_record_ends_its_ttl_after_the_time_that_heads_tell,
        ],
        log: [
            a_replay_starts_with_the_entry_asked_for_and_has_no_holes,
            a_replay_has_what_was_delivered_without_values,
            a_step_is_in_the_log_when_its_reply_arrives,
            a_replay_from_beyond_the_head_is_empty,
            a_shard_without_a_head_has_no_log,
            a_trimmed_log_starts_later,
        ],
    );
}

/// How long a rule waits for a message: ample for a loaded machine, since a rule that holds never waits so long.
const DEADLINE: Duration = Duration::from_secs(10);

fn shard() -> Shard {
    shards_in(Lane::Bulk, 1)[0]
}

/// A subscriber to a lane, from before anything happens there.
async fn listener(fixture: &BusFixture, lane: Lane) -> (Arc<Recorder>, Arc<dyn BusLink>) {
    let inbox = Recorder::new();
    let link = fixture.bus.subscribe(lane, Arc::clone(&inbox) as _).await;
    (inbox, link.expect("a healthy bus takes subscribers"))
}

/// A subscriber to the bulk lane and the writer of one of its shards. The event of its creation is the first.
async fn listener_and_scribe(fixture: &BusFixture) -> (Arc<Recorder>, Arc<dyn BusLink>, Scribe) {
    let (inbox, link) = listener(fixture, Lane::Bulk).await;
    let scribe = Scribe::create(&fixture.store, shard()).await;
    (inbox, link, scribe)
}

/// The first `count` events of a shard.
async fn heard(inbox: &Recorder, shard: Shard, count: usize) -> Vec<WireEvent> {
    let events = inbox.wait_for_events(shard, count, DEADLINE).await;
    events.unwrap_or_else(|overdue| panic!("{count} events of {shard} are expected; {overdue}"))
}
