//! Events, holes and the log.
//!
//! One server throughout; who takes its place is tested elsewhere.

use super::*;

#[test]
fn nothing_is_followed_or_leased_before_first_contact() {
    let mut server = Server::new();
    let mut node = Node::new();
    node.receives(&server.publish());
    assert!(node.applied.is_empty() && !node.may_hit());
    assert_eq!(node.follower.lineage(), None);
}

#[test]
fn first_contact_starts_at_the_head_with_nothing_flushed_and_nothing_missed() {
    let server = Server::new();
    let mut node = Node::new();
    assert_eq!(node.beat(&server), admitted(10));
    assert_eq!((node.cursor(), node.follower.generation()), (10, 1));
    assert_eq!(node.orders(), []);
    assert!(node.may_hit());
}

#[test]
fn contiguous_events_are_applied_and_move_the_cursor() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.receives_all(&server.publish_many(3));
    assert_eq!((node.applied.as_slice(), node.cursor()), (&[11, 12, 13][..], 13));
    assert_eq!(node.orders(), []);
}

#[test]
fn a_duplicate_is_applied_once() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let event = server.publish();
    node.receives(&event);
    node.receives(&event);
    assert_eq!(node.applied, [11]);
    assert_eq!(node.follower.tally().duplicates, 1);
    assert_eq!(node.orders(), []);
}

#[test]
fn another_event_under_a_known_number_is_a_fork() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let event = server.publish();
    node.receives(&event);
    node.receives(&WireEvent {
        id: EventId(99),
        ..event
    });
    let adopt = Effect::Adopt {
        from: Some(Lineage(1)),
        hint: Seq(11),
    };
    assert_eq!(node.orders(), [Effect::Missed, adopt]);
    assert!(!node.may_hit());
}

#[test]
fn an_event_that_does_not_name_its_predecessor_is_a_fork() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let event = server.publish();
    node.receives(&WireEvent {
        prev: EventId(99),
        ..event
    });
    assert_eq!(node.follower.tally().forks, 1);
    assert_eq!(node.cursor(), 10);
}

#[test]
fn an_early_event_is_applied_at_once_and_only_the_cursor_waits() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(3);
    node.receives_all([&events[2], &events[1]]);
    assert_eq!((node.applied.as_slice(), node.cursor()), (&[13, 12][..], 10));
    assert_eq!(node.follower.seen(), Seq(13));
    node.receives(&events[0]);
    assert_eq!((node.applied.as_slice(), node.cursor()), (&[13, 12, 11][..], 13));
}

#[test]
fn a_hole_is_read_from_the_log_once_beginning_with_the_cursor_itself() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(4);
    node.receives_all(&events[1..]);
    assert_eq!(node.orders(), [replay_from(10)]);
    assert_eq!(node.follower.tally().gaps, 1);
}

#[test]
fn a_replay_catches_up_and_applies_nothing_twice() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(4);
    node.receives(&events[2]);
    node.settle_with(&mut server);
    assert_eq!(
        (node.applied.as_slice(), node.cursor()),
        (&[13, 11, 12, 14][..], 14)
    );
    assert_eq!(node.follower.generation(), 1, "nothing was flushed");
    node.receives(&events[3]);
    assert_eq!(node.applied.len(), 4);
}

#[test]
fn a_replay_that_was_overtaken_by_late_events_flushes_nothing() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(4);
    node.receives(&events[1]);
    assert_eq!(node.orders(), [replay_from(10)]);
    let (probe, log) = (node.ask(), server.replay(Seq(10)));
    node.receives_all([&events[0], &events[2]]);
    node.receives_log(&probe, log);
    assert_eq!(
        (node.applied.as_slice(), node.cursor()),
        (&[12, 11, 13, 14][..], 14)
    );
    assert_eq!(node.follower.generation(), 1);
    assert_eq!(node.orders(), []);
}

#[test]
fn an_empty_log_with_a_head_that_is_behind_the_cursor_by_now_takes_nothing_back() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(2);
    node.receives(&events[1]);
    server.trimmed = server.log.len();
    let (probe, log) = (node.ask(), server.replay(Seq(10)));
    node.receives(&events[0]);
    node.receives(&server.publish());
    node.receives_log(&probe, log);
    assert_eq!((node.cursor(), node.follower.generation()), (13, 1));
}

#[test]
fn a_trimmed_log_flushes_and_tells_subscribers() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish_many(5);
    server.trimmed = 12;
    node.beat(&server);
    assert_eq!(node.orders(), [replay_from(10)]);
    node.receives_log(&node.ask(), server.replay(Seq(10)));
    assert_eq!(node.orders(), [Effect::Missed]);
    assert_eq!((node.cursor(), node.follower.generation()), (15, 2));
}

