//! The outbox: decisions whose own node may have died before it told of them are told by another.
//!
//! It decides nothing and repeats itself without harm: what was told already is passed over, what is told twice
//! changes nothing.

use std::collections::HashSet;
use std::time::Duration;

use super::Marketplace;
use super::news::BookingNews;
use super::position::position_at;
use crate::namespaces::{GPU_AVAILABILITY, GPU_PRICING, MARKET_STATS, ORDER_BOOK, SHELF_SECTION};
use crate::{BookingId, BookingLedgerError, Change, ChangeKind, Completeness, Cursor};

/// Changes read at once.
const ROWS: usize = 1_000;
/// How long the node that made a change has to tell of it. It takes milliseconds; this is as long as a call may hang.
const SETTLE: Duration = Duration::from_secs(2);
/// How often a follower looks, and lets holds expire: well below the shortest life of a view.
const PERIOD: Duration = Duration::from_secs(1);
/// Holds expired at once.
const HOLDS: usize = 1_000;

/// How far the change log was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Where to go on: everything before it has been told.
    pub next: Cursor,
    /// Changes whose effects were published here because nobody else had.
    pub repaired: usize,
}

impl Marketplace {
    /// Publishes the effects of changes after `cursor` that no node has told of within two seconds.
    ///
    /// A change older than the longest life of a view is passed over: no view can lack it. Where the log itself has
    /// lost rows, all views are dropped.
    ///
    /// # Errors
    /// When the ledger cannot be read; nothing is lost, ask again from the same cursor.
    pub async fn drain_changes(&self, cursor: Cursor) -> Result<Drained, BookingLedgerError> {
        let changes = self.source().records.ledger.changes_since(cursor, ROWS).await?;
        if changes.completeness == Completeness::Lagged {
            self.drop_views().await;
        }
        let now = self.source().now();
        let decided: HashSet<&BookingId> = changes
            .rows
            .iter()
            .filter(|change| change.kind != ChangeKind::Held)
            .map(|change| &change.booking.id)
            .collect();
        let mut drained = Drained {
            next: cursor,
            repaired: 0,
        };
        for change in &changes.rows {
            let booking = &change.booking;
            let told = self
                .core
                .heard
                .contains(&booking.id, change.kind, &booking.interval);
            let gone = change.at.plus(MARKET_STATS.policy().l2_ttl) <= now;
            if !told && !gone {
                if change.at.plus(SETTLE) > now {
                    break;
                }
                // A hold that was decided since is told of by that decision.
                let superseded = change.kind == ChangeKind::Held && decided.contains(&change.booking.id);
                if !superseded {
                    self.tell(change).await;
                    drained.repaired += 1;
                }
            }
            drained.next = change.cursor;
        }
        Ok(drained)
    }

    /// Lets holds expire, drains the change log and serves bids, every second until `stop`. Every node may follow: each
    /// tells only what it has not heard.
    ///
    /// It begins where a view could still lack a change, and needs no cursor of an earlier run: what is older than the
    /// longest life of a view, five minutes, no view can lack. So a node that was restarted reads some rows to find that
    /// place, and not the log of years; what nobody told of while it was down, it tells.
    pub async fn follow_changes(&self, stop: impl Future<Output = ()>) {
        let mut begin = None;
        let follow = async {
            loop {
                // A store that cannot be reached now is asked again in the next round.
                let _ = self.source().records.bookings.expire_holds(HOLDS).await;
                let mut cursor = match begin {
                    Some(cursor) => cursor,
                    None => {
                        let oldest = self.source().now().minus(MARKET_STATS.policy().l2_ttl);
                        match position_at(&*self.source().records.ledger, oldest).await {
                            Ok(cursor) => cursor,
                            Err(_) => {
                                tokio::time::sleep(PERIOD).await;
                                continue;
                            }
                        }
                    }
                };
                while let Ok(drained) = self.drain_changes(cursor).await {
                    if drained.next == cursor {
                        break;
                    }
                    cursor = drained.next;
                }
                begin = Some(cursor);
                self.serve_all_bids().await;
                tokio::time::sleep(PERIOD).await;
            }
        };
        // Stopping in the middle of a round loses nothing: what was not told is told by who follows next.
        tokio::select! {
            biased;
            () = stop => {}
            () = follow => {}
        }
    }

    async fn tell(&self, change: &Change) {
        let news = BookingNews::of(&change.booking, change.kind);
        self.spread_booking(&change.booking.gpu, news).await;
    }

    /// Owed when they cannot be dropped now.
    async fn drop_views(&self) {
        let _ = self.cache().clear(&GPU_AVAILABILITY).await;
        let _ = self.cache().clear(&SHELF_SECTION).await;
        let _ = self.cache().clear(&GPU_PRICING).await;
        let _ = self.cache().clear(&ORDER_BOOK).await;
        let _ = self.cache().clear(&MARKET_STATS).await;
    }
}
