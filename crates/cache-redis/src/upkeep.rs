//! What a prefix owns in the server, and removing it.
//!
//! It never searches the server for keys: heads and logs have known names, and everything else ends by itself.

use cache_core::{Lane, Shard, StoreError};
use redis::Value;

use crate::RedisTier;
use crate::failure::Effect;
use crate::tier::settled;

/// A shard that has a head in the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owned {
    /// The shard.
    pub shard: Shard,
    /// Events that its log holds.
    pub logged: u64,
}

impl RedisTier {
    /// The shards of this prefix that the server holds, with the length of their logs.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn owned(&self) -> Result<Vec<Owned>, StoreError> {
        const WHAT: &str = "listing what the prefix owns";
        let shards: Vec<_> = Lane::ALL.into_iter().flat_map(Shard::all).collect();
        let mut questions = redis::pipe();
        for shard in &shards {
            questions.cmd("EXISTS").arg(&self.names(*shard).head);
            questions.cmd("XLEN").arg(&self.names(*shard).stream);
        }
        let connection = self.connection(Lane::Bulk).await?;
        let answers = settled(&connection, connection.request_all(&questions, WHAT).await)?;
        let owned = shards.into_iter().zip(answers.chunks_exact(2));
        let owned = owned.filter_map(|(shard, answers)| match answers {
            [Value::Int(1), Value::Int(logged)] => Some(Owned {
                shard,
                logged: u64::try_from(*logged).unwrap_or_default(),
            }),
            _ => None,
        });
        Ok(owned.collect())
    }

    /// Removes heads and logs of this prefix. Records are dead from then on and end with their lives. Nodes that still use
    /// the prefix find no heads, drop their memory and begin new histories.
    ///
    /// # Errors
    /// When the server cannot be asked, or does not answer: calling it again does no harm.
    pub async fn forget(&self) -> Result<(), StoreError> {
        const WHAT: &str = "removing what the prefix owns";
        let connection = self.connection(Lane::Bulk).await?;
        for shard in Lane::ALL.into_iter().flat_map(Shard::all) {
            let names = self.names(shard);
            let mut command = redis::Cmd::new();
            command.arg("UNLINK").arg(&names.head).arg(&names.stream);
            let answer = connection.request(&command, Effect::Some, WHAT).await;
            settled::<Value>(&connection, answer)?;
        }
        Ok(())
    }
}
