//! Fetches of many keys that ask the shared store together: one question for each shard, sent in the same instant.
//!
//! Only the first question is shared. Whoever needs more than its answer goes on alone, with all that a fetch does.

use std::collections::BTreeMap;
use std::sync::Arc;

use cache_core::{Finished, Shard};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::weighing::{Barriers, Worth};
use super::{Fill, Said, heard, ready_probe};
use crate::Tier;
use crate::engine::Engine;
use crate::rendezvous::FillOutcome;
use crate::stats::Count;

/// Runs fetches that began at the same moment to their ends.
pub(crate) async fn run_together(engine: Arc<Engine>, fills: Vec<Fill>) {
    let mut shards = BTreeMap::<Shard, Vec<Fill>>::new();
    for fill in fills {
        shards.entry(fill.call.shard).or_default().push(fill);
    }
    let asked = shards
        .into_iter()
        .map(|(shard, fills)| ask(&engine, shard, fills));
    let asked = tokio::select! {
        biased;
        () = engine.stop.cancelled() => return,
        asked = join_all(asked) => asked,
    };
    let unsettled = asked.into_iter().flatten();
    join_all(unsettled.map(|(fill, said)| fill.go_on(said))).await;
}

/// Asks for the keys of one shard, and ends what the answer settles; returns the rest.
async fn ask(engine: &Engine, shard: Shard, fills: Vec<Fill>) -> Vec<(Fill, Option<Said>)> {
    let lane = engine.lane(shard);
    let (asking, mut rest): (Vec<_>, Vec<_>) = fills.into_iter().partition(|fill| fill.may_ask());
    let mut rest = rest.drain(..).map(|fill| (fill, None)).collect::<Vec<_>>();
    let patience = asking.iter().map(|fill| fill.patience(fill.deadline())).min();
    let (Some(probe), Some(patience)) = (ready_probe(lane, shard), patience) else {
        rest.extend(asking.into_iter().map(|fill| (fill, None)));
        return rest;
    };
    let keys: Vec<_> = asking.iter().map(|fill| fill.call.key.clone()).collect();
    let from = lane.copy_to_ask(shard);
    let said = match timeout(patience, engine.ports.shared.read(shard, &keys, from)).await {
        Ok(Ok(reply)) => heard(lane, shard, &probe, from, reply, keys.len()),
        _no_answer => vec![Said::Nothing; keys.len()],
    };
    for (fill, said) in asking.into_iter().zip(said) {
        if !fill.is_settled_by(&said) {
            rest.push((fill, Some(said)));
        }
    }
    rest
}

impl Fill {
    /// Whether it may ask with others: it looks into the shared store, and owes it nothing for its key.
    fn may_ask(&self) -> bool {
        self.call.options.l2.reads() && !self.engine.owes(self.call.shard, &self.call.key)
    }

    /// Ends the fetch, if a good record was found and nothing came in between: most often, that is all there is to it.
    fn is_settled_by(&self, said: &Said) -> bool {
        let Said::Found(record, head, probe) = said else {
            return false;
        };
        if !self.call.options.l1.writes() || record.version <= self.newer_than {
            return false;
        }
        let Worth::Good(entry) = self.worth(record, head, probe, Barriers::AsHeard) else {
            return false;
        };
        if self.holds_newer_than(&entry) {
            return false;
        }
        let local = &self.namespace().local;
        let installed = local.finish(&self.call.key, self.ticket, Some(Arc::clone(&entry)));
        if installed != Finished::Installed {
            return false;
        }
        self.namespace().counters.add(Count::L2Hit);
        self.rendezvous.complete(FillOutcome::Found(entry, Tier::L2));
        true
    }
}
