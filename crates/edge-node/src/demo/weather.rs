//! Trouble for the network: a bad wire all the time, and now and then something worse.
//!
//! What each kind of trouble does is the embedded backend's; here is only how much of it a run gets.

use std::time::Duration;

use cache_core::Permille;
use cache_memory::{Cut, Faults, Hub};
use rand::Rng as _;
use rand::rngs::SmallRng;

/// The wire under `--faults`: a network that loses and doubles every fiftieth event, delays some by tens of
/// milliseconds, and loses one reply in two hundred.
pub fn bad_wire() -> Faults {
    Faults {
        event_loss: Permille(20),
        duplicate: Permille(20),
        reorder: Permille(50),
        event_delay: Duration::ZERO..=Duration::from_millis(20),
        tail: Permille(1),
        tail_delay: Duration::from_millis(20)..=Duration::from_millis(80),
        request_delay: Duration::ZERO..=Duration::from_millis(1),
        lost_request: Permille(2),
        lost_reply: Permille(5),
        late_reply: Permille(0),
        lagging_read: Permille(50),
        lag: 6,
        timeout: Duration::from_millis(150),
    }
}

/// Freezes, cuts off and disconnects nodes, trims logs, and lets the servers fail over, until `stop`; then everything
/// is healed.
pub async fn storm(hub: Hub, nodes: Vec<String>, mut rng: SmallRng, stop: impl Future<Output = ()>) {
    hub.set_faults(bad_wire());
    let trouble = async {
        for turn in 1_u64.. {
            tokio::time::sleep(Duration::from_millis(rng.random_range(100..400))).await;
            let node = &nodes[rng.random_range(0..nodes.len())];
            match rng.random_range(0..16) {
                0..6 => hub.freeze(node, Duration::from_millis(rng.random_range(50..800))),
                6..12 => {
                    hub.partition(node, [Cut::Bus, Cut::Data, Cut::Both][rng.random_range(0..3)]);
                    tokio::time::sleep(Duration::from_millis(rng.random_range(50..600))).await;
                    hub.heal(node);
                }
                12..15 => hub.disconnect(node),
                // Whoever has missed something now must drop whole shards.
                _ => hub.trim_logs(),
            }
            // Twice or so in a run of twenty seconds: a failover flushes everything everywhere.
            if turn.is_multiple_of(FAILOVER_EVERY) {
                hub.failover(rng.random_range(0..4));
            }
        }
    };
    tokio::select! {
        biased;
        () = stop => {}
        () = trouble => {}
    }
    nodes.iter().for_each(|node| hub.heal(node));
    hub.set_faults(Faults::NONE);
}

const FAILOVER_EVERY: u64 = 20;
