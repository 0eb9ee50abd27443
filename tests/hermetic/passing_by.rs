//! Reads that pass memory by, and loads that publish no event: a node shows nothing older after either.
//!
//! Two loads between the same two events have one version; a load that another event of the shard came before has a newer one,
//! and what is resident may be known to be current up to that event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{
    Adopted, Adoption, CacheKey, FillBegun, FillCommitted, FillToken, Key, Lineage, Namespace, NewRecord,
    Permille, Policy, ReadFrom, Record, Reply, Seq, Shard, SharedStore, StoreDescription, StoreError, Write,
    Written,
};
use edge_cache::{Options, Tier, TierUse};
use tests::{Fleet, FleetOptions, Node};

use crate::doubles::{Says, Source};

const NUMBERS: Namespace<u64> = Namespace::new(
    "numbers",
    Policy::event_driven(Duration::from_secs(300)).with_jitter(Permille(0)),
);

/// Every way to look past memory.
fn past_memory() -> [Options; 3] {
    let (skip, replace) = (l1(TierUse::Skip), l1(TierUse::WriteOnly));
    [skip, replace, skip.with_l2(TierUse::ReadOnly)]
}

fn l1(tier_use: TierUse) -> Options {
    Options::default().with_l1(tier_use)
}

async fn fleet(options: FleetOptions) -> Fleet {
    Fleet::start(options, |builder| builder.namespace(&NUMBERS)).await
}

/// Loads a value anew, whatever both tiers have, and stores it: no event tells of it.
async fn load_anew(node: &Node, key: &Key<u64>, value: u64) {
    let anew = Options::default()
        .with_l1(TierUse::WriteOnly)
        .with_l2(TierUse::WriteOnly);
    let loaded = node.get_or_load_with(key, anew, Source::of(value).loader()).await;
    assert_eq!(loaded.expect("loaded").as_deref(), Some(&value));
}

/// Another key of the same shard.
fn neighbour(key: &Key<u64>) -> Key<u64> {
    let others = (1_000_u64..).map(|id| NUMBERS.key(&[("id", &id)]));
    let mut others = others.filter(|other| {
        other.shard(cache_core::ShardCount::DEFAULT) == key.shard(cache_core::ShardCount::DEFAULT)
    });
    others.next().expect("there are many keys")
}

