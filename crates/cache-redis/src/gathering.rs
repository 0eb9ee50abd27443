//! Reads that come in the same instant share one command: an answer for many keys costs the server and this node little
//! more than one for a single key.
//!
//! Nobody waits for company: the first to come lets whoever is ready go before it, once, and sends what is there then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache_core::{ReadFrom, ServerId, Shard};
use futures_util::future::join_all;
use redis::{Cmd, Value};
use tokio::sync::oneshot;

use crate::RedisTier;
use crate::failure::Failure;

/// Keys in one command, at most: more would keep the server's other clients waiting.
const MOST: usize = 512;

/// Reads of one lane, from the same copies, that were not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Gathering(Mutex<Vec<Ask>>);

#[derive(Debug)]
struct Ask {
    shard: Shard,
    names: Arc<[Vec<u8>]>,
    answer: oneshot::Sender<Answer>,
}

/// The server that answered, and a value for each name, all of one instant.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) server: ServerId,
    pub(crate) values: Vec<Value>,
    /// Whether a replica told them.
    pub(crate) by_replica: bool,
}

type Answer = Result<Values, Failure>;

/// The gatherings of one lane: what must be asked of the master is not sent with what any copy may answer.
#[derive(Debug, Default)]
pub(crate) struct Gatherings {
    any: Gathering,
    primary: Gathering,
}

impl Gathering {
    /// Adds a read; tells whether it is the first, who sends for all.
    fn add(&self, ask: Ask) -> bool {
        let mut asks = self.locked();
        asks.push(ask);
        asks.len() == 1
    }

    fn take(&self) -> Vec<Ask> {
        std::mem::take(&mut *self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Ask>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first of a gathering. When it goes away before it has sent, the others are let go, and send for themselves.
struct First<'g>(&'g Gathering);

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.0.take();
    }
}

impl RedisTier {
    /// The values under some names, all of one instant.
    ///
    /// Dropping the future is safe: those who share its command and have no answer yet ask again.
    pub(crate) async fn values(
        &self,
        from: ReadFrom,
        shard: Shard,
        names: Arc<[Vec<u8>]>,
        what: &str,
    ) -> Answer {
        let gatherings = &self.inner.gatherings[shard.lane().index()];
        let gathering = match from {
            ReadFrom::Any => &gatherings.any,
            ReadFrom::Primary => &gatherings.primary,
        };
        let (sender, mut answer) = oneshot::channel();
        let ask = Ask {
            shard,
            names: Arc::clone(&names),
            answer: sender,
        };
        if gathering.add(ask) {
            let first = First(gathering);
            tokio::task::yield_now().await;
            let asks = gathering.take();
            std::mem::forget(first);
            let commands = commands(asks, self.inner.masters.are_many());
            let commands = commands.into_iter().map(|asks| self.send(from, asks, what));
            join_all(commands).await;
        }
        match (&mut answer).await {
            Ok(answer) => answer,
            Err(_who_sent_went_away) => self.mget(from, shard, &[&names], what).await,
        }
    }

    async fn send(&self, from: ReadFrom, asks: Vec<Ask>, what: &str) {
        let Some(shard) = asks.first().map(|ask| ask.shard) else {
            return;
        };
        let names: Vec<&[Vec<u8>]> = asks.iter().map(|ask| &*ask.names).collect();
        let answer = self.mget(from, shard, &names, what).await;
        let mut answer = answer.map(|told| (told.server, told.by_replica, told.values.into_iter()));
        for Ask {
            names, answer: to, ..
        } in asks
        {
            let part = match &mut answer {
                Ok((server, by_replica, values)) => Ok(Values {
                    server: *server,
                    values: values.by_ref().take(names.len()).collect(),
                    by_replica: *by_replica,
                }),
                Err(failure) => Err(failure.clone()),
            };
            // Who asked may have gone away.
            let _ = to.send(part);
        }
    }

    async fn mget(&self, from: ReadFrom, shard: Shard, names: &[&[Vec<u8>]], what: &str) -> Answer {
        let names = names.iter().flat_map(|names| names.iter());
        let (count, bytes) = (names.clone().count(), names.clone().map(Vec::len).sum::<usize>());
        let mut command = Cmd::with_capacity(count + 1, bytes + 4);
        command.arg("MGET");
        for name in names {
            command.arg(name.as_slice());
        }
        let told = self.read_from(from, shard, &command, what).await?;
        match told.value {
            Value::Array(values) if values.len() == count => Ok(Values {
                server: told.server,
                values,
                by_replica: told.by_replica,
            }),
            _ => Err(Failure::corrupt(what)),
        }
    }
}

/// Splits what was gathered into commands of a bearable size; one read is never split, since it is of one instant. With
/// `apart`, no command is of two shards: a cluster takes none that is of two slots.
fn commands(mut asks: Vec<Ask>, apart: bool) -> Vec<Vec<Ask>> {
    if apart {
        asks.sort_by_key(|ask| ask.shard.index());
    }
    let mut commands: Vec<Vec<Ask>> = Vec::new();
    let (mut size, mut shard) = (MOST, None);
    for ask in asks {
        if size + ask.names.len() > MOST || (apart && shard != Some(ask.shard)) {
            commands.push(Vec::new());
            size = 0;
        }
        shard = Some(ask.shard);
        size += ask.names.len();
        if let Some(last) = commands.last_mut() {
            last.push(ask);
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use cache_core::Lane;

    use super::*;

    fn ask(names: usize) -> Ask {
        of(Shard::barriers(Lane::Bulk), names)
    }

    fn of(shard: Shard, names: usize) -> Ask {
        Ask {
            shard,
            names: vec![Vec::new(); names].into(),
            answer: oneshot::channel().0,
        }
    }

    #[test]
    fn what_fits_shares_a_command_and_no_read_is_split() {
        let sizes = |asks: Vec<Ask>| -> Vec<Vec<usize>> {
            let commands = commands(asks, false).into_iter();
            commands
                .map(|asks| asks.iter().map(|ask| ask.names.len()).collect())
                .collect()
        };
        assert_eq!(sizes(vec![ask(2), ask(3)]), [[2, 3]]);
        assert_eq!(sizes(vec![ask(MOST), ask(1)]), [[MOST], [1]]);
        assert_eq!(sizes(vec![ask(MOST + 9), ask(1)]), [[MOST + 9], [1]]);
        assert_eq!(sizes(vec![]), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn in_a_cluster_every_shard_has_commands_of_its_own() {
        let shards: Vec<_> = cache_core::ShardCount::DEFAULT.all(Lane::Bulk).take(2).collect();
        let asks = vec![
            of(shards[0], 2),
            of(shards[1], 3),
            of(shards[0], 1),
            of(shards[1], MOST),
        ];
        let commands = commands(asks, true);
        let shards_of = |asks: &Vec<Ask>| asks.iter().map(|ask| ask.shard).collect::<Vec<_>>();
        assert_eq!(
            commands.iter().map(shards_of).collect::<Vec<_>>(),
            [vec![shards[0]; 2], vec![shards[1]], vec![shards[1]]]
        );
    }

    #[test]
    fn a_first_that_goes_away_lets_the_others_go() {
        let gathering = Gathering::default();
        assert!(gathering.add(ask(1)));
        let first = First(&gathering);
        let (sender, mut other) = oneshot::channel();
        let second = Ask {
            shard: Shard::barriers(Lane::Bulk),
            names: Arc::from([]),
            answer: sender,
        };
        assert!(!gathering.add(second));
        drop(first);
        assert!(other.try_recv().is_err(), "it is not kept waiting");
        assert!(gathering.add(ask(1)), "the next is a first again");
    }
}
