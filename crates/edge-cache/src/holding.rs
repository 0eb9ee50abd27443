//! Where a test may hold up all tasks of a cache at once, as an operating system does with a stopped process.
//!
//! In a normal build it is nothing: tasks run as they are.

#[cfg(any(test, feature = "test-util"))]
use std::sync::Arc;

#[cfg(any(test, feature = "test-util"))]
use futures_util::future::{BoxFuture, Either};

/// Wraps every task of a cache: whoever polls what comes back decides when the task goes on.
#[cfg(any(test, feature = "test-util"))]
pub type Hold = Arc<dyn Fn(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync>;

/// How the tasks of a cache are held up, if they are.
#[derive(Clone, Default)]
pub(crate) struct Holding {
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) hold: Option<Hold>,
}

impl Holding {
    /// The task, held up where a test wants that.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) fn of(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        match &self.hold {
            Some(hold) => Either::Left(hold(Box::pin(task))),
            None => Either::Right(task),
        }
    }

    /// The task.
    #[cfg(not(any(test, feature = "test-util")))]
    #[expect(
        clippy::unused_self,
        reason = "a test build asks whether a test holds the tasks up"
    )]
    pub(crate) fn of<T: Future<Output = ()> + Send + 'static>(&self, task: T) -> T {
        task
    }
}
