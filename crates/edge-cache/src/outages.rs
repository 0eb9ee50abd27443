//! One line in the log when a lane loses its lease, and one when it has it again.
//!
//! It reports; what is served meanwhile is decided in the reads themselves.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cache_core::{Lane, Moment};
use event_bus::{Tally, Unleased};

use crate::engine::Engine;

impl Engine {
    /// Reports until told to stop.
    pub(crate) async fn report_outages(self: Arc<Self>) {
        let pause = self.lanes[0].timing().heartbeat();
        let started = self.ports.clock.now();
        let mut outages = Lane::ALL.map(|_lane| Outage::new(started));
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let owed = self.outbox().len();
            for (lane, outage) in self.lanes.iter().zip(&mut outages) {
                let (now, lease) = (self.ports.clock.now(), lane.timing().lease);
                match outage.step(now, lease, lane.unleased(), owed, lane.tally()) {
                    Some(News::Lost { shards }) => tracing::warn!(
                        lane = ?lane.lane(),
                        shards,
                        cause = %in_full(lane.cause()),
                        "no lease any more: these shards are not served from memory as current until the shared store answers again"
                    ),
                    Some(News::Back {
                        lasted,
                        queued,
                        flushed,
                        replayed,
                    }) => tracing::info!(
                        lane = ?lane.lane(),
                        ?lasted,
                        queued,
                        flushed,
                        replayed,
                        "every shard has its lease again"
                    ),
                    None => {}
                }
            }
        }
    }
}

/// An error with all of its causes.
fn in_full(error: Option<Arc<dyn Error + Send + Sync>>) -> String {
    let Some(error) = error else {
        return "the bus answers, but not for these shards, or their history is behind".to_owned();
    };
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors tell their causes themselves.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// What there is to report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum News {
    Lost {
        shards: usize,
    },
    Back {
        lasted: Duration,
        /// Most invalidations that waited for the shared store, of both lanes.
        queued: usize,
        /// Times that a shard was dropped as a whole, and times that its log was read instead.
        flushed: u64,
        replayed: u64,
    },
}

/// One lane, whether or not it has its lease.
#[derive(Debug)]
struct Outage {
    /// Until when it is not missed: a lane that has just started has none yet.
    expected: Moment,
    since: Option<Moment>,
    queued: usize,
    before: Tally,
}

impl Outage {
    fn new(started: Moment) -> Self {
        Self {
            expected: started,
            since: None,
            queued: 0,
            before: Tally::default(),
        }
    }

    fn step(
        &mut self,
        now: Moment,
        lease: Duration,
        unleased: Option<Unleased>,
        owed: usize,
        tally: Tally,
    ) -> Option<News> {
        match (unleased, self.since) {
            (None, None) => {
                (self.expected, self.before) = (Moment::NEVER, tally);
                None
            }
            (Some(_still_starting), None)
                if self.expected != Moment::NEVER && now < self.expected + lease =>
            {
                None
            }
            (Some(Unleased { shards, since }), None) => {
                let lapsed = if since == Moment::NEVER { now } else { since };
                (self.since, self.queued) = (Some(lapsed), owed);
                Some(News::Lost { shards })
            }
            (Some(_), Some(_)) => {
                self.queued = self.queued.max(owed);
                None
            }
            (None, Some(since)) => {
                (self.since, self.expected) = (None, Moment::NEVER);
                let before = std::mem::replace(&mut self.before, tally);
                Some(News::Back {
                    lasted: now.since(since),
                    queued: self.queued.max(owed),
                    flushed: tally.flushes - before.flushes,
                    replayed: tally.replays - before.replays,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(3);

    fn at(seconds: u64) -> Moment {
        Moment::NEVER + Duration::from_secs(seconds)
    }

    fn lapsed(shards: usize, since: Moment) -> Option<Unleased> {
        Some(Unleased { shards, since })
    }

    #[test]
    fn a_lane_that_loses_its_lease_is_reported_once_and_once_more_when_it_is_back() {
        let mut outage = Outage::new(at(1));
        let tally = |flushes, replays| Tally {
            flushes,
            replays,
            ..Tally::default()
        };
        assert_eq!(outage.step(at(2), LEASE, None, 0, tally(1, 2)), None);
        let lost = outage.step(at(7), LEASE, lapsed(5, at(6)), 0, tally(1, 2));
        assert_eq!(lost, Some(News::Lost { shards: 5 }));
        assert_eq!(outage.step(at(8), LEASE, lapsed(65, at(6)), 9, tally(1, 2)), None);
        let back = outage.step(at(10), LEASE, None, 2, tally(4, 7));
        let expected = News::Back {
            lasted: Duration::from_secs(4),
            queued: 9,
            flushed: 3,
            replayed: 5,
        };
        assert_eq!(back, Some(expected));
        assert_eq!(outage.step(at(11), LEASE, None, 0, tally(4, 7)), None);
    }

    #[test]
    fn a_lane_that_never_gets_a_lease_is_reported_after_the_time_of_one() {
        let mut outage = Outage::new(at(1));
        let never = lapsed(65, Moment::NEVER);
        assert_eq!(outage.step(at(3), LEASE, never, 0, Tally::default()), None);
        let lost = outage.step(at(4), LEASE, never, 0, Tally::default());
        assert_eq!(lost, Some(News::Lost { shards: 65 }));
    }
}
