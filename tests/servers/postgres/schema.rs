//! The schema: who makes it, who refuses to work without it, and what it refuses by itself.
//!
//! Nothing here books much.

use bookings_postgres::{Migrated, PostgresBookings, Settings, Time, migrate};
use marketplace::conformance::{asked, long_hold as hold};
use marketplace::{BookingStore, ErrorKind};
use tests_servers::postgres::Server;
use tokio_postgres::{Client, NoTls};

const LATER: i64 = 4_102_444_800_000;

async fn client(address: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(address, NoTls)
        .await
        .expect("the server answers");
    tokio::spawn(connection);
    client
}

async fn refusal(address: &str) -> (ErrorKind, String) {
    let store = PostgresBookings::connect(address, Settings::default(), Time::OfServer).await;
    let error = store.err().expect("it is refused");
    (error.kind(), error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_migrated_once_however_many_try_and_never_by_connecting() {
    let server = Server::start(&["fsync=off"]);
    let address = server.database("bookings");
    let (kind, message) = refusal(&address).await;
    assert_eq!(kind, ErrorKind::Rejected);
    assert!(message.contains("has no schema for bookings"), "{message}");
    assert!(message.contains("edge-node migrate"), "{message}");
    let (one, other) = tokio::join!(migrate(&address), migrate(&address));
    let mut both = [one.unwrap().from, other.unwrap().from];
    both.sort_unstable();
    assert_eq!(both, [0, 1], "one of them did it");
    assert_eq!(migrate(&address).await.unwrap(), Migrated { from: 1, to: 1 });

    let client = client(&address).await;
    client
        .execute("update bookings_schema set version = 9", &[])
        .await
        .unwrap();
    let (kind, message) = refusal(&address).await;
    assert_eq!(kind, ErrorKind::Rejected);
    assert!(
        message.contains("has version 9, and this program needs version 1"),
        "{message}"
    );
    let refused = migrate(&address).await.unwrap_err().to_string();
    assert!(
        refused.contains("has version 9 and this program knows 1"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_itself_refuses_two_bookings_at_once_should_the_decision_be_wrong() {
    let server = Server::start(&["fsync=off"]);
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    let store = PostgresBookings::connect(&address, Settings::default(), Time::OfServer)
        .await
        .unwrap();
    assert!(
        asked(&store, hold("ada", "gpu-1", LATER, LATER + 10))
            .await
            .won()
            .is_some()
    );
    let client = client(&address).await;
    for (number, (start, end, fits)) in [
        (0, 10, false),
        (2, 5, false),
        (-5, 1, false),
        (9, 20, false),
        (10, 20, true),
    ]
    .into_iter()
    .enumerate()
    {
        let number = i64::try_from(number).unwrap();
        let forged = client
            .execute(
                "insert into bookings values ('forged-' || $1::bigint::text, 'gpu-1', 'eve', $2, $3, 'confirmed', null,
                     0, 'USD', 0, 0, 0, 100 + $1)",
                &[&number, &(LATER + start), &(LATER + end)],
            )
            .await;
        assert_eq!(forged.is_ok(), fits, "[{start}, {end}): {forged:?}");
        if let Err(error) = forged {
            let constraint = error.as_db_error().and_then(|error| error.constraint());
            assert_eq!(constraint, Some("no_overlap"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("host={} user=postgres dbname=bookings", folder.path().display());
    let (kind, message) = refusal(&address).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(message.contains("PostgreSQL cannot be reached"), "{message}");
    assert!(migrate(&address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_lapse_by_the_servers_clock() {
    let server = Server::start(&["fsync=off"]);
    let address = server.database("bookings");
    migrate(&address).await.unwrap();
    let store = PostgresBookings::connect(&address, Settings::default(), Time::OfServer)
        .await
        .unwrap();
    let mut brief = hold("ada", "gpu-1", LATER, LATER + 10);
    brief.ttl = std::time::Duration::ZERO;
    assert!(asked(&store, brief).await.won().is_some());
    assert_eq!(store.expire_holds(10).await.unwrap(), 1);
    assert!(
        asked(&store, hold("bob", "gpu-1", LATER, LATER + 10))
            .await
            .won()
            .is_some()
    );
    assert_eq!(store.expire_holds(10).await.unwrap(), 0);
}
