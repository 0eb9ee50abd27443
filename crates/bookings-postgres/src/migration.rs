//! The schema's versions, and the way from each to the next.
//!
//! Nothing migrates by itself: a node that found an old schema and changed it would do so under every other node.

use tokio_postgres::Client;

use marketplace::{BookingStoreError, ErrorKind};

use crate::fault::Fault;
use crate::pool::server;

/// Each step leads from the version of its index to the next.
const STEPS: &[&str] = &[include_str!("schema_1.sql")];

/// Held while a migration runs, so that two of them do so one after the other. "bkng".
const LOCK: i64 = 0x626b_6e67;

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The schema's version before; 0 when there was none.
    pub from: u32,
    /// The schema's version now. When it is the same as before, nothing was done.
    pub to: u32,
}

/// Brings the database at `url` to this program's schema, all of it in one transaction. The user must own the database,
/// for the extension `btree_gist` is created in it. Safe to repeat, and to run from several places at once.
///
/// Dropping the future leaves the schema as it was, or migrated.
///
/// # Errors
/// `Rejected` when the address cannot be used or the schema is of a later version than this program's; `Unavailable` or
/// `Corrupt` when the server cannot be reached or refuses.
pub async fn migrate(url: &str) -> Result<Migrated, BookingStoreError> {
    run(url).await.map_err(BookingStoreError::from)
}

async fn run(url: &str) -> Result<Migrated, Fault> {
    let (config, encryption) = server(url)?;
    let (mut client, carrying) = encryption.connect(&config).await?;
    let migrated = steps(&mut client).await;
    drop(client);
    let _ = carrying.await;
    migrated
}

async fn steps(client: &mut Client) -> Result<Migrated, Fault> {
    let transaction = client.transaction().await?;
    transaction
        .execute("select pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    transaction
        .batch_execute("create table if not exists bookings_schema (version integer not null)")
        .await?;
    let row = transaction
        .query_opt("select version from bookings_schema", &[])
        .await?;
    let from = row.map_or(Ok(0), |row| row.try_get::<_, i32>(0))?.cast_unsigned();
    let Some(left) = STEPS.get(from as usize..) else {
        return Err(Fault::Unfit(format!(
            "the schema has version {from} and this program knows {}: use the program that migrated it",
            STEPS.len()
        )));
    };
    for step in left {
        transaction.batch_execute(step).await?;
    }
    let to = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    if from != to {
        transaction.batch_execute("delete from bookings_schema").await?;
        transaction
            .execute("insert into bookings_schema values ($1)", &[&to.cast_signed()])
            .await?;
    }
    transaction.commit().await?;
    Ok(Migrated { from, to })
}

/// Refuses a database whose schema is not this program's.
pub(crate) async fn check(client: &Client) -> Result<(), BookingStoreError> {
    let known = client
        .query_one("select to_regclass('bookings_schema') is not null", &[])
        .await;
    let exists: bool = known
        .and_then(|row| row.try_get(0))
        .map_err(|error| BookingStoreError::from(Fault::from(error)))?;
    let mut version = 0;
    if exists {
        let row = client.query_opt("select version from bookings_schema", &[]).await;
        let row = row.map_err(|error| BookingStoreError::from(Fault::from(error)))?;
        version = row.map_or(0, |row| row.get::<_, i32>(0));
    }
    if usize::try_from(version) == Ok(STEPS.len()) {
        return Ok(());
    }
    let found = match version {
        0 => "the database has no schema for bookings".to_owned(),
        version => format!("the schema for bookings has version {version}"),
    };
    Err(BookingStoreError::new(
        ErrorKind::Rejected,
        format!(
            "{found}, and this program needs version {}: run `edge-node migrate --store postgres://...` first",
            STEPS.len()
        ),
    ))
}
