//! Many callers who want the same idempotent act done on a key share its runs: one under way, and one to come.
//!
//! It does not know what is done. Whoever asks is answered by a run that began after asking, never by an earlier one.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

/// Runs by key. A key is remembered for good: keys are the parts of the market, and as many.
pub(super) struct Turns<K, W, T> {
    lines: DashMap<K, Arc<Line<W, T>>>,
}

struct Line<W, T> {
    running: tokio::sync::Mutex<()>,
    state: Mutex<State<W, T>>,
}

struct State<W, T> {
    /// What the next run has to take into account.
    waiting: Vec<W>,
    begun: u64,
    /// The newest run that ended, and what it came to.
    ended: Option<(u64, T)>,
}

impl<K: Eq + Hash + Clone, W, T: Clone> Turns<K, W, T> {
    /// Waits for a run that begins after this call and takes `work` into account; runs it when it is this caller's
    /// turn. A run that is dropped takes its work with it.
    pub(super) async fn join<F: Future<Output = T>>(
        &self,
        key: &K,
        work: W,
        act: impl FnOnce(Vec<W>) -> F,
    ) -> T {
        let line = Arc::clone(&self.lines.entry(key.clone()).or_default());
        let needed = {
            let mut state = line.state();
            state.waiting.push(work);
            state.begun + 1
        };
        let _turn = line.running.lock().await;
        let (number, work) = {
            let mut state = line.state();
            if let Some((_, outcome)) = state.ended.as_ref().filter(|(number, _)| *number >= needed) {
                return outcome.clone();
            }
            state.begun += 1;
            (state.begun, std::mem::take(&mut state.waiting))
        };
        let outcome = act(work).await;
        line.state().ended = Some((number, outcome.clone()));
        outcome
    }
}

impl<W, T> Line<W, T> {
    fn state(&self) -> MutexGuard<'_, State<W, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W, T> Default for Line<W, T> {
    fn default() -> Self {
        Self {
            running: tokio::sync::Mutex::new(()),
            state: Mutex::new(State {
                waiting: Vec::new(),
                begun: 0,
                ended: None,
            }),
        }
    }
}

impl<K: Eq + Hash, W, T> Default for Turns<K, W, T> {
    fn default() -> Self {
        Self {
            lines: DashMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn whoever_comes_during_a_run_is_served_by_the_next_one_together() {
        let turns = Turns::<&str, u32, Vec<u32>>::default();
        let (runs, gate) = (AtomicU64::new(0), Semaphore::new(0));
        let ask = |work| {
            turns.join(&"key", work, |mut work| async {
                runs.fetch_add(1, Ordering::Relaxed);
                gate.acquire().await.unwrap().forget();
                work.sort_unstable();
                work
            })
        };
        let open = async {
            tokio::task::yield_now().await;
            gate.add_permits(2);
        };
        let (answers, ()) = futures_util::future::join(join_all((0..5).map(ask)), open).await;
        assert_eq!(answers[0], [0]);
        answers[1..]
            .iter()
            .for_each(|answer| assert_eq!(answer, &[1, 2, 3, 4]));
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_run_that_had_begun_before_answers_nobody_who_came_later() {
        let turns = Turns::<(), u32, u32>::default();
        let first = turns.join(&(), 1, |work| async move { work.len() as u32 }).await;
        let second = turns
            .join(&(), 2, |work| async move { 10 + work.len() as u32 })
            .await;
        assert_eq!((first, second), (1, 11));
    }
}
