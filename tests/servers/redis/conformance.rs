//! The tier on a real server obeys every rule of the ports it implements.
//!
//! The rules are the ports' own, in `testkit`; what is special to this backend is tested beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_redis::{Address, RedisTier, Servers, Settings};
use testkit::conformance::{self, Advance, BusFixture, StoreFixture};

use crate::cluster::Cluster;
use crate::server::{Server, environment};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_shared_store() {
    let place = Place::find().await;
    conformance::shared_store::all(async || place.store()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_an_event_bus() {
    let place = Place::find().await;
    conformance::event_bus::all(async || place.bus()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_a_shared_store_and_an_event_bus() {
    let place = Place::on(Cluster::start().await);
    conformance::shared_store::all(async || place.store()).await;
    conformance::event_bus::all(async || place.bus()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_an_event_bus_where_the_server_knows_no_sharded_channels() {
    let server = Server::start_with(&[
        "--rename-command",
        "SPUBLISH",
        "",
        "--rename-command",
        "SSUBSCRIBE",
        "",
    ])
    .await;
    let settings = server.settings();
    let place = Place::own(server);
    conformance::event_bus::all(async || place.bus()).await;
    let mut connection = connect(&settings).await;
    let mut channels = redis::cmd("PUBSUB");
    channels.arg("SHARDNUMSUB").arg("x");
    let channels: redis::Value = channels.query_async(&mut connection).await.expect("an answer");
    assert_ne!(channels, redis::Value::Nil, "the server answers nevertheless");
}

/// Servers for one suite, shared by its rules under different prefixes.
struct Place {
    settings: Settings,
    fresh: AtomicU32,
    cluster: Option<Arc<Cluster>>,
    /// Gone with the suite.
    _server: Option<Server>,
}

impl Place {
    /// The server that the task was given, or one of our own.
    async fn find() -> Self {
        match environment("TEST_REDIS_URL") {
            Some(url) => Self::at(Settings::from_url(&url).expect("a redis:// address in TEST_REDIS_URL")),
            None => Self::own(Server::start().await),
        }
    }

    fn own(server: Server) -> Self {
        let settings = server.settings();
        Self {
            _server: Some(server),
            ..Self::at(settings)
        }
    }

    fn on(cluster: Cluster) -> Self {
        let settings = cluster.settings();
        Self {
            cluster: Some(Arc::new(cluster)),
            ..Self::at(settings)
        }
    }

    fn at(settings: Settings) -> Self {
        Self {
            settings,
            fresh: AtomicU32::new(0),
            cluster: None,
            _server: None,
        }
    }

    fn store(&self) -> StoreFixture {
        let advance: Advance = Box::new(|span| Box::pin(tokio::time::sleep(span)));
        StoreFixture {
            store: Arc::new(self.fresh()),
            advance,
        }
    }

    fn fresh(&self) -> RedisTier {
        let number = self.fresh.fetch_add(1, Ordering::Relaxed);
        let run: u64 = rand::random();
        let settings = self
            .settings
            .clone()
            .with_prefix(format!("conformance-{run:x}-{number}"));
        RedisTier::new(settings).expect("right settings")
    }

    fn bus(&self) -> BusFixture {
        let tier = self.fresh();
        let (settings, prefix) = (self.settings.clone(), tier.settings().prefix.clone());
        let cluster = self.cluster.clone();
        BusFixture {
            store: Arc::new(tier.clone()),
            bus: Arc::new(tier),
            trim: Some(Box::new(move |shard, before| {
                let (settings, stream) = (
                    settings.clone(),
                    format!("{{{prefix}:{}:{shard}}}:e", settings.shards),
                );
                let cluster = cluster.clone();
                Box::pin(async move {
                    let mut connection = match &cluster {
                        Some(cluster) => cluster.master_of(&stream).await.connect().await,
                        None => connect(&settings).await,
                    };
                    let mut trim = redis::cmd("XTRIM");
                    trim.arg(stream).arg("MINID").arg("=").arg(format!("0-{before}"));
                    trim.exec_async(&mut connection).await.expect("a trim");
                })
            })),
        }
    }
}

async fn connect(settings: &Settings) -> redis::aio::MultiplexedConnection {
    let Servers::Single(Address { host, port }) = &settings.servers else {
        panic!("the suites run on one server: name it as redis://host:port");
    };
    redis::Client::open((host.as_str(), *port))
        .expect("an address")
        .get_multiplexed_async_connection()
        .await
        .expect("a server")
}
