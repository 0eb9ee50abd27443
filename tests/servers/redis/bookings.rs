//! Bookings on a real Redis server: the suite of the ports, what is special to this store, and what remains true when the
//! server has lost what it acknowledged.
//!
//! The servers are processes, not containers: they are killed here and start again over their files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bookings_redis::{RedisBookings, Settings, Time};
use marketplace::bookings::{DurableOnly, LossyStore};
use marketplace::conformance::{self, Ports, Subject, asked, long_hold as hold};
use marketplace::{
    BookingLedger, BookingOutcome, BookingStore, Completeness, ConfirmRequest, Cursor, ErrorKind, Guarantee,
    HoldRequest, IdempotencyKey, ManualClock, StoreTime,
};
use tests_servers::redis::Server;

/// Far ahead of the server's clock, in milliseconds since 1970: the year 2100.
const LATER: i64 = 4_102_444_800_000;

async fn connected(server: &Server) -> RedisBookings {
    connected_by(Settings::at(server.url())).await
}

async fn connected_by(settings: Settings) -> RedisBookings {
    RedisBookings::connect(settings, Time::OfServer)
        .await
        .expect("the server answers")
}

fn request(user: &str, gpu: &str) -> HoldRequest {
    hold(user, gpu, LATER, LATER + 10)
}

struct Prefixes {
    server: Server,
    made: AtomicU32,
}

