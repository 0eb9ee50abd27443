//! Who does the work of a fetch: its only reader, or a task.
//!
//! It knows nothing of what is fetched; who waits for that meets in a `rendezvous`.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::Context;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::sync::{AbortHandle, Mutex, MutexGuard, Tasks};

/// Work that runs in whoever waits for it, until somebody asks that it become a task.
///
/// In a reader, a fetch costs no task, and no thread is woken but the reader's own. A task goes on whether or not that
/// reader is polled: so it has to be one as soon as anybody else depends on it.
#[derive(Default)]
pub(crate) struct Work(Mutex<State>);

#[derive(Default)]
enum State {
    /// It has not begun, or has ended.
    #[default]
    Idle,
    /// It has not begun, and is to be a task from its beginning.
    TaskWanted,
    /// It waits for its reader to be polled.
    Reader(BoxFuture<'static, ()>),
    /// Its reader is at it, at this very moment; then it becomes a task, if somebody asked for that meanwhile.
    Polled { task_wanted: bool },
    /// A task is at it.
    Task(AbortHandle),
}

impl Work {
    /// Begins. A panic in it is the end of the work, not of its reader.
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + Send + 'static, tasks: &impl Tasks) {
        let future = AssertUnwindSafe(work).catch_unwind().map(drop).boxed();
        let mut state = self.state();
        // Others can join before there is anything to work at.
        *state = match std::mem::take(&mut *state) {
            State::TaskWanted => State::Task(tasks.start(future)),
            _idle => State::Reader(future),
        };
    }

    /// More than its reader depend on it.
    pub(crate) fn become_task(&self, tasks: &impl Tasks) {
        let mut state = self.state();
        *state = match std::mem::take(&mut *state) {
            State::Reader(future) => State::Task(tasks.start(future)),
            State::Polled { .. } => State::Polled { task_wanted: true },
            State::Idle => State::TaskWanted,
            wanted_or_a_task => wanted_or_a_task,
        };
    }

    /// Nobody wants it any more. What was asked of it before it began stands: whoever asked may be about to wait.
    pub(crate) fn give_up(&self) {
        let given_up = {
            let mut state = self.state();
            match std::mem::take(&mut *state) {
                given_up @ (State::Task(_) | State::Reader(_)) => given_up,
                stands => std::mem::replace(&mut *state, stands),
            }
        };
        // Only now that the lock is free: what is dropped tells everybody that it ended.
        match given_up {
            State::Task(task) => task.abort(),
            State::Reader(future) => drop(future),
            State::Polled { .. } | State::Idle | State::TaskWanted => {}
        }
    }

    /// Goes on with it, if it is this reader's.
    pub(crate) fn advance(&self, context: &mut Context<'_>, tasks: &impl Tasks) {
        let mut future = {
            let mut state = self.state();
            match std::mem::take(&mut *state) {
                State::Reader(future) => {
                    *state = State::Polled { task_wanted: false };
                    future
                }
                others => {
                    *state = others;
                    return;
                }
            }
        };
        // Not under the lock: what runs here may come back for the same key.
        let done = Pin::new(&mut future).poll(context).is_ready();
        let mut state = self.state();
        *state = match std::mem::take(&mut *state) {
            _ if done => State::Idle,
            State::Polled { task_wanted: true } => State::Task(tasks.start(future)),
            _ => State::Reader(future),
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
