//! `cargo xtask bench bookings`: decisions per second of every store, by how many ask at once and how often they conflict.
//!
//! It measures this machine with its disk, and no network; it judges nothing. A server whose programs are not installed is left
//! out, and said so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bookings_postgres::{PostgresBookings, Settings, Time, migrate};
use bookings_redis::RedisBookings;
use bookings_sqlite::SqliteBookings;
use marketplace::{
    BookingOutcome, BookingStore, Currency, GpuId, HoldRequest, IdempotencyKey, Interval, ManualClock,
    MemoryBookings, Money, PriceVersion, Quote, StoreTime, SystemOfRecord, UserId,
};
use tests_servers::{postgres, redis};
use tokio::time::Instant;

const BOOKERS: [u64; 3] = [1, 2, 8];
/// Of a hundred requests, how many want what is taken.
const CONFLICTS: [i64; 3] = [0, 50, 99];
/// How long each cell is measured.
const SPAN: Duration = Duration::from_millis(1500);

/// What follows `cargo xtask bench bookings`.
#[derive(clap::Parser)]
struct Args {
    /// Only this store: memory, sqlite, postgres or redis
    #[arg(long, value_name = "STORE", value_parser = ["memory", "sqlite", "postgres", "redis"])]
    store: Option<String>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let args = <Args as clap::Parser>::parse();
    let is_asked_for = |store: &str| args.store.as_deref().is_none_or(|only| only == store);
    println!(
        "holds per second (p50 / p99 in ms), {} ms for each cell",
        SPAN.as_millis()
    );
    println!("| store | bookers | 0 % conflicts | 50 % | 99 % |");
    println!("|---|---|---|---|---|");
    let clock = Arc::new(ManualClock::at(StoreTime::from_millis(0)));
    if is_asked_for("memory") {
        rows("memory", Arc::new(MemoryBookings::new(clock.clone()))).await;
    }
    if is_asked_for("sqlite") {
        let folder = tempfile::tempdir().expect("a folder");
        let file = SqliteBookings::open(&folder.path().join("bookings.db"), clock.clone());
        rows("sqlite", Arc::new(file.expect("a new file"))).await;
    }
    if is_asked_for("redis") {
        redis_rows(clock.clone()).await;
    }
    if is_asked_for("postgres") {
        postgres_rows(clock).await;
    }
}

async fn postgres_rows(clock: Arc<ManualClock>) {
    if !postgres::Server::is_installed() {
        println!("postgres is left out: its server programs are not installed");
        return;
    }
    let server = postgres::Server::start(&[]);
    let address = server.database("bookings");
    migrate(&address).await.expect("an empty database is migrated");
    let store = PostgresBookings::connect(&address, Settings::default(), Time::Given(clock)).await;
    rows("postgres", Arc::new(store.expect("the server answers"))).await;
}

/// As Redis is without settings, and with each command on its disk before it is answered.
async fn redis_rows(clock: Arc<ManualClock>) {
    if !redis::Server::is_installed() {
        println!("redis is left out: there is no redis-server");
        return;
    }
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    for (name, options) in [("redis", &[][..]), ("redis, fsync always", &always)] {
        let server = redis::Server::start(options).await;
        let settings = bookings_redis::Settings::at(server.url());
        let time = bookings_redis::Time::Given(clock.clone());
        let store = RedisBookings::connect(settings, time).await;
        rows(name, Arc::new(store.expect("the server answers"))).await;
    }
}

async fn rows<S: SystemOfRecord + 'static>(name: &str, store: Arc<S>) {
    let next = Arc::new(AtomicI64::new(1));
    // What every conflicting request wants.
    let taken = store.hold(request("first", "taken", "0".to_owned(), 0)).await;
    assert!(
        taken.expect("the store answers").won().is_some(),
        "the store is empty"
    );
    for bookers in BOOKERS {
        print!("| {name} | {bookers} |");
        for conflicts in CONFLICTS {
            let mut running = tokio::task::JoinSet::new();
            let start = Instant::now();
            for booker in 0..bookers {
                let (store, next) = (store.clone(), next.clone());
                running.spawn(async move { book(&*store, booker, conflicts, &next, start).await });
            }
            let mut spans: Vec<Duration> = running.join_all().await.concat();
            let took = start.elapsed();
            spans.sort_unstable();
            let at = |share: usize| spans[(spans.len() - 1) * share / 100].as_secs_f64() * 1e3;
            let rate = spans.len() as f64 / took.as_secs_f64();
            print!(" {rate:.0} ({:.2} / {:.2}) |", at(50), at(99));
        }
        println!();
    }
}

async fn book(
    store: &dyn BookingStore,
    booker: u64,
    conflicts: i64,
    next: &AtomicI64,
    start: Instant,
) -> Vec<Duration> {
    let mut spans = Vec::new();
    while start.elapsed() < SPAN {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let user = format!("user-{booker}");
        let conflicting = number % 100 < conflicts;
        let asked = if conflicting {
            request(&user, "taken", number.to_string(), 0)
        } else {
            request(
                &user,
                &format!("gpu-{}", number % 500),
                number.to_string(),
                number,
            )
        };
        let began = Instant::now();
        let outcome = store.hold(asked).await.expect("the store answers");
        spans.push(began.elapsed());
        assert_eq!(matches!(outcome, BookingOutcome::Conflict { .. }), conflicting);
    }
    spans
}

fn request(user: &str, gpu: &str, key: String, slot: i64) -> HoldRequest {
    let at = |slot: i64| StoreTime::from_millis(1_000 * slot);
    HoldRequest {
        user: UserId::new(user).expect("a name"),
        key: IdempotencyKey::new(key).expect("a name"),
        gpu: GpuId::new(gpu).expect("a name"),
        interval: Interval::new(at(slot), at(slot + 1)).expect("not empty"),
        quote: Quote {
            price_per_hour: Money::from_micros(1_000_000, Currency::USD),
            version: PriceVersion::FIRST,
        },
        ttl: Duration::from_secs(3600),
    }
}
