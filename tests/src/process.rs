//! A node as a process that can be stopped as a whole, its timers included, and continued.
//!
//! It stops no time: timers that end and messages that come meanwhile are all noticed when it goes on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// One process. Its tasks are those that [`Process::run`] wraps.
///
/// ```
/// use futures_util::FutureExt as _;
/// use std::sync::Arc;
/// use tests::{Process, Turn};
///
/// let process = Arc::new(Process::default());
/// process.stop();
/// let mut task = process.run(Turn::First, async { 7 });
/// assert_eq!((&mut task).now_or_never(), None);
/// process.go_on();
/// assert_eq!(task.now_or_never(), Some(7));
/// ```
#[derive(Debug, Default)]
pub struct Process(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// Who was woken meanwhile, by turn.
    woken: [Vec<Waker>; 2],
}

/// Who runs first when a process goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Before the others: a reader, who must not rely on a task that has not run yet.
    First,
    /// After them.
    Later,
}

impl Process {
    /// Stops every task of it.
    pub fn stop(&self) {
        self.state().stopped = true;
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Lets everything go on.
    pub fn go_on(&self) {
        let woken = {
            let mut state = self.state();
            state.stopped = false;
            std::mem::take(&mut state.woken)
        };
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    /// Runs a task in this process. Dropping the future drops the task, even while the process is stopped.
    pub fn run<F: Future>(self: &Arc<Self>, turn: Turn, task: F) -> Task<F> {
        Task {
            process: Arc::clone(self),
            turn,
            task: Box::pin(task),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task of a [`Process`].
#[derive(Debug)]
pub struct Task<F> {
    process: Arc<Process>,
    turn: Turn,
    task: Pin<Box<F>>,
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let turn = self.turn as usize;
        {
            let mut state = self.process.state();
            if state.stopped {
                state.woken[turn].push(context.waker().clone());
                return Poll::Pending;
            }
        }
        self.task.as_mut().poll(context)
    }
}
