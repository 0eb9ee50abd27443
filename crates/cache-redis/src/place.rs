//! Where a connection leads: to an address, to whatever server Sentinel calls the master, or to a replica.
//!
//! It keeps no connection: Sentinel is asked anew for each.

use std::sync::Arc;

use cache_core::ErrorKind;
use tokio::time::timeout;

use crate::connection::{Connection, Listener};
use crate::failure::Failure;
use crate::identity::Identities;
use crate::sentinel::master;
use crate::servers::Sentinel;
use crate::{Address, Settings};

/// A place.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// As the settings or a cluster name it.
    At(Address),
    /// As Sentinel tells.
    Watched(Arc<Sentinel>),
    /// A server that is read from, whether it takes writes or not.
    Replica(Address),
}

impl Place {
    /// Opens a connection there, within the connect timeout, finding it included.
    pub(crate) async fn connect(
        &self,
        settings: &Settings,
        identities: &Identities,
        listener: Option<Listener>,
    ) -> Result<Connection, Failure> {
        let opened = async {
            match self {
                Self::At(address) => Connection::open(settings, identities, address, listener).await,
                Self::Watched(sentinel) => {
                    let address = master(settings, sentinel).await?;
                    Connection::open(settings, identities, &address, listener).await
                }
                Self::Replica(address) => Connection::open_for_reads(settings, address).await,
            }
        };
        timeout(settings.connect_timeout, opened)
            .await
            .unwrap_or_else(|_elapsed| {
                let within = settings.connect_timeout;
                Err(Failure::new(
                    ErrorKind::Unavailable,
                    format!("connecting to {self}: not within {within:?}"),
                ))
            })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(address) | Self::Replica(address) => address.fmt(f),
            Self::Watched(sentinel) => write!(f, "the master {:?} of Sentinel", sentinel.master),
        }
    }
}
