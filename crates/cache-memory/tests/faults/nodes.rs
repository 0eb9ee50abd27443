//! What happens to one node alone: frozen, cut off, disconnected.
//!
//! The others notice nothing.

use std::sync::Arc;

use cache_core::{BusMessage, ErrorKind, EventBus, Lane, Seq, SharedStore};
use cache_memory::{Cut, Faults};
use testkit::Recorder;
use tokio::time::{Instant, advance, timeout};

use crate::scene::{Scene, millis};

#[tokio::test(start_paused = true)]
async fn to_a_frozen_node_deliveries_and_replies_stall_and_then_arrive_in_order() {
    let scene = Scene::new(1).await;
    scene.hub.freeze("reader", millis(200));
    scene.set_many(3).await;
    advance(millis(100)).await;
    scene.set_many(3).await;
    assert_eq!(scene.heard(), [1]);
    let before = Instant::now();
    scene.link.heads().await.expect("the bus works");
    assert_eq!(before.elapsed(), millis(100));
    scene.settle().await;
    assert_eq!(scene.heard(), (1..=7).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn on_a_half_open_bus_events_vanish_questions_hang_and_data_works() {
    let scene = Scene::new(1).await;
    scene.hub.partition("reader", Cut::Bus);
    scene.set(7).await;
    assert!(timeout(millis(500), scene.link.heads()).await.is_err());
    assert!(
        timeout(millis(500), scene.link.replay(scene.shard(), Seq(1)))
            .await
            .is_err()
    );
    assert!(
        timeout(millis(500), scene.reader.subscribe(Lane::Bulk, Recorder::new()))
            .await
            .is_err()
    );
    assert_eq!(scene.value().await, Some(7));

    scene.hub.heal("reader");
    assert!(scene.link.heads().await.is_ok());
    scene.set(8).await;
    assert_eq!(scene.heard(), [1, 3], "what vanished stays lost");
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_the_bus_is_cut_is_lost() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(10)..=millis(10),
        ..Faults::NONE
    });
    scene.set(1).await;
    scene.hub.partition("reader", Cut::Bus);
    scene.hub.heal("reader");
    scene.settle().await;
    assert_eq!(scene.heard(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_is_answered_when_the_bus_is_healed() {
    let scene = Scene::new(1).await;
    scene.hub.partition("reader", Cut::Both);
    let heal = async {
        tokio::time::sleep(millis(70)).await;
        scene.hub.heal("reader");
    };
    let before = Instant::now();
    let (heads, ()) = tokio::join!(scene.link.heads(), heal);
    assert!(heads.is_ok());
    assert_eq!(before.elapsed(), millis(70));
}

#[tokio::test(start_paused = true)]
async fn without_data_requests_are_unavailable_after_the_timeout_and_the_bus_works() {
    let scene = Scene::new(1).await;
    scene.hub.partition("writer", Cut::Data);
    let before = Instant::now();
    let refused = scene.writer.write(scene.write(7)).await.expect_err("cut off");
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(before.elapsed(), Faults::NONE.timeout);
    assert!(!scene.writer.describe().await.connected);
    assert_eq!(scene.heard(), [1]);

    scene.hub.partition("reader", Cut::Data);
    assert!(scene.link.heads().await.is_ok());
    scene.hub.heal("writer");
    scene.set(8).await;
    assert_eq!(scene.heard(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_node_is_told_and_its_old_link_is_dead_and_a_new_one_works() {
    let scene = Scene::new(1).await;
    scene.hub.disconnect("reader");
    assert_eq!(scene.inbox.messages().last(), Some(&BusMessage::Lost));
    let dead = scene.link.heads().await.expect_err("ended");
    assert_eq!(dead.kind(), ErrorKind::Unavailable);
    scene.set(1).await;
    assert_eq!(scene.heard(), [1]);

    let inbox = Recorder::new();
    let link = scene
        .reader
        .subscribe(Lane::Bulk, Arc::clone(&inbox) as _)
        .await
        .expect("reachable");
    assert!(link.heads().await.is_ok());
    scene.set(2).await;
    assert_eq!(inbox.events_of(scene.shard()).len(), 1);
    assert_eq!(scene.heard(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_ends_with_the_connection() {
    let scene = Scene::new(1).await;
    scene.hub.partition("reader", Cut::Bus);
    let cut = async {
        tokio::time::sleep(millis(70)).await;
        scene.hub.disconnect("reader");
    };
    let (heads, ()) = tokio::join!(scene.link.heads(), cut);
    assert_eq!(heads.expect_err("ended").kind(), ErrorKind::Unavailable);
    assert_eq!(scene.inbox.messages().last(), Some(&BusMessage::Lost));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_node_learns_of_its_disconnection_when_it_thaws() {
    let scene = Scene::new(1).await;
    scene.hub.freeze("reader", millis(50));
    scene.set(1).await;
    scene.hub.disconnect("reader");
    assert_eq!(scene.inbox.messages().len(), 1);
    scene.settle().await;
    assert_eq!(scene.heard(), [1]);
    assert_eq!(scene.inbox.messages().last(), Some(&BusMessage::Lost));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_after_the_link_is_dropped_not_even_what_was_late() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(10)..=millis(10),
        ..Faults::NONE
    });
    scene.set(1).await;
    let Scene { hub, inbox, link, .. } = scene;
    drop(link);
    advance(millis(100)).await;
    tokio::task::yield_now().await;
    assert_eq!(inbox.messages().len(), 1);
    assert_eq!(Arc::strong_count(&inbox), 1, "nobody holds the inbox any more");
    drop(hub);
}
