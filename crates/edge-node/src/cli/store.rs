//! Which system of record holds the bookings, as it is written on the command line.
//!
//! It opens none of them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The system of record for bookings.
///
/// ```
/// use edge_node::cli::StoreChoice;
/// let store: StoreChoice = "sqlite:/var/lib/market/bookings.db".parse()?;
/// assert_eq!(store.kind(), "sqlite");
/// assert!("mysql://db/bookings".parse::<StoreChoice>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// In this process, gone with it.
    Memory,
    /// In an SQLite file; without a path, in a temporary one.
    Sqlite(Option<PathBuf>),
    /// In the PostgreSQL database at this address, which may hold a password.
    Postgres(String),
    /// On the Redis server at this address, which may hold a password.
    Redis(String),
}

impl StoreChoice {
    /// Its kind, which tells nothing of where it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
        }
    }
}

impl FromStr for StoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            None if text == "sqlite" => Ok(Self::Sqlite(None)),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(Some(PathBuf::from(path)))),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            Some(("redis" | "rediss" | "redis+unix", rest)) if rest.starts_with("//") => {
                Ok(Self::Redis(text.to_owned()))
            }
            // What was written may hold a password, so it is not repeated.
            _ => Err(
                "expected memory, sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE or redis://HOST:PORT"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(Some(path)) => write!(f, "sqlite:{}", path.display()),
            other => f.write_str(other.kind()),
        }
    }
}
