//! The way to the server is encrypted: to whom, and who is turned away.
//!
//! The server takes only encrypted connections, and shows a certificate that this test makes for it.

use bookings_postgres::{PostgresBookings, Settings, Time, migrate};
use marketplace::conformance::{asked, long_hold as hold};
use marketplace::{BookingStoreError, ErrorKind};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tests_servers::postgres::Server;

const LATER: i64 = 4_102_444_800_000;

struct Encrypted {
    server: Server,
    folder: TempDir,
}

impl Encrypted {
    /// A server with a database, and the certificate of its host `db.test` as a file.
    fn start() -> Self {
        let CertifiedKey { cert, signing_key } = certified("db.test");
        let server = Server::start_encrypted(&cert.pem(), &signing_key.serialize_pem());
        server.database("bookings");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("known.pem"), cert.pem()).expect("a file");
        std::fs::write(folder.path().join("other.pem"), certified("db.test").cert.pem()).expect("a file");
        Self { server, folder }
    }

    fn address(&self, host: &str, words: &str) -> String {
        let address = self.server.listens();
        format!("host={host} hostaddr={address} user=postgres dbname=bookings {words}")
    }

    fn verifying(&self, file: &str) -> String {
        format!(
            "sslmode=verify-full sslrootcert={}",
            self.folder.path().join(file).display()
        )
    }
}

fn certified(host: &str) -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed([host.to_owned()]).expect("a name")
}

/// An error with everything that led to it.
fn told(error: &BookingStoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_way_to_a_server_that_is_who_it_says_is_used() {
    let encrypted = Encrypted::start();
    let address = encrypted.address("db.test", &encrypted.verifying("known.pem"));
    migrate(&address).await.unwrap();
    for words in [encrypted.verifying("known.pem"), "sslmode=require".to_owned()] {
        let address = encrypted.address("db.test", &words);
        let store = PostgresBookings::connect(&address, Settings::default(), Time::OfServer).await;
        let outcome = asked(&store.unwrap(), hold("ada", "gpu-1", LATER, LATER + 10)).await;
        assert!(outcome.won().is_some(), "{words}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_vouches_for_or_of_another_name_is_not_talked_to() {
    let encrypted = Encrypted::start();
    for (host, file, expected) in [
        ("db.test", "other.pem", "invalid peer certificate"),
        ("elsewhere.test", "known.pem", "not valid for name"),
    ] {
        let address = encrypted.address(host, &encrypted.verifying(file));
        let error = migrate(&address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(told(&error).contains(expected), "{}", told(&error));
    }
    // To anybody, this is talked to.
    migrate(&encrypted.address("elsewhere.test", "sslmode=require"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_is_not_encrypted_is_refused_by_a_server_that_wants_it_so() {
    let encrypted = Encrypted::start();
    for words in ["sslmode=disable", ""] {
        let error = migrate(&encrypted.address("db.test", words)).await.unwrap_err();
        assert!(told(&error).contains("no encryption"), "{}", told(&error));
    }
}
