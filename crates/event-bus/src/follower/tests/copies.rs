//! Answers of copies that may lag.
//!
//! Which copy is asked is decided elsewhere; here is judged what its answer is worth.

use super::*;

fn copy_of(server: &Server, behind: usize) -> Server {
    let mut copy = server.clone();
    copy.id = ServerId(500);
    copy.log.truncate(copy.log.len() - behind);
    copy
}

#[test]
fn a_copy_that_lags_behind_an_early_event_is_not_believed() {
    // H1: what is seen counts, not where the cursor stands.
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let events = server.publish_many(2);
    node.receives(&events[1]);
    assert_eq!(node.cursor(), 10);
    let answer = node.hears(&node.ask(), Source::Any, &copy_of(&server, 1));
    assert_eq!(answer, Verdict::AskPrimary);
}

#[test]
fn what_counts_is_what_was_seen_when_the_question_was_sent() {
    // H1: the fill's in-flight floor covers what is seen after that.
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let probe = node.ask();
    let copy = server.clone();
    node.receives(&server.publish());
    assert_eq!(node.hears(&probe, Source::Any, &copy), admitted(10));
    assert_eq!(node.hears(&node.ask(), Source::Any, &copy), Verdict::AskPrimary);
}

#[test]
fn a_copy_that_lags_behind_an_own_acknowledgement_is_not_believed() {
    // H2: an acknowledgement is a head observation.
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish();
    assert_eq!(node.read(&server), admitted(11));
    let answer = node.hears(&node.ask(), Source::Any, &copy_of(&server, 1));
    assert_eq!(answer, Verdict::AskPrimary);
}

#[test]
fn a_copy_whose_head_is_all_that_is_known_is_believed() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.receives_all(&server.publish_many(3));
    let answer = node.hears(&node.ask(), Source::Any, &copy_of(&server, 0));
    assert_eq!(answer, admitted(13));
}

#[test]
fn a_copy_ahead_of_the_events_is_believed_only_if_it_is_the_server_itself() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish();
    let answer = node.hears(&node.ask(), Source::Any, &copy_of(&server, 0));
    assert_eq!(answer, Verdict::AskPrimary);
    assert_eq!(node.hears(&node.ask(), Source::Any, &server), admitted(11));
}

#[test]
fn a_copy_of_a_server_that_rewrote_history_is_not_believed_before_the_fork_is_found() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.receives_all(&server.publish_many(3));
    server.fail_over(3);
    server.publish_many(8);
    let answer = node.hears(&node.ask(), Source::Any, &copy_of(&server, 0));
    assert_eq!(answer, Verdict::AskPrimary);
}

#[test]
fn a_copy_whose_head_is_known_only_from_an_early_event_is_not_believed() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.fail_over(2);
    let events = server.publish_many(4);
    node.receives(&events[3]);
    let answer = node.hears(&node.ask(), Source::Any, &copy_of(&server, 0));
    assert_eq!(answer, Verdict::AskPrimary);
}

#[test]
fn a_copy_that_continues_our_events_is_not_believed_against_a_later_answer_of_our_server() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let late = node.ask();
    let mut old = server.clone();
    old.publish_many(2);
    server.fail_over(0);
    let probe = node.ask();
    node.receives(&server.publish());
    assert_eq!(node.hears(&late, Source::Primary, &old), admitted(12));
    let answer = node.hears(&probe, Source::Any, &copy_of(&server, 0));
    assert_eq!(
        answer,
        Verdict::AskPrimary,
        "version 12 must not be followed by version 11"
    );
}

#[test]
fn a_copy_never_starts_a_repair() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    let none = node.hears_head(&node.ask(), Source::Any, &server, None);
    let regressed = node.hears(&node.ask(), Source::Any, &copy_of(&server, 4));
    server.adopt(Some(Lineage(1)), Lineage(2), Seq::ZERO);
    let foreign = node.hears(&node.ask(), Source::Any, &server);
    assert_eq!([none, regressed, foreign], [Verdict::AskPrimary; 3]);
    assert_eq!(node.orders(), []);
    assert_eq!(node.follower.generation(), 1);
}

#[test]
fn during_a_repair_no_copy_is_believed() {
    let server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.hears_head(&node.ask(), Source::Bus, &server, None);
    assert_eq!(node.hears(&node.ask(), Source::Any, &server), Verdict::AskPrimary);
    assert_eq!(node.hears(&node.ask(), Source::Primary, &server), Verdict::Down);
}
