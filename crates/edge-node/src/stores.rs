//! Opens the system of record for bookings that was chosen, and migrates one when asked to.
//!
//! It decides nothing about bookings.

use std::sync::Arc;

use bookings_postgres::{PostgresBookings, Settings, Time};
use bookings_redis::RedisBookings;
use bookings_sqlite::SqliteBookings;
use config::Switch;
use marketplace::bookings::{BookingDecider, DurableOnly};
use marketplace::{
    BookingGroups, BookingLedger, BookingStore, BookingStoreError, BookingTerms, Guarantee, MemoryBookings,
    StoreClock, SystemOfRecord,
};
use tempfile::TempDir;

use crate::cli::{MigrateArgs, StoreChoice};

/// An open system of record, under each of its ports.
pub struct Opened {
    /// Decides.
    pub bookings: Arc<dyn BookingStore>,
    /// Decides about several at once.
    pub groups: Arc<dyn BookingGroups>,
    /// Moves the ends of bookings.
    pub terms: Arc<dyn BookingTerms>,
    /// Reads.
    pub ledger: Arc<dyn BookingLedger>,
    /// Whether it confirms what it holds.
    pub sells: bool,
    /// Holds the file of a store that nobody asked to keep; it is deleted with this.
    pub folder: Option<TempDir>,
}

impl Opened {
    fn of<S: SystemOfRecord + 'static>(store: S, folder: Option<TempDir>) -> Self {
        let store = Arc::new(store);
        Self {
            bookings: store.clone(),
            groups: store.clone(),
            terms: store.clone(),
            ledger: store,
            sells: true,
            folder,
        }
    }
}

/// Opens `choice`, whose instants come from `clock`. A store that may lose what it acknowledged sells nothing unless
/// `lossy` is on; the one in memory, which promises nothing beyond its process, is for demonstrations and always sells.
///
/// # Errors
/// When it cannot be opened, as a sentence for the operator.
pub async fn open(choice: &StoreChoice, lossy: Switch, clock: Arc<dyn StoreClock>) -> Result<Opened, String> {
    match choice {
        StoreChoice::Memory => Ok(Opened::of(MemoryBookings::new(clock), None)),
        StoreChoice::Sqlite(path) => {
            let folder = match path {
                Some(_) => None,
                None => Some(tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?),
            };
            let temporary = folder.as_ref().map(|folder| folder.path().join("bookings.db"));
            let path = path.clone().or(temporary).unwrap_or_default();
            let opening = tokio::task::spawn_blocking(move || SqliteBookings::open(&path, clock));
            let store = opening.await.map_err(|error| error.to_string())?;
            Ok(Opened::of(store.map_err(sentence)?, folder))
        }
        StoreChoice::Postgres(address) => {
            let store = PostgresBookings::connect(address, Settings::default(), Time::Given(clock)).await;
            Ok(guarded(store.map_err(sentence)?, lossy))
        }
        StoreChoice::Redis(address) => {
            let settings = bookings_redis::Settings::at(address);
            let store = RedisBookings::connect(settings, bookings_redis::Time::Given(clock)).await;
            Ok(guarded(store.map_err(sentence)?, lossy))
        }
    }
}

fn guarded<S: BookingDecider + BookingLedger + 'static>(store: S, lossy: Switch) -> Opened {
    match lossy {
        Switch::On => Opened::of(store, None),
        Switch::Off => Opened {
            sells: store.promises() == Guarantee::DurableLinearizable,
            ..Opened::of(DurableOnly::over(store), None)
        },
    }
}

/// Migrates what `args` names, and says what was done.
///
/// # Errors
/// When it cannot be migrated, as a sentence for the operator.
pub fn migrate(args: &MigrateArgs) -> Result<String, String> {
    let StoreChoice::Postgres(address) = &args.store else {
        return Err(format!(
            "there is nothing to migrate in {:?}: only a PostgreSQL database is migrated; name it as \
             postgres://USER@HOST/DATABASE",
            args.store
        ));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?;
    let migrated = runtime
        .block_on(bookings_postgres::migrate(address))
        .map_err(sentence)?;
    Ok(match (migrated.from, migrated.to) {
        (from, to) if from == to => format!("the schema has version {to} already; nothing was done\n"),
        (from, to) => format!("the schema was brought from version {from} to {to}\n"),
    })
}

/// An error with everything that led to it.
fn sentence(error: BookingStoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
