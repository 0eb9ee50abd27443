//! What happens to events on their way.
//!
//! Losing them with the connection is told in `nodes`.

use std::time::Duration;

use cache_core::{Permille, Seq};
use cache_memory::Faults;
use tokio::time::{Instant, advance};

use crate::scene::{Scene, millis};

#[tokio::test(start_paused = true)]
async fn without_faults_events_are_delivered_during_the_write_and_no_time_passes() {
    let scene = Scene::new(1).await;
    let before = Instant::now();
    for value in 0..100 {
        scene.set(value).await;
        assert_eq!(scene.heard().last(), Some(&(u64::from(value) + 2)));
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn lost_events_never_arrive_and_the_log_has_them() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_loss: Permille(300),
        ..Faults::NONE
    });
    scene.set_many(200).await;
    let heard = scene.heard().len();
    assert!((100..180).contains(&heard), "{heard} of 200 arrived");
    let replay = scene
        .link
        .replay(scene.shard(), Seq(1))
        .await
        .expect("the bus works");
    assert_eq!(replay.entries.len(), 201);
}

#[tokio::test(start_paused = true)]
async fn late_events_arrive_in_order_after_their_delay() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(10)..=millis(50),
        ..Faults::NONE
    });
    scene.set_many(20).await;
    assert_eq!(scene.heard(), [1]);
    advance(millis(5)).await;
    assert_eq!(scene.heard(), [1]);
    scene.settle().await;
    assert_eq!(scene.heard(), (1..=21).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_event_never_passes_a_late_one_even_when_the_faults_are_over() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(10)..=millis(50),
        ..Faults::NONE
    });
    scene.set_many(5).await;
    scene.hub.set_faults(Faults::NONE);
    scene.set_many(5).await;
    assert_eq!(scene.heard(), [1]);
    scene.settle().await;
    assert_eq!(scene.heard(), (1..=11).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_event_of_the_tail_holds_up_those_behind_it() {
    let scene = Scene::new(1).await;
    let tail = Faults {
        tail: Permille(1000),
        tail_delay: millis(80)..=millis(80),
        ..Faults::NONE
    };
    scene.hub.set_faults(tail);
    scene.set(1).await;
    scene.hub.set_faults(Faults {
        event_delay: millis(1)..=millis(1),
        ..Faults::NONE
    });
    scene.set(2).await;
    advance(millis(79)).await;
    assert_eq!(scene.heard(), [1]);
    scene.settle().await;
    assert_eq!(scene.heard(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn doubled_events_arrive_twice() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        duplicate: Permille(1000),
        ..Faults::NONE
    });
    scene.set_many(10).await;
    scene.settle().await;
    let mut heard = scene.heard();
    heard.sort_unstable();
    let twice: Vec<u64> = [1]
        .into_iter()
        .chain((2..=11).flat_map(|seq| [seq, seq]))
        .collect();
    assert_eq!(heard, twice);
}

#[tokio::test(start_paused = true)]
async fn reordered_events_all_arrive_in_another_order() {
    let scene = Scene::new(1).await;
    scene.hub.set_faults(Faults {
        reorder: Permille(500),
        ..Faults::NONE
    });
    scene.set_many(50).await;
    scene.settle().await;
    let mut heard = scene.heard();
    assert!(!heard.is_sorted());
    heard.sort_unstable();
    assert_eq!(heard, (1..=51).collect::<Vec<_>>());
}
