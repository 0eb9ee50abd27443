//! Another server answers: with the same history, or with another one.
//!
//! How a rewritten history is repaired is tested beside this.

use super::*;

#[test]
fn another_server_with_the_same_head_costs_nothing_but_one_renewal() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let lease = node.follower.lease();
    server.fail_over(0);
    node.passes(100);
    assert_eq!(node.beat(&server), Verdict::Restart);
    assert_eq!((node.orders(), node.follower.generation()), (vec![], 1));
    assert_eq!(node.follower.lease(), lease);
    node.beat(&server);
    assert_eq!(node.follower.lease(), node.now + LEASE);
}

#[test]
fn another_server_that_continues_the_history_is_verified_and_nothing_is_flushed() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.receives_all(&server.publish_many(2));
    server.fail_over(0);
    server.publish_many(3);
    node.beat(&server);
    assert_eq!(node.orders, [replay_from(12)]);
    node.settle_with(&mut server);
    assert!(node.follower.is_live());
    assert_eq!((node.cursor(), node.follower.generation()), (15, 1));
    assert_eq!(node.applied, [11, 12, 13, 14, 15]);
}

#[test]
fn an_unverified_server_renews_no_lease_and_has_no_answer_admitted() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let lease = node.follower.lease();
    server.fail_over(0);
    server.publish();
    node.passes(50);
    node.beat(&server);
    assert_eq!(node.read(&server), Verdict::Restart);
    assert_eq!(node.hears(&node.ask(), Source::Any, &server), Verdict::AskPrimary);
    assert_eq!(node.follower.lease(), lease);
    node.settle_with(&mut server);
    assert_eq!(node.read(&server), admitted(11));
    assert_eq!(node.follower.lease(), node.now + LEASE);
}

#[test]
fn another_server_at_the_cursor_is_verified_when_more_than_the_cursor_is_known() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let probe = node.ask();
    let mut other = server.clone();
    other.fail_over(0);
    server.publish();
    assert_eq!(node.read(&server), admitted(11));
    assert_eq!(node.hears(&probe, Source::Primary, &other), Verdict::Restart);
    assert!(!node.follower.is_live());
    other.publish_many(2);
    assert_eq!(node.read(&other), Verdict::Restart);
    node.settle_with(&mut other);
    assert_eq!(node.follower.tally().forks, 1);
}

#[test]
fn a_verification_that_failed_is_tried_again_by_the_next_heartbeat() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.fail_over(0);
    server.publish();
    node.beat(&server);
    assert_eq!(node.orders(), [replay_from(10)]);
    node.follower.replay_failed(&node.ask());
    node.beat(&server);
    assert_eq!(node.orders(), [replay_from(10)]);
}

#[test]
fn a_head_at_the_cursor_verifies_when_the_replay_was_lost_and_the_events_came() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.fail_over(0);
    let event = server.publish();
    node.beat(&server);
    node.receives(&event);
    node.follower.replay_failed(&node.ask());
    assert!(!node.follower.is_live());
    node.beat(&server);
    assert!(node.follower.is_live());
    assert_eq!(node.follower.lease(), node.now + LEASE);
}

#[test]
fn a_verification_made_void_by_a_flush_is_asked_for_again() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.fail_over(0);
    server.publish();
    node.beat(&server);
    let (probe, log) = (node.ask(), server.replay(Seq(10)));
    node.lagged();
    node.receives_log(&probe, log);
    assert!(!node.follower.is_live());
    node.settle_with(&mut server);
    assert!(node.follower.is_live());
}

#[test]
fn fewer_events_than_were_seen_at_send_are_a_fork() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.receives_all(&server.publish_many(5));
    server.fail_over(5);
    assert_eq!(node.beat(&server), Verdict::Down);
    let adopt = Effect::Adopt {
        from: Some(Lineage(1)),
        hint: Seq(15),
    };
    assert_eq!(node.orders(), [Effect::Missed, adopt]);
    assert!(!node.may_hit());
}

#[test]
fn a_lost_suffix_is_found_even_if_the_cursor_never_reached_it() {
    // H5: compared with what was seen at send, not with the cursor.
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(3);
    node.receives(&events[2]);
    assert_eq!(node.cursor(), 10);
    server.fail_over(2);
    assert_eq!(node.beat(&server), Verdict::Down);
    assert_eq!(node.follower.tally().forks, 1);
}

#[test]
fn an_answer_given_before_an_event_came_is_no_lost_suffix() {
    // H5: the head was read before the event was published; nothing was lost.
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let (probe, before) = (node.ask(), server.clone());
    node.receives(&server.publish());
    assert_eq!(node.hears(&probe, Source::Bus, &before), admitted(10));
    assert_eq!(node.follower.tally().forks, 0);
}

#[test]
fn a_lost_suffix_whose_numbers_were_overtaken_is_found_by_its_ids() {
    // Scenario 19: sequence numbers alone look like a gap.
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.receives_all(&server.publish_many(5));
    server.fail_over(5);
    server.publish_many(20);
    assert_eq!(node.read(&server), Verdict::Restart);
    assert_eq!(node.read(&server), Verdict::Restart, "not before it is verified");
    node.receives_log(&node.ask(), server.replay(Seq(15)));
    assert_eq!(node.follower.tally().forks, 1);
    assert!(!node.may_hit());
}

#[test]
fn a_suffix_known_only_from_an_acknowledgement_is_found_by_its_id() {
    // H2, scenario 19: the event of the own write never came.
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish();
    node.read(&server);
    server.fail_over(1);
    server.publish_many(4);
    node.beat(&server);
    node.settle_with(&mut server);
    assert_eq!(node.follower.tally().forks, 1);
    assert_eq!(node.follower.lineage(), Some(Lineage(2)));
}

#[test]
fn a_suffix_known_only_from_a_copy_is_found_by_its_id() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish();
    assert_eq!(node.hears(&node.ask(), Source::Any, &server), admitted(11));
    server.fail_over(1);
    server.publish_many(4);
    node.beat(&server);
    node.settle_with(&mut server);
    assert_eq!(node.follower.tally().forks, 1);
}

#[test]
fn late_events_of_the_old_server_that_the_new_one_lost_are_a_fork_and_not_history() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let lost = server.publish();
    server.fail_over(1);
    server.publish_many(2);
    node.beat(&server);
    node.receives(&lost);
    node.settle_with(&mut server);
    assert_eq!(node.follower.tally().forks, 1);
}

#[test]
fn an_acknowledgement_of_a_superseded_server_means_nothing() {
    // H3: its outcome is unknown.
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let probe = node.ask();
    let mut old = server.clone();
    old.publish();
    server.fail_over(0);
    node.beat(&server);
    assert_eq!(node.hears(&probe, Source::Primary, &old), Verdict::Restart);
    assert_eq!(node.follower.seen(), Seq(10));
    assert!(node.follower.is_live());
}

#[test]
fn a_log_of_a_superseded_server_means_nothing() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let mut old = server.clone();
    old.publish_many(2);
    let (probe, log) = (node.ask(), old.replay(Seq(10)));
    server.fail_over(0);
    node.beat(&server);
    node.receives_log(&probe, log);
    assert!(node.applied.is_empty());
}

#[test]
fn a_log_that_another_server_answers_is_verified_first() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish_many(2);
    node.beat(&server);
    node.orders();
    server.fail_over(0);
    node.receives_log(&node.ask(), server.replay(Seq(10)));
    assert!(!node.follower.is_live());
    node.settle_with(&mut server);
    assert_eq!((node.cursor(), node.follower.generation()), (12, 1));
}
