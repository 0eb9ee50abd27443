//! What happens to requests and their replies.
//!
//! The rules of the requests themselves are the conformance suite's.

use cache_core::{Barrier, ErrorKind, Op, Permille, ReadFrom, SharedStore, Write};
use cache_memory::Faults;
use tokio::time::{Instant, timeout};

use crate::scene::{Scene, millis};

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_a_write_is_uncertain_after_the_timeout_and_the_effect_happened() {
    let scene = Scene::new(1).await;
    let before = Instant::now();
    scene.hub.set_faults(Faults {
        lost_reply: Permille(1000),
        ..Faults::NONE
    });
    let lost = scene.writer.write(scene.write(7)).await.expect_err("no reply");
    assert_eq!(lost.kind(), ErrorKind::Uncertain);
    assert_eq!(before.elapsed(), Faults::NONE.timeout);
    scene.hub.set_faults(Faults::NONE);
    assert_eq!(scene.value().await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_of_a_write_is_uncertain_too_and_nothing_happened() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        lost_request: Permille(1000),
        ..Faults::NONE
    });
    let lost = scene.writer.write(scene.write(7)).await.expect_err("no request");
    assert_eq!(lost.kind(), ErrorKind::Uncertain);
    scene.hub.set_faults(Faults::NONE);
    assert_eq!(scene.value().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_lost_read_is_unavailable() {
    let scene = Scene::new(1).await;
    for share in [(1000, 0), (0, 1000)] {
        let (lost_request, lost_reply) = (Permille(share.0), Permille(share.1));
        scene.hub.set_faults(Faults {
            lost_request,
            lost_reply,
            ..Faults::NONE
        });
        let lost = scene
            .writer
            .read(scene.shard(), &[], ReadFrom::Any)
            .await
            .expect_err("no reply");
        assert_eq!(lost.kind(), ErrorKind::Unavailable);
        assert!(scene.link.heads().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_its_caller_gave_up_still_arrives() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        request_delay: millis(100)..=millis(100),
        ..Faults::NONE
    });
    let given_up = timeout(millis(10), scene.writer.write(scene.write(7))).await;
    assert!(given_up.is_err());
    assert_eq!(scene.heard(), [1]);
    scene.settle().await;
    assert_eq!(scene.heard(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_its_delay_both_ways() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        request_delay: millis(30)..=millis(30),
        ..Faults::NONE
    });
    let before = Instant::now();
    scene.set(1).await;
    assert_eq!(before.elapsed(), millis(60));
    scene.link.heads().await.expect("the bus works");
    assert_eq!(before.elapsed(), millis(120));
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_answers_with_the_past_and_its_head_and_the_primary_never_does() {
    let scene = Scene::new(1).await;
    scene.set_many(20).await;
    scene.hub.set_faults(Faults {
        lagging_read: Permille(1000),
        lag: 5,
        ..Faults::NONE
    });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let reply = scene.read(ReadFrom::Any).await;
        seen.insert(reply.0);
        assert_eq!(
            reply.1.map(u64::from),
            Some(reply.0 - 2),
            "the value of that head"
        );
    }
    assert_eq!(seen, (16..=20).collect());
    assert_eq!(scene.read(ReadFrom::Primary).await, (21, Some(19)));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_in_itself_is_rejected() {
    let scene = Scene::new(1).await;
    let raised = Write {
        op: Op::Raise(Barrier::Everything),
        ..scene.write(0)
    };
    let rejected = scene.writer.write(raised).await.expect_err("a shard of keys");
    assert_eq!(rejected.kind(), ErrorKind::Rejected);
}