#[test]
fn a_log_with_another_event_at_the_cursor_is_a_fork() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish_many(2);
    node.beat(&server);
    let mut log = server.replay(Seq(10));
    log.entries[0].id = EventId(99);
    node.receives_log(&node.ask(), log);
    assert_eq!(node.follower.tally().forks, 1);
}

#[test]
fn a_log_with_another_event_under_an_early_number_is_a_fork() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(2);
    node.receives(&events[1]);
    let mut log = server.replay(Seq(10));
    log.entries[2].id = EventId(99);
    node.receives_log(&node.ask(), log);
    assert_eq!(node.follower.tally().forks, 1);
}

#[test]
fn only_one_replay_is_under_way_and_a_failed_one_is_asked_for_again() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish_many(2);
    node.beat(&server);
    node.beat(&server);
    assert_eq!(node.orders(), [replay_from(10)]);
    node.follower.replay_failed(&node.ask());
    node.beat(&server);
    assert_eq!(node.orders(), [replay_from(10)]);
}

#[test]
fn a_log_that_comes_later_than_the_deadline_is_thrown_away_and_asked_for_again() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish();
    node.beat(&server);
    let (probe, log) = (node.ask(), server.replay(Seq(10)));
    node.orders();
    node.passes(201);
    node.receives_log(&probe, log);
    assert_eq!(node.cursor(), 10);
    node.beat(&server);
    assert_eq!(node.orders(), [replay_from(10)]);
}

#[test]
fn a_replay_that_failed_after_a_flush_does_not_count_for_the_one_that_is_under_way() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish_many(2);
    node.beat(&server);
    let probe = node.ask();
    node.lagged();
    node.orders();
    node.follower.replay_failed(&probe);
    node.beat(&server);
    assert_eq!(node.orders(), [], "one is under way");
    node.follower.replay_failed(&node.ask());
    node.beat(&server);
    assert_eq!(node.orders(), [replay_from(10)]);
}

#[test]
fn a_void_replay_does_not_hide_the_one_that_counts() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish_many(2);
    node.beat(&server);
    let (probe, log) = (node.ask(), server.replay(Seq(10)));
    node.lagged();
    assert_eq!(
        node.orders(),
        [replay_from(10), replay_from(10)],
        "the first is void"
    );
    node.receives_log(&probe, log);
    node.beat(&server);
    assert_eq!(node.orders(), [], "the second is still under way");
    assert_eq!(node.cursor(), 10);
}

#[test]
fn acknowledgements_that_outrun_their_events_are_no_hole() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let beat = node.ask();
    let before = server.clone();
    let own = server.publish();
    node.read(&server);
    node.hears(&beat, Source::Bus, &before);
    assert_eq!(node.orders(), []);
    node.receives(&own);
    assert_eq!((node.cursor(), node.follower.tally().gaps), (11, 0));
}

#[test]
fn a_hole_that_no_later_event_shows_is_found_by_the_next_heartbeat() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish();
    node.beat(&server);
    node.settle_with(&mut server);
    assert_eq!(node.applied, [11]);
}

#[test]
fn an_unknown_event_flushes_and_moves_on() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.receives(&server.publish_op(EventOp::Unknown));
    assert_eq!((node.cursor(), node.follower.generation()), (11, 2));
    node.receives(&server.publish_op(EventOp::Flushed));
    assert_eq!((node.cursor(), node.follower.generation()), (12, 3));
    assert_eq!(node.orders(), []);
}

#[test]
fn more_early_events_than_fit_give_the_hole_up_and_flush() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(EARLY + 2);
    node.receives_all(&events[1..]);
    assert_eq!(node.orders(), [replay_from(10), Effect::Missed]);
    assert_eq!(node.follower.generation(), 2);
    assert_eq!(node.cursor(), server.head().seq.0);
    // The replay that was under way has become void, and nothing is applied twice.
    node.receives(&events[0]);
    assert_eq!(node.applied.len(), EARLY + 1);
}

#[test]
fn dropped_events_flush_at_once_and_are_read_from_the_log() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish_many(2);
    node.lagged();
    assert_eq!(node.follower.generation(), 2);
    assert_eq!(node.orders, [replay_from(10)]);
    node.settle_with(&mut server);
    assert_eq!(node.applied, [11, 12]);
}

#[test]
fn an_event_of_a_lineage_never_seen_makes_the_node_ask() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let event = server.adopt(Some(Lineage(1)), Lineage(2), Seq::ZERO);
    node.receives(&event);
    assert_eq!(node.orders, [Effect::Ask]);
    assert!(node.applied.is_empty());
    node.settle_with(&mut server);
    assert_eq!(node.follower.lineage(), Some(Lineage(2)));
    assert_eq!(node.follower.generation(), 2);
}
