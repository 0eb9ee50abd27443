//! The nine keys of a store, all of one hash slot.
//!
//! There is one for each kind of thing, not for each thing: a script can name all it touches before it runs.

/// The names.
pub(crate) struct Keys {
    /// Hash, by GPU: its record.
    pub(crate) gpus: String,
    /// Hash, by booking: the booking.
    pub(crate) bookings: String,
    /// Ordered set of what takes its interval: GPU, start, booking. Those of one GPU lie together, in the order of their
    /// starts, and are disjoint.
    pub(crate) standing: String,
    /// Hash, by user and key: the outcome.
    pub(crate) answers: String,
    /// Ordered set of answers by when they were decided.
    pub(crate) ages: String,
    /// Ordered set of holds by when they lapse.
    pub(crate) deadlines: String,
    /// Ordered set of bookings by when they are over.
    pub(crate) over: String,
    /// Stream of changes: the cursor is the first part of an entry's id.
    pub(crate) log: String,
    /// Hash: the layout, and the cursor of the newest change.
    pub(crate) head: String,
}

impl Keys {
    pub(crate) fn under(prefix: &str) -> Self {
        let key = |name: &str| format!("{{{prefix}}}:{name}");
        Self {
            gpus: key("gpus"),
            bookings: key("bookings"),
            standing: key("standing"),
            answers: key("answers"),
            ages: key("ages"),
            deadlines: key("deadlines"),
            over: key("over"),
            log: key("log"),
            head: key("head"),
        }
    }

    /// In the order of the scripts that need all.
    pub(crate) fn all(&self) -> [&str; 9] {
        [
            &self.gpus,
            &self.bookings,
            &self.standing,
            &self.answers,
            &self.ages,
            &self.deadlines,
            &self.over,
            &self.log,
            &self.head,
        ]
    }
}
