//! Who the servers are: one identity for each server process, shared by all connections of this node to it.
//!
//! A history may get another name while its process goes on, as when the first replica attaches. If each connection kept what it
//! was told when it was made, those made before and after would contradict each other for as long as both live.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use cache_core::ServerId;

use crate::Address;

/// Former names of a history that are remembered, to recognise an answer that is late.
const FORMER: usize = 8;

/// The processes that some connection leads to.
#[derive(Debug, Default)]
pub(crate) struct Identities(Mutex<Vec<Weak<Identity>>>);

/// The identity of one process: its run, and the replication history it is in.
#[derive(Debug)]
pub(crate) struct Identity {
    run: u64,
    /// The history's name now, then those it had before.
    names: Mutex<Vec<u64>>,
}

impl Identities {
    /// The identity of a process that has just told its run and its history, to all connections that lead to it.
    pub(crate) fn of(&self, run: u64, history: u64, address: &Address) -> Arc<Identity> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|identity| identity.strong_count() > 0);
        let same = known
            .iter()
            .filter_map(Weak::upgrade)
            .find(|identity| identity.run == run);
        let Some(identity) = same else {
            let identity = Identity::new(run, history);
            known.push(Arc::downgrade(&identity));
            return identity;
        };
        drop(known);
        identity.tells(history, address);
        identity
    }
}

impl Identity {
    /// An identity that no other connection shares.
    pub(crate) fn new(run: u64, history: u64) -> Arc<Self> {
        Arc::new(Self {
            run,
            names: Mutex::new(vec![history]),
        })
    }

    /// What answers are judged by, at this moment.
    pub(crate) fn now(&self) -> ServerId {
        Self::id(self.run, self.names()[0])
    }

    /// The process has told which history it is in. Answers who told that; `None` for one that was overtaken by a newer name,
    /// since no process goes back to a history.
    pub(crate) fn tells(&self, history: u64, address: &Address) -> Option<ServerId> {
        let mut names = self.names();
        let former = names[0];
        if former == history {
            return Some(Self::id(self.run, history));
        }
        if names.contains(&history) {
            return None;
        }
        names.insert(0, history);
        names.truncate(FORMER);
        let (old, new) = (format_args!("{former:016x}"), format_args!("{history:016x}"));
        tracing::info!(
            server = %address, %old, %new,
            "the server has another replication id; all connections to it count as being in that history from now on"
        );
        Some(Self::id(self.run, history))
    }

    const fn id(run: u64, history: u64) -> ServerId {
        ServerId(run ^ history.rotate_left(32))
    }

    fn names(&self) -> MutexGuard<'_, Vec<u64>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        Address::new("here", 1)
    }

    #[test]
    fn what_one_connection_learns_of_a_process_all_of_them_count_by() {
        let identities = Identities::default();
        let data = identities.of(1, 10, &address());
        let before = data.now();
        let bus = identities.of(1, 11, &address());
        assert_ne!(data.now(), before);
        assert_eq!(data.now(), bus.now());
        assert_eq!(bus.tells(12, &address()), Some(data.now()));
        let other = identities.of(2, 12, &address());
        assert_ne!(
            other.now(),
            data.now(),
            "another process, though it copies the history"
        );
    }

    #[test]
    fn a_late_answer_does_not_take_the_identity_back() {
        let identity = Identity::new(1, 10);
        let now = identity.tells(11, &address());
        assert_eq!(identity.tells(10, &address()), None);
        assert_eq!(Some(identity.now()), now);
    }

    #[test]
    fn a_process_that_nothing_is_connected_to_is_forgotten() {
        let identities = Identities::default();
        drop(identities.of(1, 10, &address()));
        let _other = identities.of(2, 10, &address());
        assert_eq!(identities.0.lock().expect("no panic").len(), 1);
    }
}
