//! The wish to end: ctrl-c, or the SIGTERM with which supervisors and containers end a process.
//!
//! It ends nothing itself: a run that is told to stop still drains, reports, and removes what it left on a server.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is said to the first signal and to the second.
const TOLD: [&str; 2] = [
    "told to stop: ending the run and reporting on it; a second signal ends it at once",
    "told to stop once more",
];

/// Who listens for the wish. Dropping it stops listening.
pub(super) struct Signals {
    /// Cancelled by the first signal: the run ends as it would at its end.
    pub(super) stop: CancellationToken,
    /// Cancelled by the second: the run ends where it is.
    pub(super) abandon: CancellationToken,
    pub(super) listening: JoinSet<()>,
}

impl Signals {
    /// Listens from now on, instead of the process being ended. Must be called within a runtime.
    ///
    /// # Errors
    /// When the system lets nobody listen.
    pub(super) fn listen() -> Result<Self, String> {
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let mut received =
            Received::listen().map_err(|error| format!("signals cannot be listened for: {error}"))?;
        let tokens = [stop.clone(), abandon.clone()];
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            for (token, told) in tokens.into_iter().zip(TOLD) {
                received.next().await;
                eprintln!("{told}");
                token.cancel();
            }
        });
        Ok(Self {
            stop,
            abandon,
            listening,
        })
    }
}

#[cfg(unix)]
struct Received([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Received {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Received;

#[cfg(not(unix))]
impl Received {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Where it cannot be listened for, the run ends by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What comes of `work`, unless the run is told to stop before.
pub(super) async fn unless_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    tokio::select! {
        biased;
        done = work => done,
        () = stop.cancelled() => Err("stopped before the run began; nothing was measured".to_owned()),
    }
}