#[async_trait]
impl Subject for Prefixes {
    async fn open(&self, clock: Arc<ManualClock>) -> Ports {
        let settings = Settings {
            prefix: format!("market-{}", self.made.fetch_add(1, Ordering::Relaxed)),
            ..Settings::at(self.server.url())
        };
        let store = RedisBookings::connect(settings, Time::Given(clock)).await;
        Ports::of(Arc::new(store.expect("the server answers")))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_conforms_to_the_booking_ports() {
    let prefixes = Prefixes {
        server: Server::start(&[]).await,
        made: AtomicU32::new(0),
    };
    conformance::booking_store(&prefixes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bookings_than_are_near_are_found_all_the_same() {
    let server = Server::start(&[]).await;
    let store = connected(&server).await;
    for number in 0..60 {
        let start = LATER + number * 10;
        let won = asked(&store, hold("ada", "gpu-1", start, start + 10)).await;
        assert!(won.won().is_some(), "{won:?}");
    }
    let gpu = request("ada", "gpu-1").gpu;
    let window = hold("ada", "gpu-1", LATER - 5, LATER + 605).interval;
    let free = store.free(&[gpu], window).await.unwrap();
    let ends: Vec<(i64, i64)> = free[0]
        .iter()
        .map(|free| (free.start().as_millis() - LATER, free.end().as_millis() - LATER))
        .collect();
    assert_eq!(ends, [(-5, 0), (600, 605)]);
    match asked(&store, hold("bob", "gpu-1", LATER, LATER + 7)).await {
        BookingOutcome::Conflict { next_free, .. } => assert_eq!(next_free.as_millis(), LATER + 600),
        other => panic!("{other:?}"),
    }
    let long = asked(&store, hold("bob", "gpu-1", LATER - 5, LATER + 605)).await;
    assert!(matches!(long, BookingOutcome::Conflict { .. }), "{long:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sells_nothing_unless_its_losses_are_accepted() {
    let server = Server::start(&[]).await;
    let store = connected(&server).await;
    assert_eq!(store.guarantee(), Guarantee::LinearizableUntilFailover);
    let (id, fence) = asked(&store, request("ada", "gpu-1")).await.won().unwrap();
    let user = request("ada", "gpu-1").user;
    let key = IdempotencyKey::new("confirm").unwrap();
    let confirm = ConfirmRequest { user, key, id, fence };
    let guarded = DurableOnly::over(connected(&server).await);
    let refused = guarded.confirm(confirm.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Rejected);
    assert!(std::error::Error::source(&refused).is_some_and(|cause| cause.is::<LossyStore>()));
    assert!(
        asked(&guarded, request("ada", "gpu-2")).await.won().is_some(),
        "it may hold"
    );
    assert!(
        store.confirm(confirm).await.unwrap().won().is_some(),
        "accepted, it sells"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_decides_nothing_and_what_it_holds_is_read_all_the_same() {
    let server = Server::start(&[]).await;
    let store = connected(&server).await;
    let (id, _fence) = asked(&store, request("ada", "gpu-1")).await.won().unwrap();
    let () = server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = store.hold(request("ada", "gpu-2")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    for store in [store, connected(&server).await] {
        let told = store.changes_since(Cursor::START, 10).await.unwrap();
        assert_eq!((told.rows.len(), told.completeness), (1, Completeness::Complete));
        assert!(store.booking(&id).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_too_few_replicas_have_is_uncertain_until_they_have_it() {
    let primary = Server::start(&[]).await;
    let settings = Settings {
        replicas: 1,
        patience: Duration::from_millis(200),
        ..Settings::at(primary.url())
    };
    let store = connected_by(settings).await;
    assert_eq!(
        asked(&store, request("ada", "gpu-1")).await,
        BookingOutcome::Uncertain
    );
    assert_eq!(
        asked(&store, request("ada", "gpu-1")).await,
        BookingOutcome::Uncertain,
        "that it is known is not enough"
    );
    let replica = Server::start(&[]).await;
    replica.follow(primary.listen().await).await;
    // A replica tells once a second how far it is; the first wait may be over before that.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let resolved = loop {
        match asked(&store, request("ada", "gpu-1")).await {
            BookingOutcome::Uncertain => assert!(tokio::time::Instant::now() < deadline),
            outcome => break outcome,
        }
    };
    assert!(matches!(resolved, BookingOutcome::Replay(_)), "{resolved:?}");
    assert!(resolved.won().is_some());
    let copied: bool = replica.command(&["HEXISTS", "{bookings}:gpus", "gpu-1"]).await;
    assert!(copied);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_loss_fences_go_on_names_are_new_and_readers_are_told() {
    // Nothing is written to its disk, so a kill loses everything: the worst failover.
    let server = Server::start(&[]).await;
    let store = connected(&server).await;
    let (lost, fence) = asked(&store, request("ada", "gpu-1")).await.won().unwrap();
    asked(&store, request("ada", "gpu-2")).await;
    let read = store.changes_since(Cursor::START, 10).await.unwrap();
    assert_eq!(
        (read.next, read.completeness),
        (Cursor(2), Completeness::Complete)
    );
    server.kill();
    assert_eq!(
        store.hold(request("bob", "gpu-1")).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    server.start_again().await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let (id, later) = loop {
        match store.hold(request("bob", "gpu-1")).await {
            Ok(outcome) => break outcome.won().expect("nobody has it any more"),
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
    };
    assert!(
        id != lost && later > fence,
        "the machine serves only the later: {fence} {later}"
    );
    let told = store.changes_since(read.next, 10).await.unwrap();
    assert_eq!(
        (told.rows.len(), told.next, told.completeness),
        (0, Cursor(1), Completeness::Lagged)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_tells_readers_that_lagged() {
    let server = Server::start(&["--stream-node-max-entries", "1"]).await;
    let settings = Settings {
        log_rows: 5,
        ..Settings::at(server.url())
    };
    let store = connected_by(settings).await;
    for number in 0..20 {
        asked(&store, hold("ada", "gpu-1", LATER + number, LATER + number + 1)).await;
    }
    let cut = store.changes_since(Cursor::START, 100).await.unwrap();
    assert_eq!(cut.completeness, Completeness::Lagged);
    assert_eq!(cut.next, Cursor(20));
    let known = store.changes_since(Cursor(18), 100).await.unwrap();
    assert_eq!(
        (known.rows.len(), known.completeness),
        (2, Completeness::Complete)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_forgotten_after_a_day_and_nothing_else() {
    let server = Server::start(&[]).await;
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    let store = RedisBookings::connect(Settings::at(server.url()), Time::Given(clock.clone()))
        .await
        .unwrap();
    let day = 24 * 60 * 60 * 1000;
    let mut short = hold("ada", "gpu-1", 0, 10);
    short.ttl = Duration::from_millis(5);
    let (over, _) = asked(&store, short).await.won().unwrap();
    let (standing, _) = asked(&store, hold("ada", "gpu-1", 2 * day, 3 * day))
        .await
        .won()
        .unwrap();
    clock.advance(Duration::from_millis(5));
    assert_eq!(store.expire_holds(10).await.unwrap(), 1);
    clock.advance_to(StoreTime::from_millis(day + 4));
    store.expire_holds(10).await.unwrap();
    assert!(store.booking(&over).await.unwrap().is_some());
    clock.advance_to(StoreTime::from_millis(day + 5));
    store.expire_holds(10).await.unwrap();
    assert!(store.booking(&over).await.unwrap().is_none());
    assert!(store.booking(&standing).await.unwrap().is_some());
    let answers: usize = server.command(&["HLEN", "{bookings}:answers"]).await;
    assert_eq!(answers, 0, "both keys are older than a day");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_or_a_prefix_that_does_not_fit_is_refused() {
    let server = Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let refusal = async |server: &Server| {
        let store = RedisBookings::connect(Settings::at(server.url()), Time::OfServer).await;
        let error = store.err().expect("it is refused");
        (error.kind(), error.to_string())
    };
    let (kind, message) = refusal(&server).await;
    assert_eq!(kind, ErrorKind::Rejected);
    assert!(message.contains("maxmemory-policy allkeys-lru"), "{message}");
    let server = Server::start(&[]).await;
    let _: i64 = server.command(&["HSET", "{bookings}:head", "layout", "9"]).await;
    let (kind, message) = refusal(&server).await;
    assert_eq!(kind, ErrorKind::Rejected);
    assert!(
        message.contains("layout 9 and this program knows layout 1"),
        "{message}"
    );
}
