//! The store's change log: the newest decisions under dense cursors.
//!
//! It is bounded and says so: a reader that fell behind learns that rows are lost instead of missing them.

use std::collections::VecDeque;

use crate::{Booking, Change, ChangeKind, Changes, Completeness, Cursor, StoreTime};

pub(super) struct Log {
    rows: VecDeque<Change>,
    appended: u64,
    keep: usize,
}

impl Log {
    pub(super) fn keeping(keep: usize) -> Self {
        Self {
            rows: VecDeque::new(),
            appended: 0,
            keep,
        }
    }

    /// Appends under the next cursor. The caller holds the log's lock, so a row and its cursor appear at once and
    /// no cursor is ever visible before the one in front of it.
    pub(super) fn append(&mut self, at: StoreTime, kind: ChangeKind, booking: Booking) {
        self.appended += 1;
        self.rows.push_back(Change {
            cursor: Cursor(self.appended),
            at,
            kind,
            booking,
        });
        while self.rows.len() > self.keep {
            self.rows.pop_front();
        }
    }

    pub(super) fn since(&self, cursor: Cursor, limit: usize) -> Changes {
        let dropped = self.appended - self.rows.len() as u64;
        let skip = usize::try_from(cursor.0.saturating_sub(dropped)).unwrap_or(usize::MAX);
        let rows: Vec<Change> = self
            .rows
            .range(skip.min(self.rows.len())..)
            .take(limit)
            .cloned()
            .collect();
        let next = rows.last().map_or(cursor, |row| row.cursor);
        let completeness = if cursor.0 < dropped {
            Completeness::Lagged
        } else {
            Completeness::Complete
        };
        Changes {
            rows,
            next,
            completeness,
        }
    }
}
