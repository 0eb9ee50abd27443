//! Values whose own serialization panics harm nobody but themselves.
//!
//! Loaders that panic are in `loader_failures`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::{Namespace, Policy, Propagation};
use edge_cache::CacheError;
use serde::{Deserialize, Deserializer, Serialize};
use tests::{Fleet, FleetOptions};

/// Cannot be read when it is 13.
#[derive(Serialize, Debug, PartialEq)]
struct Unlucky(u64);

impl<'de> Deserialize<'de> for Unlucky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        assert_ne!(number, 13, "a bug in somebody's type");
        Ok(Self(number))
    }
}

const UNLUCKY: Namespace<Unlucky> = Namespace::new(
    "unlucky",
    Policy::event_driven(Duration::from_secs(3_600)).with_propagation(Propagation::Value),
);

/// The same on the wire, without the bug.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Lucky(u64);

const LUCKY: Namespace<Lucky> = Namespace::new(
    "unlucky",
    Policy::event_driven(Duration::from_secs(3_600)).with_propagation(Propagation::Value),
);

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_decoded_is_refused_where_it_is_written() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&UNLUCKY)).await;
    let answer = fleet.nodes[0].put(&UNLUCKY.key(&[("id", &1)]), Unlucky(13)).await;
    assert!(matches!(answer, Err(CacheError::Rejected(_))), "{answer:?}");
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_decoded_is_dropped_and_its_lane_lives_on() {
    let mut fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&UNLUCKY)).await;
    let writer = fleet.join(|builder| builder.namespace(&LUCKY)).clone();
    assert!(writer.ready(Duration::from_secs(60)).await);
    let (key, other) = (UNLUCKY.key(&[("id", &1)]), UNLUCKY.key(&[("id", &2)]));
    fleet.nodes[0].put(&key, Unlucky(1)).await.expect("put");
    assert_eq!(
        fleet.nodes[1].get(&key).await.expect("read").as_deref(),
        Some(&Unlucky(1))
    );
    writer
        .put(&LUCKY.key(&[("id", &1)]), Lucky(13))
        .await
        .expect("put");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(
        fleet.nodes[1]
            .get(&key)
            .await
            .expect("a miss, not a failure")
            .is_none()
    );
    fleet.nodes[0].put(&other, Unlucky(2)).await.expect("put");
    assert_eq!(
        fleet.nodes[1].get(&other).await.expect("read").as_deref(),
        Some(&Unlucky(2))
    );
    fleet.shutdown().await;
}

/// Cannot be written when it is 13.
#[derive(Deserialize, Debug, PartialEq)]
struct Shy(u64);

impl Serialize for Shy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, 13, "another bug in somebody's type");
        serializer.serialize_u64(self.0)
    }
}

const SHY: Namespace<Shy> = Namespace::new("shy", Policy::event_driven(Duration::from_secs(60)));

#[tokio::test(start_paused = true)]
async fn a_loaded_value_that_cannot_be_encoded_is_an_error_and_its_source_is_asked_once() {
    let fleet = Fleet::start(FleetOptions::default(), |builder| builder.namespace(&SHY)).await;
    let (key, calls) = (SHY.key(&[("id", &1)]), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    let answer = fleet.nodes[0]
        .get_or_load(&key, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, std::io::Error>(Shy(13)) }
        })
        .await;
    assert!(matches!(answer, Err(CacheError::Rejected(_))), "{answer:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    fleet.shutdown().await;
}
