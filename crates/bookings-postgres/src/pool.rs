//! Connections to the server, and what every one of them is told before it is used.
//!
//! It keeps no connection that failed, and opens one only when it is needed.

use std::num::NonZeroUsize;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::Config;

use crate::fault::Fault;
use crate::tls::{Asked, Encryption};

/// How a store uses the server.
///
/// ```
/// use bookings_postgres::Settings;
/// let settings = Settings { connections: 4.try_into()?, ..Settings::default() };
/// assert_eq!(settings.patience.as_secs(), 5);
/// # Ok::<(), std::num::TryFromIntError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The most connections at once for decisions, and as many again for reading, so that what a node shows does not wait
    /// behind what it decides. 8 by default: decisions take a millisecond, and a server of default settings has 100 for
    /// all its nodes.
    pub connections: NonZeroUsize,
    /// How long a call waits for a connection, for a lock of another booking, and for the answer to its commit, each.
    /// 5 s by default: the decision itself takes milliseconds, so whoever waits longer waits for something broken.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: NonZeroUsize::new(8).expect("8 is not zero"),
            patience: Duration::from_secs(5),
        }
    }
}

/// Reads a URL, or the `key=value` form, and refuses what this crate cannot do.
pub(crate) fn server(url: &str) -> Result<(Config, Encryption), Fault> {
    let asked = Asked::of(url);
    let config: Result<Config, tokio_postgres::Error> = asked.rest.parse();
    let mut config = config.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        // The text itself may hold a password and is not repeated: of what its reader says, only that names no part of it.
        let cause = match cause.as_str() {
            known if known.starts_with("invalid value for option") => known,
            unknown if unknown.starts_with("unknown option") => "one of its options is not known",
            _ => "it breaks off, or something in it must be escaped",
        };
        Fault::Unfit(format!(
            "the server's address cannot be read ({cause}); write it as postgres://user:password@host:port/database"
        ))
    })?;
    if config.get_dbname().is_none() {
        return Err(Fault::Unfit(
            "the server's address names no database; add it at the end: postgres://user@host/database"
                .to_owned(),
        ));
    }
    let encryption = asked.encryption(&mut config)?;
    Ok((config, encryption))
}

pub(crate) fn pool(url: &str, settings: Settings) -> Result<Pool, Fault> {
    let (mut config, encryption) = server(url)?;
    config.connect_timeout(settings.patience);
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = encryption.manager(config, recycling);
    let millis = settings.patience.as_millis();
    // A commit is answered once it is on the disk, whatever the server's default. A node that hangs in a transaction
    // loses it, or its lock would stop every booking of a GPU.
    let prelude = format!(
        "set synchronous_commit = on; set lock_timeout = {millis}; \
         set idle_in_transaction_session_timeout = {millis}"
    );
    Pool::builder(manager)
        .max_size(settings.connections.get())
        .timeouts(Timeouts {
            wait: Some(settings.patience),
            create: Some(settings.patience),
            recycle: Some(settings.patience),
        })
        .runtime(Runtime::Tokio1)
        .post_create(Hook::async_fn(move |client, _| {
            let prelude = prelude.clone();
            Box::pin(async move { client.batch_execute(&prelude).await.map_err(HookError::Backend) })
        }))
        .build()
        .map_err(|error| Fault::Unfit(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_work_is_refused_with_what_would() {
        let refusal = |url: &str| server(url).err().expect("it is refused").to_string();
        assert!(refusal("postgres://ada@db").contains("names no database"));
        let unreadable = refusal("postgres://ada:secret@db:port/bookings");
        assert!(unreadable.contains("write it as postgres://"), "{unreadable}");
        assert!(!unreadable.contains("secret"), "{unreadable}");
        for url in [
            "host=db password=my secret=x dbname=b",
            "host=db password=a secret",
            "postgres://ada:a?secret=x@db/b?secret=y",
            "postgres://ada:a?sslmode=secret@db/b?sslmode=secret",
            "host=db dbname=b password=a sslmode=secret",
        ] {
            let unreadable = refusal(url);
            assert!(!unreadable.contains("secret"), "{unreadable}");
        }
        assert!(server("host=/run/postgresql user=ada dbname=bookings").is_ok());
    }
}
