//! The end of a cache: asked for, or because nobody holds it any more.
//!
//! Tasks hold the engine themselves, so only the number of handles tells when it is not wanted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::engine::Engine;

/// How long the end waits for invalidations that are still owed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Shared by all handles of a cache: dropped with the last of them.
pub(crate) struct Handles(pub(crate) Arc<Engine>);

impl Drop for Handles {
    fn drop(&mut self) {
        let engine = &self.0;
        engine.closing.store(true, Ordering::SeqCst);
        let owing = !engine.stop.is_cancelled() && !engine.outbox().is_empty();
        // Without a runtime nothing could be paid any more.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if owing => {
                let (engine, holding) = (Arc::clone(engine), engine.holding.clone());
                drop(runtime.spawn(holding.of(async move { engine.shutdown().await })));
            }
            _nothing_to_pay => engine.stop.cancel(),
        }
    }
}

impl Engine {
    /// Tries to pay what is owed, ends all tasks and waits for them.
    pub(crate) async fn shutdown(&self) {
        // Before the last look at what is owed: what comes after it is not promised any more.
        self.closing.store(true, Ordering::SeqCst);
        if !self.outbox().is_empty() {
            // What cannot be paid within this time is bounded by the TTL of the records.
            let _ = tokio::time::timeout(FAREWELL, self.settle_debts()).await;
        }
        self.stop.cancel();
        self.dispatcher.shutdown().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}
