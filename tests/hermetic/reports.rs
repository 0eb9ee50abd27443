//! What an outage leaves in the log, and in errors: once when it begins, once when it is over, and the cause.

use std::error::Error as _;
use std::time::Duration;

use cache_core::{Namespace, Policy};
use cache_memory::Cut;
use edge_cache::CacheError;
use tests::{Fleet, FleetOptions};
use tokio::time::sleep;
use tracing::Level;

use crate::log::Log;

const NUMBERS: Namespace<u64> = Namespace::new("numbers", Policy::event_driven(Duration::from_secs(60)));

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_warning_with_its_cause_and_one_notice_of_what_it_came_to_for_each_lane() {
    let (log, _listening) = Log::listen();
    let options = FleetOptions {
        nodes: 1,
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options, |builder| builder.namespace(&NUMBERS)).await;
    let node = &fleet.nodes[0];
    sleep(Duration::from_secs(30)).await;
    assert_eq!(log.take(), [], "nothing happened");
    fleet.hub.partition("node-0", Cut::Both);
    for id in 0..5 {
        node.invalidate(&NUMBERS.key(&[("id", &id)])).await.expect("owed");
    }
    sleep(Duration::from_secs(30)).await;
    let lost = log.take();
    assert_eq!(lost.len(), 2, "{lost:?}");
    for (level, line) in &lost {
        assert_eq!(*level, Level::WARN);
        assert!(line.contains("no lease") && line.contains("shards=65"), "{line}");
        assert!(line.contains("cause=event bus: "), "{line}");
    }
    fleet.hub.heal("node-0");
    sleep(Duration::from_secs(30)).await;
    let back = log.take();
    assert_eq!(back.len(), 2, "{back:?}");
    for (level, line) in &back {
        assert_eq!(*level, Level::INFO);
        assert!(
            line.contains("its lease again") && line.contains("queued=5"),
            "{line}"
        );
        assert!(line.contains("lasted=") && line.contains("flushed=0"), "{line}");
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_an_outage_tells_what_caused_it() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&NUMBERS)).await;
    fleet.hub.partition("node-0", Cut::Both);
    let key = NUMBERS.key(&[("id", &1)]);
    let error = fleet.nodes[0]
        .get(&key)
        .await
        .expect_err("no store and no loader");
    assert!(matches!(error, CacheError::Unavailable(_)), "{error:?}");
    let mut words = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    assert_eq!(
        words,
        [
            "the shared store does not answer, and there is no loader",
            "shared store: no connection to the server"
        ]
    );
    fleet.shutdown().await;
}
