//! Each rule of the follower taken out once: a promise must break.
//!
//! Each scenario tells whether its promise held. Rules of other parts are taken out where these are tested.

use super::*;

fn must_need(rule: Rule, promise_holds: impl Fn(Rules) -> bool) {
    assert!(promise_holds(Rules::default()), "it must hold with every rule");
    assert!(
        !promise_holds(Rules::without(rule)),
        "{rule:?} makes no difference"
    );
}

#[test]
fn without_seen_check_a_lagging_copy_undoes_an_invalidation() {
    must_need(Rule::SeenCheck, |rules| {
        let mut server = Server::new();
        let mut node = Node::following(&server, rules);
        let lagging = server.clone();
        node.receives(&server.publish());
        node.hears(&node.ask(), Source::Any, &lagging) == Verdict::AskPrimary
    });
}

#[test]
fn without_lease_check_a_frozen_node_serves_from_memory_when_it_wakes() {
    must_need(Rule::LeaseCheck, |rules| {
        let server = Server::new();
        let mut node = Node::following(&server, rules);
        node.passes(600);
        !node.may_hit()
    });
}

#[test]
fn without_gap_repair_a_lost_event_is_never_applied() {
    must_need(Rule::GapRepair, |rules| {
        let mut server = Server::new();
        let mut node = Node::following(&server, rules);
        let events = server.publish_many(2);
        node.receives(&events[1]);
        node.beat(&server);
        node.settle_with(&mut server);
        node.applied.contains(&11) || node.cursor() < 11
    });
}

#[test]
fn without_cursor_reaches_head_a_lost_event_is_outlived_by_the_lease() {
    must_need(Rule::CursorReachesHead, |rules| {
        let mut server = Server::new();
        let mut node = Node::following(&server, rules);
        let published = node.now;
        server.publish();
        node.passes(250);
        node.beat(&server);
        node.follower.lease() <= published + LEASE
    });
}

#[test]
fn without_lease_from_send_time_a_late_heartbeat_hides_a_lost_event_for_longer_than_a_lease() {
    must_need(Rule::LeaseFromSendTime, |rules| {
        let mut server = Server::new();
        let mut node = Node::following(&server, rules);
        let (probe, answer) = (node.ask(), server.clone());
        let published = node.now;
        server.publish();
        node.passes(270);
        node.hears(&probe, Source::Bus, &answer);
        node.follower.lease() <= published + LEASE
    });
}

#[test]
fn without_load_deadline_a_late_answer_is_served_as_current() {
    must_need(Rule::LoadDeadline, |rules| {
        let mut server = Server::new();
        let mut node = Node::following(&server, rules);
        let (probe, answer) = (node.ask(), server.clone());
        server.publish();
        node.passes(1_000);
        node.hears(&probe, Source::Primary, &answer) == Verdict::Restart
    });
}

#[test]
fn without_identity_and_chain_a_lost_suffix_looks_like_a_gap() {
    must_need(Rule::IdentityAndChain, |rules| {
        let mut server = Server::new();
        let mut node = Node::following(&server, rules);
        node.receives_all(&server.publish_many(5));
        server.fail_over(5);
        server.publish_many(20);
        node.beat(&server);
        node.settle_with(&mut server);
        node.follower.tally().forks == 1
    });
}

#[test]
fn without_identity_and_chain_a_copy_of_a_forked_server_takes_versions_back() {
    must_need(Rule::IdentityAndChain, |rules| {
        let mut server = Server::new();
        let mut node = Node::following(&server, rules);
        node.receives_all(&server.publish_many(5));
        server.fail_over(5);
        server.publish_many(20);
        node.hears(&node.ask(), Source::Any, &server) == Verdict::AskPrimary
    });
}

#[test]
fn without_generation_check_an_answer_from_before_a_repair_destroys_what_was_repaired() {
    must_need(Rule::GenerationCheck, |rules| {
        let mut server = Server::new();
        let mut node = Node::following(&server, rules);
        let (first, second) = (node.ask(), node.ask());
        node.hears_head(&first, Source::Bus, &server, None);
        let lineage = server.lineage;
        server.adopt(Some(lineage), Lineage(2), Seq(10));
        node.follower.adoption_ended();
        node.beat(&server);
        node.orders();
        node.hears_head(&second, Source::Primary, &server, None);
        node.follower.is_live() && node.orders().is_empty()
    });
}