#[tokio::test(start_paused = true)]
async fn values_do_not_go_back_after_a_read_past_memory_of_a_load_that_no_event_told_of() {
    for another_key_changed in [true, false] {
        for (id, past_memory) in past_memory().into_iter().enumerate() {
            let fleet = fleet(FleetOptions::default()).await;
            let (loads, reads, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &id)]));
            load_anew(loads, &key, 1).await;
            if another_key_changed {
                // The copy that is read next is of the first version, and known to be current up to this event.
                loads.put(&neighbour(&key), 7).await.expect("published");
            }
            assert_eq!(reads.get(&key).await.expect("read").as_deref(), Some(&1));
            load_anew(loads, &key, 2).await;
            let past = reads
                .get_with(&key, past_memory)
                .await
                .expect("read")
                .expect("there");
            assert_eq!(*past, 2, "{past_memory:?}");
            let then = reads.get(&key).await.expect("read").expect("there");
            assert_eq!(
                *then, 2,
                "after {past:?} under {past_memory:?}, {another_key_changed}"
            );
            fleet.shutdown().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_past_memory_costs_the_next_reader_nothing() {
    let fleet = fleet(FleetOptions::default()).await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    node.put(&key, 1).await.expect("published");
    node.get_with(&key, l1(TierUse::Skip))
        .await
        .expect("read")
        .expect("there");
    let next = node.get(&key).await.expect("read").expect("there");
    assert_eq!((*next, next.tier()), (1, Tier::L1));
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_source_said_without_a_version_leaves_nothing_older_in_memory() {
    let fleet = fleet(FleetOptions::default()).await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    let anew = l1(TierUse::Skip).with_l2(TierUse::WriteOnly);
    for (options, says, told) in [
        (l1(TierUse::Skip).with_l2(TierUse::Skip), Says::Value(2), Some(2)),
        // Absence is not remembered here, so there is nothing to store.
        (anew, Says::Absent, None),
    ] {
        node.put(&key, 1).await.expect("published");
        node.get(&key).await.expect("read").expect("in memory");
        let answer = node
            .get_or_load_with(&key, options, Source::saying(says).loader())
            .await;
        assert_eq!(answer.expect("loaded").as_deref().copied(), told);
        assert!(node.peek(&key).expect("registered").is_none(), "{options:?}");
    }
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_under_way_beside_a_read_past_memory_brings_nothing_older() {
    let fleet = fleet(FleetOptions::default()).await;
    let (loads, reads, key) = (&fleet.nodes[0], &fleet.nodes[1], NUMBERS.key(&[("id", &1)]));
    load_anew(loads, &key, 1).await;
    let delay = Duration::from_millis(20);
    fleet.hub.set_faults(cache_memory::Faults {
        request_delay: delay..=delay,
        ..cache_memory::Faults::NONE
    });
    // It takes no part in other fetches, so it does not have the slot of the key when it ends.
    let past = tokio::spawn({
        let (node, key) = (reads.clone(), key.clone());
        async move {
            node.get_with(&key, l1(TierUse::Skip).with_l2(TierUse::ReadOnly))
                .await
        }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let plain = tokio::spawn({
        let (node, key) = (reads.clone(), key.clone());
        async move { node.get(&key).await }
    });
    let first = past.await.expect("no panic").expect("read").expect("there");
    plain.await.expect("no panic").expect("read").expect("there");
    let then = reads.get(&key).await.expect("read").expect("there");
    assert!(
        *then >= *first && then.version().seq >= first.version().seq,
        "{first:?}, then {then:?}"
    );
    fleet.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_lags_behind_a_load_is_not_believed_while_memory_holds_the_newer_version() {
    let copies = Copies::default();
    let theirs = copies.clone();
    let options = FleetOptions {
        nodes: 1,
        shared: Some(Arc::new(move |inner| {
            Arc::new(Lagging {
                inner,
                copies: theirs.clone(),
            })
        })),
        ..FleetOptions::default()
    };
    let fleet = fleet(options).await;
    let (node, key) = (&fleet.nodes[0], NUMBERS.key(&[("id", &1)]));
    load_anew(node, &key, 1).await;
    node.put(&neighbour(&key), 7).await.expect("published");
    copies.remember(&key);
    node.get_with(&key, l1(TierUse::Skip))
        .await
        .expect("read")
        .expect("there");
    load_anew(node, &key, 2).await;
    assert_eq!(node.peek(&key).expect("registered").as_deref(), Some(&2));
    for options in [l1(TierUse::Skip), l1(TierUse::WriteOnly)] {
        let answer = node.get_with(&key, options).await.expect("read").expect("there");
        assert_eq!(*answer, 2, "{options:?}");
    }
    fleet.shutdown().await;
}

/// What copies answer with from now on, by key: loads that came later have not reached them.
#[derive(Clone, Default)]
struct Copies(Arc<Mutex<HashMap<CacheKey, Option<Record>>>>);

impl Copies {
    /// The next read of this key from any copy is what copies have from then on.
    fn remember(&self, key: &Key<u64>) {
        self.0.lock().expect("copies").insert(key.raw().clone(), None);
    }
}

struct Lagging {
    inner: Arc<dyn SharedStore>,
    copies: Copies,
}

#[async_trait::async_trait]
impl SharedStore for Lagging {
    async fn read(
        &self,
        shard: Shard,
        keys: &[CacheKey],
        from: ReadFrom,
    ) -> Result<Reply<Vec<Option<Record>>>, StoreError> {
        let mut reply = self.inner.read(shard, keys, from).await?;
        let mut copies = self.copies.0.lock().expect("copies");
        if let (ReadFrom::Any, Some(records)) = (from, &mut reply.answer) {
            for (key, record) in keys.iter().zip(records) {
                if let Some(remembered) = copies.get_mut(key) {
                    *record = remembered
                        .get_or_insert(record.clone().expect("it was loaded"))
                        .clone()
                        .into();
                }
            }
        }
        Ok(reply)
    }

    async fn begin_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        newer_than: Seq,
        lineage: Lineage,
        token: FillToken,
        lease: Duration,
    ) -> Result<Reply<FillBegun>, StoreError> {
        self.inner
            .begin_fill(shard, key, newer_than, lineage, token, lease)
            .await
    }

    async fn commit_fill(
        &self,
        shard: Shard,
        key: &CacheKey,
        lineage: Lineage,
        token: FillToken,
        record: Option<NewRecord>,
    ) -> Result<Reply<FillCommitted>, StoreError> {
        self.inner.commit_fill(shard, key, lineage, token, record).await
    }

    async fn write(&self, write: Write) -> Result<Reply<Written>, StoreError> {
        self.inner.write(write).await
    }

    async fn adopt(&self, adoption: Adoption) -> Result<Reply<Adopted>, StoreError> {
        self.inner.adopt(adoption).await
    }

    async fn describe(&self) -> StoreDescription {
        self.inner.describe().await
    }
}
