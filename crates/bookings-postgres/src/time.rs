//! Where the instants of decisions come from.
//!
//! Never from the node that asks: of many nodes' clocks one is wrong.

use std::sync::Arc;

use deadpool_postgres::GenericClient;
use marketplace::{StoreClock, StoreTime};
use tokio_postgres::Error;

/// The clock that decides whether a hold has lapsed.
#[derive(Clone)]
pub enum Time {
    /// The server's, in milliseconds since 1970. The default of every deployment: all nodes share it.
    OfServer,
    /// One that was handed in: for tests, replays and simulations. All nodes must share it.
    Given(Arc<dyn StoreClock>),
}

impl Time {
    pub(crate) async fn now(&self, client: &impl GenericClient) -> Result<StoreTime, Error> {
        match self {
            Self::Given(clock) => Ok(clock.now()),
            Self::OfServer => {
                let ask = client
                    .prepare_cached("select floor(extract(epoch from clock_timestamp()) * 1000)::bigint")
                    .await?;
                let row = client.query_one(&ask, &[]).await?;
                Ok(StoreTime::from_millis(row.try_get(0)?))
            }
        }
    }
}
