//! The tier on a real server obeys every rule of the ports it implements.
//!
//! The rules are the ports' own, in `testkit`; what is special to this backend is tested beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_redis::{RedisTier, Settings};
use testkit::conformance::{self, Advance, BusFixture, StoreFixture};

use crate::server::{Server, environment};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_shared_store() {
    let place = Place::find().await;
    conformance::shared_store::all(async || {
        let advance: Advance = Box::new(|span| Box::pin(tokio::time::sleep(span)));
        StoreFixture {
            store: Arc::new(place.fresh()),
            advance,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_an_event_bus() {
    let place = Place::find().await;
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
    let place = Place::of(server);
    conformance::event_bus::all(async || place.bus()).await;
    let channels = place
        .server
        .as_ref()
        .expect("its own")
        .command(&["PUBSUB", "SHARDNUMSUB", "x"])
        .await;
    assert_ne!(channels, redis::Value::Nil, "the server answers nevertheless");
}

/// A server for one suite, shared by its rules under different prefixes.
struct Place {
    settings: Settings,
    server: Option<Server>,
    fresh: AtomicU32,
}

impl Place {
    /// The server that the task was given, or one of our own.
    async fn find() -> Self {
        match environment("TEST_REDIS_URL") {
            Some(url) => Self {
                settings: Settings::from_url(&url).expect("a redis:// address in TEST_REDIS_URL"),
                server: None,
                fresh: AtomicU32::new(0),
            },
            None => Self::of(Server::start().await),
        }
    }

    fn of(server: Server) -> Self {
        Self {
            settings: server.settings(),
            server: Some(server),
            fresh: AtomicU32::new(0),
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
        BusFixture {
            store: Arc::new(tier.clone()),
            bus: Arc::new(tier),
            trim: Some(Box::new(move |shard, before| {
                let (settings, stream) = (settings.clone(), format!("{{{prefix}:{shard}}}:e"));
                Box::pin(async move {
                    let address = (settings.host.as_str(), settings.port);
                    let client = redis::Client::open(address).expect("an address");
                    let mut connection = client.get_multiplexed_async_connection().await.expect("a server");
                    let mut trim = redis::cmd("XTRIM");
                    trim.arg(stream).arg("MINID").arg("=").arg(format!("0-{before}"));
                    trim.exec_async(&mut connection).await.expect("a trim");
                })
            })),
        }
    }
}
