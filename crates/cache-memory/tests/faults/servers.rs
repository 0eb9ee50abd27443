//! What the servers can forget, and who is told.
//!
//! Which step brings what back is tested at the bare shard.

use std::sync::Arc;

use cache_core::{
    Adopted, Adoption, Barrier, ErrorKind, EventId, Lane, Lineage, Op, Permille, ReadFrom, Seq, Shard,
    SharedStore, Write,
};
use cache_memory::Faults;
use testkit::{Scribe, keys_in};

use crate::scene::{Scene, millis};

#[tokio::test(start_paused = true)]
async fn a_failover_loses_a_suffix_and_changes_the_server_and_numbers_are_issued_again() {
    let scene = Scene::new(1).await;
    scene.set_many(10).await;
    let before = scene.heads().await;
    scene.hub.failover(4);
    let after = scene.heads().await;
    assert_ne!(before.1, after.1);
    assert_eq!(after.0.map(|head| head.seq), Some(Seq(7)));
    assert_eq!(scene.value().await, Some(5));
    scene.set(99).await;
    assert_eq!(scene.heard().last(), Some(&8));
    assert_eq!(scene.truth.lost(), [(scene.shard(), Seq(8))]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_changes_the_server_and_loses_nothing() {
    let scene = Scene::new(1).await;
    scene.set(3).await;
    let before = scene.heads().await;
    scene.hub.restart();
    let after = scene.heads().await;
    assert_ne!(before.1, after.1);
    assert_eq!(before.0, after.0);
    assert_eq!(scene.value().await, Some(3));
    assert_eq!(scene.truth.lost(), []);
}

#[tokio::test(start_paused = true)]
async fn a_wipe_leaves_the_same_server_without_heads() {
    let scene = Scene::new(1).await;
    scene.set(3).await;
    let before = scene.heads().await;
    scene.hub.wipe();
    assert_eq!(scene.heads().await, (None, before.1));
    assert_eq!(scene.writer.describe().await.used_bytes, Some(0));
    assert_eq!(scene.truth.lost(), [(scene.shard(), Seq(1))]);
}

#[tokio::test(start_paused = true)]
async fn trimmed_logs_have_nothing_to_replay_and_the_heads_stand() {
    let scene = Scene::new(1).await;
    scene.set_many(5).await;
    scene.hub.trim_logs();
    scene.set(9).await;
    let replay = scene
        .link
        .replay(scene.shard(), Seq(3))
        .await
        .expect("the bus works");
    assert_eq!(replay.head.map(|head| head.seq), Some(Seq(7)));
    assert_eq!(
        replay.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [Seq(7)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_head_refuses_everything_until_the_shard_is_adopted_again() {
    let scene = Scene::new(1).await;
    scene.set(3).await;
    scene.hub.lose_head(scene.shard());
    let reply = scene.writer.write(scene.write(4)).await.expect("the data works");
    assert_eq!((reply.head, reply.answer), (None, None));
    let adoption = Adoption {
        shard: scene.shard(),
        from: None,
        to: Lineage(2),
        hint: Seq(2),
        id: EventId(77),
    };
    let reply = scene.writer.adopt(adoption).await.expect("the data works");
    assert_eq!(reply.answer, Some(Adopted::Won));
    assert_eq!(scene.value().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_witness_is_told_of_every_effect_and_of_no_refusal_even_when_the_reply_is_lost() {
    let scene = Scene::new(1).await;
    scene.set(1).await;
    scene.hub.set_faults(Faults {
        lost_reply: Permille(1000),
        ..Faults::NONE
    });
    assert!(scene.writer.write(scene.write(2)).await.is_err());
    let stranger = Write {
        lineage: Lineage(9),
        ..scene.write(3)
    };
    assert!(scene.writer.write(stranger).await.is_err());
    assert_eq!(*scene.truth.published.lock().expect("whole"), [Seq(2), Seq(3)]);
    assert_eq!(*scene.truth.adopted.lock().expect("whole"), [Seq(1)]);
}

#[tokio::test(start_paused = true)]
async fn an_evicted_record_is_gone_and_nothing_else_is() {
    let scene = Scene::new(1).await;
    scene.set(3).await;
    let before = scene.heads().await;
    let keys = scene.hub.records(scene.shard());
    assert_eq!(keys, keys_in(scene.shard(), 1));
    assert!(scene.hub.evict(scene.shard(), &keys[0]));
    assert!(!scene.hub.evict(scene.shard(), &keys[0]));
    assert_eq!((scene.value().await, scene.heads().await), (None, before));
    assert_eq!((scene.heard().len(), scene.truth.lost()), (2, vec![]));
}

#[tokio::test(start_paused = true)]
async fn evicted_barriers_count_as_raised_at_the_head_and_leave_every_other_shard() {
    let scene = Scene::new(1).await;
    scene.set(3).await;
    let barriers = Shard::barriers(Lane::Bulk);
    let store: Arc<dyn SharedStore> = Arc::new(scene.writer.clone());
    let raised = Scribe::create(&store, barriers).await;
    raised.write(Op::Raise(Barrier::Everything)).await;
    raised.write(Op::Announce((*b"{}").into())).await;
    scene.hub.evict_barriers(Lane::Bulk);
    let key = Barrier::Everything.key();
    let reply = scene.reader.read(barriers, &[key], ReadFrom::Primary).await;
    let reply = reply.expect("the data works");
    assert_eq!(reply.head.map(|head| head.seq), Some(Seq(3)));
    let raised = reply.answer.expect("a head").remove(0);
    assert_eq!(
        raised.map(|record| record.version),
        Some(Seq(3)),
        "it counts as raised at the head"
    );
    assert_eq!(scene.value().await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn servers_that_start_from_an_old_copy_have_forgotten_what_came_after_it() {
    let scene = Scene::new(1).await;
    scene.set_many(3).await;
    let (before, saved) = (scene.heads().await, scene.hub.save());
    scene.set_many(5).await;
    scene.hub.restore(&saved);
    let after = scene.heads().await;
    assert_ne!(before.1, after.1);
    assert_eq!(before.0, after.0);
    assert_eq!(scene.value().await, Some(2));
    assert_eq!(scene.truth.lost(), [(scene.shard(), Seq(5))]);
    scene.hub.restore(&saved);
    assert_eq!(scene.truth.lost().len(), 1, "nothing came since");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_on_its_way_does_not_reach_the_servers_of_an_old_copy() {
    let scene = Scene::new(1).await;
    let saved = scene.hub.save();
    scene.hub.set_faults(Faults {
        request_delay: millis(50)..=millis(50),
        ..Faults::NONE
    });
    let (written, ()) = tokio::join!(scene.writer.write(scene.write(4)), async {
        tokio::time::sleep(millis(10)).await;
        scene.hub.restore(&saved);
    });
    assert_eq!(written.map_err(|error| error.kind()), Err(ErrorKind::Uncertain));
    scene.settle().await;
    assert_eq!(scene.value().await, None);
}
