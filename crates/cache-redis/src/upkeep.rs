//! What a prefix owns in the server, and removing it.
//!
//! It never searches the server for keys: heads, logs and barriers have known names, and everything else ends by itself.

use cache_core::{Lane, Shard, StoreError};
use futures_util::future::try_join_all;
use redis::{Cmd, Value};

use crate::RedisTier;
use crate::failure::Failure;
use crate::tier::Route;

/// A shard that has a head in the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owned {
    /// The shard.
    pub shard: Shard,
    /// Events that its log holds.
    pub logged: u64,
}

impl RedisTier {
    /// The shards of this prefix that the servers hold, with the length of their logs, however many shards this node is set up for.
    ///
    /// # Errors
    /// When a server cannot be asked.
    pub async fn owned(&self) -> Result<Vec<Owned>, StoreError> {
        const WHAT: &str = "listing what the prefix owns";
        let Some(layout) = self.deployed().await? else {
            return Ok(Vec::new());
        };
        let shards = Lane::ALL.into_iter().flat_map(|lane| layout.shards().all(lane));
        let owned = shards.map(async |shard| {
            let names = layout.of(shard);
            let route = Route {
                slot: names.slot,
                lane: shard.lane(),
            };
            let (mut head, mut log) = (redis::cmd("EXISTS"), redis::cmd("XLEN"));
            head.arg(&names.head);
            log.arg(&names.stream);
            let answers = (
                self.read_at(route, &head, WHAT).await?,
                self.read_at(route, &log, WHAT).await?,
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

    /// Removes heads, logs and barriers of this prefix, and the number of its shards. Records are dead from then on and end with their
    /// lives. Nodes that still use the prefix find no heads, drop their memory and begin new histories.
    ///
    /// # Errors
    /// When a server cannot be asked, or does not answer: calling it again does no harm.
    pub async fn forget(&self) -> Result<(), StoreError> {
        const WHAT: &str = "removing what the prefix owns";
        let Some(layout) = self.deployed().await? else {
            return Ok(());
        };
        let shards = layout
            .all()
            .map(|(lane, names)| (names.slot, lane, names.lasting()));
        let number = (layout.deployment.slot, Lane::Bulk, vec![&layout.deployment.name]);
        // The number last: whoever is interrupted can begin again.
        for (slot, lane, names) in shards.chain([number]) {
            let mut command = Cmd::new();
            command.arg("UNLINK");
            for name in names {
                command.arg(name);
            }
            // Done twice, it does no more than once.
            self.read_at(Route { slot, lane }, &command, WHAT).await?;
        }
        Ok(())
    }
}
