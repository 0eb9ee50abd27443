//! Where a connection leads: to an address, to whatever server Sentinel calls the master, or to a replica.
//!
//! It keeps no connection: Sentinel is asked anew for each.

use std::sync::Arc;

use cache_core::ErrorKind;
use futures_util::future::select_ok;
use redis::Value;
use tokio::time::timeout;

use crate::connection::{Connection, Listener, open_wire};
use crate::failure::{Effect, Failure};
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
        listener: Option<Listener>,
    ) -> Result<Connection, Failure> {
        let opened = async {
            match self {
                Self::At(address) => Connection::open(settings, address, listener).await,
                Self::Watched(sentinel) => {
                    let address = master(settings, sentinel).await?;
                    Connection::open(settings, &address, listener).await
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

/// What the first of the sentinels to answer says. A server that it names wrongly is a replica, and refused as such.
async fn master(settings: &Settings, sentinel: &Sentinel) -> Result<Address, Failure> {
    let ask = |address| Box::pin(ask(settings, sentinel, address));
    select_ok(sentinel.addresses.iter().map(ask))
        .await
        .map(|(address, _)| address)
}

async fn ask(settings: &Settings, sentinel: &Sentinel, address: &Address) -> Result<Address, Failure> {
    let what = format!("asking Sentinel at {address} for {:?}", sentinel.master);
    let refused = |error| Failure::of(error, Effect::None, &what);
    // Sentinel has users, and no databases, of its own.
    let settings = Settings {
        username: sentinel.username.clone(),
        password: sentinel.password.clone(),
        database: 0,
        ..settings.clone()
    };
    let mut wire = open_wire(&settings, address, &Arc::default(), None)
        .await
        .map_err(refused)?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinel.master);
    let answer: Value = question.query_async(&mut wire).await.map_err(refused)?;
    if answer == Value::Nil {
        let message = format!("{what}: it watches no master of that name");
        return Err(Failure::new(ErrorKind::Unavailable, message));
    }
    let (host, port): (String, u16) =
        redis::from_redis_value(answer).map_err(|_no_address| Failure::corrupt(&what))?;
    Ok(Address::new(host, port))
}
