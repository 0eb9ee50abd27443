//! A service's own type tested with every tier mocked: no server, no runtime of its own, each call of a port checked.
//!
//! For tests of behaviour rather than of calls, the embedded backend (`cache-memory`) is less work.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cache_core::mock::{MockBusLink, MockEventBus, MockLocalStore, MockLocalStores, MockSharedStore};
use cache_core::{
    Begun, BusLink, EventId, FillBegun, FillCommitted, Finished, Head, HeadOf, Heads, Lineage, LocalStore,
    Namespace, Policy, Record, Reply, Seq, ServerId, ServerTime, ShardCount, Ticket,
};
use edge_cache::{EdgeCache, Ports, Tier};

const PRICES: Namespace<u64> = Namespace::new("prices", Policy::event_driven(Duration::from_secs(60)));
/// Where the mocked history stands, in every shard.
const HEAD: Head = Head {
    lineage: Lineage(1),
    seq: Seq(5),
    id: EventId(50),
    floor: Seq(0),
    mark: cache_core::ServerMark(0),
};
const SERVER: ServerId = ServerId(1);

/// The downstream type: what a GPU costs, in micro-dollars an hour.
struct PriceService {
    cache: EdgeCache,
}

impl PriceService {
    async fn cents_per_hour(&self, model: &str) -> Result<Option<u64>, Box<dyn Error>> {
        let (key, model) = (PRICES.key(&[("model", &model)]), model.to_owned());
        let price = self
            .cache
            .get_or_load(&key, move |_context| {
                let price = (model == "H100").then_some(2_650_000_u64);
                async move { Ok::<_, std::io::Error>(price) }
            })
            .await?;
        assert!(price.as_ref().is_none_or(|price| price.tier() == Tier::Source));
        Ok(price.map(|price| *price / 10_000))
    }
}

/// Memory that is empty, and is given exactly one entry.
fn memory() -> MockLocalStores {
    let mut stores = MockLocalStores::new();
    stores
        .expect_open()
        .times(1)
        .withf(|name, _limits| name == "prices")
        .returning(|_name, limits| {
            assert_eq!(limits.max_entries, 10_000);
            let mut store = MockLocalStore::new();
            store.expect_read().returning(|_key| None);
            store
                .expect_begin()
                .returning(|_key, _now, _flight| Begun::Lead(Ticket(1)));
            store
                .expect_finish()
                .withf(|key, ticket, entry| {
                    *ticket == Ticket(1) && entry.is_some() == (key.as_str() == "prices:model=H100")
                })
                .times(2)
                .returning(|_key, _ticket, _entry| Finished::Installed);
            Arc::new(store) as Arc<dyn LocalStore>
        });
    stores
}

/// A shared store that has nothing, grants two leases, stores one value and is handed the other lease back.
fn shared_store() -> MockSharedStore {
    let mut store = MockSharedStore::new();
    store
        .expect_read()
        .times(2)
        .returning(|_shard, keys, _from| Ok(reply(vec![None; keys.len()])));
    store
        .expect_begin_fill()
        .times(2)
        .returning(|_shard, _key, _newer_than, _lineage, _token, _lease| Ok(reply(FillBegun::Lease)));
    store
        .expect_commit_fill()
        .times(2)
        .returning(|_shard, key, lineage, _token, record| {
            assert_eq!(lineage, HEAD.lineage);
            Ok(reply(match record {
                Some(record) => {
                    assert_eq!(key.as_str(), "prices:model=H100");
                    let expires = ServerTime(0) + record.ttl;
                    FillCommitted::Stored(Record {
                        version: HEAD.seq,
                        expires,
                        body: record.body,
                    })
                }
                None => FillCommitted::Released,
            }))
        });
    store
}

/// A bus that delivers nothing and always answers its heartbeat.
fn bus() -> MockEventBus {
    let mut bus = MockEventBus::new();
    bus.expect_shards().return_const(ShardCount::DEFAULT);
    bus.expect_subscribe().times(2).returning(|lane, _inbox| {
        let mut link = MockBusLink::new();
        link.expect_heads().returning(move || {
            let heads = ShardCount::DEFAULT.all(lane).map(|shard| HeadOf {
                shard,
                server: SERVER,
                head: Some(HEAD),
            });
            Ok(Heads {
                time: ServerTime(0),
                heads: heads.collect(),
            })
        });
        Ok(Arc::new(link) as Arc<dyn BusLink>)
    });
    bus
}

fn reply<T>(answer: T) -> Reply<T> {
    Reply {
        server: SERVER,
        head: Some(HEAD),
        answer: Some(answer),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ports = Ports::new(Arc::new(memory()), Arc::new(shared_store()), Arc::new(bus()));
    let cache = EdgeCache::builder(ports)
        .node("test")
        .namespace(&PRICES)
        .start()?;
    assert!(
        cache.ready(Duration::from_secs(5)).await,
        "the mocked bus answers"
    );
    let prices = PriceService { cache };
    assert_eq!(prices.cents_per_hour("H100").await?, Some(265));
    assert_eq!(prices.cents_per_hour("abacus").await?, None);
    prices.cache.shutdown().await;
    println!("priced one GPU and one abacus; every call of every tier was as expected");
    Ok(())
}
