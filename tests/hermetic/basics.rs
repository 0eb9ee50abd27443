//! The first things anybody would try, on two nodes.
//!
//! Faults and promises are tested elsewhere.

use std::time::Duration;

use cache_core::{Lane, Namespace, Policy, Propagation};
use edge_cache::{Freshness, Tier};
use tests::{Fleet, FleetOptions};

const NAMES: Namespace<String> = Namespace::new(
    "names",
    Policy::event_driven(Duration::from_secs(30)).with_lane(Lane::Critical),
);
const HOT: Namespace<u64> = Namespace::new(
    "hot",
    Policy::event_driven(Duration::from_secs(30)).with_propagation(Propagation::Value),
);

async fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default(), |builder| {
        builder.namespace(&NAMES).namespace(&HOT)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_value_put_on_one_node_is_read_on_the_other_and_then_from_its_memory() {
    let fleet = fleet().await;
    let key = NAMES.key(&[("id", &1)]);
    let receipt = fleet.nodes[0].put(&key, "one".to_owned()).await.expect("put");
    let first = fleet.nodes[1].get(&key).await.expect("get").expect("there");
    assert_eq!((first.as_str(), first.tier()), ("one", Tier::L2));
    assert_eq!(Some(first.version()), receipt.version());
    let second = fleet.nodes[1].get(&key).await.expect("get").expect("there");
    assert_eq!((second.as_str(), second.tier()), ("one", Tier::L1));
    assert!(
        matches!(second.freshness(), Freshness::Current { at_most } if at_most <= Duration::from_secs(3))
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_reaches_the_memory_of_every_node() {
    let fleet = fleet().await;
    let key = HOT.key(&[("id", &1)]);
    for value in 0..20_u64 {
        fleet.nodes[0].put(&key, value).await.expect("put");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let seen = fleet.nodes[1].get(&key).await.expect("get").expect("there");
        assert_eq!(*seen, value);
        assert_eq!(seen.tier(), if value == 0 { Tier::L2 } else { Tier::L1 });
    }
    fleet.shutdown().await;
}
