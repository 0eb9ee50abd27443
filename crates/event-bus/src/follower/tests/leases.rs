//! When memory hits are allowed: leases, pending heads, and the age of answers.
//!
//! Only the clock that is handed in moves.

use super::*;

#[test]
fn a_lease_ends_one_lease_after_its_question_was_sent_however_late_the_answer() {
    let server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let probe = node.ask();
    node.passes(270);
    node.hears(&probe, Source::Bus, &server);
    assert_eq!(node.follower.lease(), probe.sent + LEASE);
    node.passes(29);
    assert!(node.may_hit());
    node.passes(1);
    assert!(!node.may_hit(), "at the lease's end a hit is refused");
}

#[test]
fn an_earlier_answer_that_comes_later_shortens_no_lease() {
    let server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let first = node.ask();
    node.passes(50);
    let second = node.ask();
    node.hears(&second, Source::Bus, &server);
    node.hears(&first, Source::Bus, &server);
    assert_eq!(node.follower.lease(), second.sent + LEASE);
}

#[test]
fn a_head_beyond_the_cursor_renews_nothing_until_the_cursor_reaches_it() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let before = node.follower.lease();
    let events = server.publish_many(2);
    node.passes(100);
    let probe = node.ask();
    node.beat(&server);
    assert_eq!(node.follower.lease(), before);
    node.passes(10);
    node.receives(&events[0]);
    assert_eq!(node.follower.lease(), before);
    node.receives(&events[1]);
    assert_eq!(node.follower.lease(), probe.sent + LEASE);
}

#[test]
fn a_node_that_hears_nothing_but_events_stops_hitting() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    for _ in 0..30 {
        node.passes(10);
        node.receives(&server.publish());
    }
    assert!(!node.may_hit());
}

#[test]
fn a_read_of_the_primary_renews_the_lease_as_well() {
    let server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.passes(100);
    node.read(&server);
    assert_eq!(node.follower.lease(), node.now + LEASE);
}

#[test]
fn a_copy_that_may_lag_renews_nothing() {
    let server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let before = node.follower.lease();
    node.passes(100);
    assert_eq!(node.hears(&node.ask(), Source::Any, &server), admitted(10));
    assert_eq!(node.follower.lease(), before);
}

#[test]
fn an_own_acknowledgement_is_a_head_that_must_be_reached() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.passes(10);
    let probe = node.ask();
    let event = server.publish();
    assert_eq!(node.hears(&probe, Source::Primary, &server), admitted(11));
    assert_eq!(node.follower.seen(), Seq(11));
    node.receives(&event);
    assert_eq!(node.follower.lease(), probe.sent + LEASE);
}

#[test]
fn a_value_older_than_the_deadline_is_thrown_away() {
    let server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let probe = node.ask();
    node.passes(200);
    assert_eq!(node.hears(&probe, Source::Primary, &server), admitted(10));
    node.passes(1);
    assert_eq!(node.hears(&probe, Source::Primary, &server), Verdict::Restart);
    assert_eq!(node.hears(&probe, Source::Any, &server), Verdict::Restart);
}

#[test]
fn a_deadline_above_the_lease_is_lowered_to_it() {
    let server = Server::new();
    let mut node = Node::new();
    node.follower = Follower::new(LEASE, LEASE * 10);
    node.beat(&server);
    let probe = node.ask();
    node.passes(301);
    assert_eq!(node.hears(&probe, Source::Primary, &server), Verdict::Restart);
}

#[test]
fn a_flush_takes_away_the_heads_that_were_waiting_but_not_the_lease() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let before = node.follower.lease();
    let events = server.publish_many(2);
    node.passes(50);
    node.beat(&server);
    node.lagged();
    node.receives_all(&events);
    assert_eq!(
        node.follower.lease(),
        before,
        "what it allows carries an older generation"
    );
}
