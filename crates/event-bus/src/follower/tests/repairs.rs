//! New lineages: started by this node, by another one, and lost again.
//!
//! The store that compares and sets is the test's server.

use super::*;

fn adopt(from: u64, hint: u64) -> Effect {
    Effect::Adopt {
        from: Some(Lineage(from)),
        hint: Seq(hint),
    }
}

/// A node that has just found five events lost.
fn forked() -> (Server, Node) {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    node.receives_all(&server.publish_many(5));
    server.fail_over(5);
    node.beat(&server);
    (server, node)
}

#[test]
fn a_shard_without_a_head_is_created_once() {
    let server = Server::new();
    let mut node = Node::new();
    assert_eq!(
        node.hears_head(&node.ask(), Source::Bus, &server, None),
        Verdict::Down
    );
    node.hears_head(&node.ask(), Source::Bus, &server, None);
    let create = Effect::Adopt {
        from: None,
        hint: Seq::ZERO,
    };
    assert_eq!(node.orders(), [create]);
}

#[test]
fn a_head_that_vanished_flushes_and_is_created_above_everything_seen() {
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish_many(2);
    node.read(&server);
    assert_eq!(
        node.hears_head(&node.ask(), Source::Primary, &server, None),
        Verdict::Down
    );
    let create = Effect::Adopt {
        from: None,
        hint: Seq(12),
    };
    assert_eq!(node.orders(), [Effect::Missed, create]);
    assert_eq!(node.follower.generation(), 2);
    assert!(!node.may_hit());
}

#[test]
fn an_answer_from_before_first_contact_cannot_start_a_repair() {
    let server = Server::new();
    let mut node = Node::new();
    let (first, second) = (node.ask(), node.ask());
    node.hears_head(&first, Source::Bus, &server, None);
    node.follower.adoption_ended();
    node.hears(&node.ask(), Source::Bus, &server);
    node.orders();
    assert_eq!(
        node.hears_head(&second, Source::Bus, &server, None),
        Verdict::Restart
    );
    assert!(node.follower.is_live());
    assert_eq!(node.orders(), []);
}

#[test]
fn a_repair_ends_in_a_new_lineage_with_everything_dropped() {
    let (mut server, mut node) = forked();
    assert_eq!(node.follower.lineage(), None);
    node.settle_with(&mut server);
    assert_eq!(node.follower.lineage(), Some(Lineage(2)));
    assert_eq!(node.cursor(), 16, "no number is issued again");
    assert!(node.may_hit());
    assert_eq!(node.read(&server), admitted(16));
}

#[test]
fn only_one_adoption_is_under_way_and_a_failed_one_is_asked_for_again() {
    let (server, mut node) = forked();
    assert_eq!(node.orders(), [Effect::Missed, adopt(1, 15)]);
    node.beat(&server);
    assert_eq!(node.orders(), []);
    node.follower.adoption_ended();
    node.beat(&server);
    assert_eq!(node.orders(), [adopt(1, 15)]);
}

#[test]
fn during_a_repair_events_are_not_applied_and_nothing_is_leased() {
    let (mut server, mut node) = forked();
    let applied = node.applied.len();
    node.receives_all(&server.publish_many(3));
    node.read(&server);
    assert_eq!(node.applied.len(), applied);
    assert!(!node.may_hit());
}

#[test]
fn a_repair_by_another_node_is_taken_over() {
    let (mut server, mut node) = forked();
    let event = server.adopt(Some(Lineage(1)), Lineage(2), Seq(15));
    node.orders();
    node.receives(&event);
    assert_eq!(node.orders, [Effect::Ask]);
    node.settle_with(&mut server);
    assert_eq!(node.follower.lineage(), Some(Lineage(2)));
    assert_eq!(server.lineage, Lineage(2), "it was not repaired twice");
}

#[test]
fn an_answer_given_before_a_repair_ended_does_not_start_another() {
    let (mut server, mut node) = forked();
    let (probe, before) = (node.ask(), server.clone());
    node.settle_with(&mut server);
    assert_eq!(node.hears(&probe, Source::Bus, &before), Verdict::Restart);
    assert!(node.follower.is_live());
}

#[test]
fn a_repair_that_a_second_failover_lost_is_repaired_again() {
    // H4
    let (mut server, mut node) = forked();
    let before = server.clone();
    node.settle_with(&mut server);
    let mut again = before;
    again.id = ServerId(9);
    assert_eq!(node.beat(&again), Verdict::Down);
    assert_eq!(node.orders(), [Effect::Missed, adopt(1, 16)]);
    assert!(!node.may_hit());
}

#[test]
fn late_events_of_a_superseded_lineage_are_ignored() {
    let (mut server, mut node) = forked();
    let late = server.clone().publish();
    node.settle_with(&mut server);
    node.receives(&late);
    assert_eq!(node.orders(), []);
    assert_eq!(node.follower.tally().forks, 1);
}

#[test]
fn an_acknowledgement_that_came_before_the_adoptions_answer_is_not_forgotten() {
    // H8: the adoption's own head is older than what was acknowledged in the new lineage.
    let (mut server, mut node) = forked();
    let adoption = node.ask();
    server.adopt(Some(Lineage(1)), Lineage(2), Seq(15));
    let adopted = server.clone();
    node.beat(&server);
    server.publish_many(3);
    assert_eq!(node.read(&server), admitted(19));
    node.follower.adoption_ended();
    assert_eq!(node.hears(&adoption, Source::Bus, &adopted), Verdict::Restart);
    assert_eq!(node.follower.seen(), Seq(19));
    let lagging = node.hears(&node.ask(), Source::Any, &adopted);
    assert_eq!(lagging, Verdict::AskPrimary);
}

#[test]
fn a_replay_does_not_forget_what_was_acknowledged_meanwhile() {
    // H8
    let mut server = Server::new();
    let mut node = Node::following(&server, Rules::default());
    server.publish();
    node.beat(&server);
    let (probe, log) = (node.ask(), server.replay(Seq(10)));
    server.publish_many(2);
    node.read(&server);
    node.receives_log(&probe, log);
    assert_eq!((node.cursor(), node.follower.seen()), (11, Seq(13)));
}
