//! What a prefix owns in the server, and removing it.
//!
//! It never searches the server for keys: heads, logs and barriers have known names, and everything else ends by itself.

use cache_core::{Lane, Shard, StoreError};
use futures_util::future::try_join_all;
use redis::{Cmd, Value};

use crate::RedisTier;
use crate::failure::Failure;

/// A shard that has a head in the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owned {
    /// The shard.
    pub shard: Shard,
    /// Events that its log holds.
    pub logged: u64,
}

impl RedisTier {
    /// The shards of this prefix that the servers hold, with the length of their logs.
    ///
    /// # Errors
    /// When a server cannot be asked.
    pub async fn owned(&self) -> Result<Vec<Owned>, StoreError> {
        const WHAT: &str = "listing what the prefix owns";
        let owned = all_shards().map(async |shard| {
            let names = self.names(shard);
            let (mut head, mut log) = (redis::cmd("EXISTS"), redis::cmd("XLEN"));
            head.arg(&names.head);
            log.arg(&names.stream);
            let answers = (
                self.read_command(shard, &head, WHAT).await?,
                self.read_command(shard, &log, WHAT).await?,
            );
            match answers {
                ((_, Value::Int(1)), (_, Value::Int(logged))) => Ok(Some(Owned {
                    shard,
                    logged: u64::try_from(logged).unwrap_or_default(),
                })),
                _ => Ok::<_, Failure>(None),
            }
        });
        let owned = try_join_all(owned).await?;
        Ok(owned.into_iter().flatten().collect())
    }

    /// Removes heads, logs and barriers of this prefix. Records are dead from then on and end with their lives. Nodes that still use
    /// the prefix find no heads, drop their memory and begin new histories.
    ///
    /// # Errors
    /// When a server cannot be asked, or does not answer: calling it again does no harm.
    pub async fn forget(&self) -> Result<(), StoreError> {
        const WHAT: &str = "removing what the prefix owns";
        for shard in all_shards() {
            let names = self.names(shard);
            let mut command = Cmd::new();
            command.arg("UNLINK").arg(&names.head).arg(&names.stream);
            command.arg(&names.barriers);
            // Done twice, it does no more than once.
            self.read_command(shard, &command, WHAT).await?;
        }
        Ok(())
    }
}

fn all_shards() -> impl Iterator<Item = Shard> {
    Lane::ALL.into_iter().flat_map(Shard::all)
}
