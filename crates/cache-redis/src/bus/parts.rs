//! The parts of a subscription: one for each master, lost and made anew one by one.
//!
//! It judges no event: what was missed meanwhile is told by the heads that come next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{BusMessage, Inbox, Lane, Shard};
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::nobody;
use super::part::Part;
use super::receiver::Receiver;
use crate::failure::{Failure, Redirect};
use crate::layout::Layout;
use crate::line::pause;
use crate::masters::Master;
use crate::script::Script;
use crate::sentinel::Watch;
use crate::{Address, RedisTier, Sentinel};

/// Longest pause between two attempts to make a subscription whole again; the shards that lack are without a lease
/// meanwhile. As often as a lost subscription is tried anew.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Where a master is, as text: what is the same place has the same part.
type PlaceName = String;

/// The parts.
pub(super) struct Parts {
    tier: RedisTier,
    pub(super) lane: Lane,
    inbox: Arc<dyn Inbox>,
    parts: Mutex<BTreeMap<PlaceName, Arc<Part>>>,
    /// Something lacks, or may.
    woken: Arc<Notify>,
    closed: AtomicBool,
}

impl Parts {
    pub(super) fn new(tier: RedisTier, lane: Lane, inbox: Arc<dyn Inbox>) -> Self {
        Self {
            tier,
            lane,
            inbox,
            parts: Mutex::default(),
            woken: Arc::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.tier.inner.layout
    }

    pub(super) fn replay_script(&self) -> &Script {
        &self.tier.inner.scripts.replay
    }

    /// Those that have not ended.
    pub(super) fn living(&self) -> Vec<Arc<Part>> {
        let parts = self.locked();
        parts.values().filter(|part| part.is_alive()).cloned().collect()
    }

    /// The part over which a shard is heard.
    pub(super) fn of(&self, shard: Shard) -> Option<Arc<Part>> {
        self.living().into_iter().find(|part| part.hears(shard))
    }

    /// A master answered for a shard with a refusal. Where it has given the shard away, the channel is gone with it, though
    /// nothing may have told so.
    pub(super) fn gone(&self, part: &Part, shard: Shard, failure: &Failure) {
        if let Some(Redirect::Moved(to)) = failure.redirect(&part.connection().address) {
            self.tier.inner.masters.moved(self.layout().of(shard).slot, to);
            part.forget(shard);
        }
    }

    /// Has what lacks made anew.
    pub(super) fn wake_if_incomplete(&self) {
        if !self.lacking().is_empty() {
            self.woken.notify_one();
        }
    }

    /// Makes anew what lacks until no part is left, and then tells the subscription's end. Ends when it is dropped, too.
    pub(super) async fn keep(&self) {
        let mut failures = 0;
        loop {
            self.woken.notified().await;
            while !self.lacking().is_empty() {
                // Whoever lost a channel may have lost it to another master.
                self.tier.inner.masters.doubt();
                let mended = self.mend().await;
                if self.living().is_empty() {
                    self.inbox.deliver(BusMessage::Lost);
                    return;
                }
                if let Err(failure) = mended {
                    tracing::debug!(lane = ?self.lane, %failure.message, "cannot subscribe at a master; will try again");
                }
                if !self.lacking().is_empty() {
                    let inner = &self.tier.inner;
                    sleep(pause(&inner.settings, failures, inner.entropy.draw()).min(LONGEST_PAUSE)).await;
                    failures += 1;
                }
            }
            failures = 0;
        }
    }

    /// Listens to Sentinel: a master that was replaced is left at once, though it may go on answering, by the bus and by the
    /// requests of this lane. Whoever needs a connection next asks who is the master now.
    pub(super) async fn watch(&self, sentinel: &Sentinel) {
        let inner = &self.tier.inner;
        let mut failures = 0;
        loop {
            match Watch::open(&inner.settings, sentinel).await {
                Ok((mut watch, master)) => {
                    failures = 0;
                    let mut master = Some(master);
                    while let Some(address) = master {
                        self.leave_all_but(&address);
                        master = watch.next().await;
                    }
                }
                Err(failure) => {
                    tracing::debug!(%failure.message, "cannot listen to Sentinel; will try again");
                }
            }
            sleep(pause(&inner.settings, failures, inner.entropy.draw())).await;
            failures += 1;
        }
    }

    fn leave_all_but(&self, master: &Address) {
        for part in self.living() {
            if part.connection().address != *master {
                part.leave();
            }
        }
        self.tier.inner.masters.leave_all_but(master, self.lane);
    }

    /// Opens and subscribes what lacks, at all masters at once. Fails when nothing is heard afterwards.
    pub(super) async fn mend(&self) -> Result<(), Failure> {
        self.tier.admitted(self.lane).await?;
        self.locked().retain(|_, part| part.is_alive());
        let (mut by_master, mut refused) = (BTreeMap::<PlaceName, (Arc<Master>, Vec<Shard>)>::new(), None);
        for shard in self.lacking() {
            match self.tier.inner.masters.of(self.layout().of(shard).slot).await {
                Ok(master) => {
                    let known = by_master.entry(master.place.to_string());
                    known.or_insert_with(|| (master, Vec::new())).1.push(shard);
                }
                Err(failure) => refused = Some(failure),
            }
        }
        let subscribed = by_master
            .into_iter()
            .map(|(name, (master, shards))| self.subscribe(name, master, shards));
        let answers = join_all(subscribed).await;
        refused = answers.into_iter().filter_map(Result::err).last().or(refused);
        match refused {
            Some(failure) if self.living().is_empty() => Err(failure),
            None if self.living().is_empty() => Err(nobody("subscribing")),
            _ => Ok(()),
        }
    }

    async fn subscribe(
        &self,
        name: PlaceName,
        master: Arc<Master>,
        shards: Vec<Shard>,
    ) -> Result<(), Failure> {
        let known = self.locked().get(&name).cloned();
        let part = match known {
            Some(part) if part.is_alive() => part,
            _ => {
                let clustered = self.tier.inner.masters.are_many();
                Arc::new(Part::open(&self.tier, &master.place, self.receiver(), clustered).await?)
            }
        };
        part.subscribe(self.layout(), &shards).await?;
        if self.closed.load(Ordering::Acquire) {
            part.fall_silent();
        }
        self.locked().insert(name, part);
        Ok(())
    }

    fn receiver(&self) -> Receiver {
        let layout = Arc::clone(&self.tier.inner.layout);
        let ending: super::receiver::Ending = match self.tier.inner.masters.are_many() {
            true => {
                let woken = Arc::clone(&self.woken);
                Box::new(move || woken.notify_one())
            }
            false => {
                let inbox = Arc::clone(&self.inbox);
                Box::new(move || inbox.deliver(BusMessage::Lost))
            }
        };
        Receiver::new(layout, Arc::clone(&self.inbox), ending)
    }

    fn lacking(&self) -> Vec<Shard> {
        let living = self.living();
        let heard = |shard: &Shard| living.iter().any(|part| part.hears(*shard));
        self.layout()
            .shards()
            .all(self.lane)
            .filter(|shard| !heard(shard))
            .collect()
    }

    /// Nobody is told anything any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.locked().values().for_each(|part| part.fall_silent());
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<PlaceName, Arc<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
