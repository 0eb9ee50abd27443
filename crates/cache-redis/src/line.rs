//! A connection that is made anew when it ends: at once the first time, then with growing pauses.
//!
//! It has no task: who needs the connection makes it. While the server is down, nobody waits for it in vain; one
//! caller tries at the end of each pause, and the others are told at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{Entropy, ErrorKind};
use tokio::time::Instant;

use crate::Settings;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::identity::Identities;
use crate::place::Place;

/// A line to one place.
pub(crate) struct Line {
    place: Place,
    settings: Arc<Settings>,
    identities: Arc<Identities>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
    /// Held by the one who connects; dropping its future lets the next one try.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Connection>>,
    failures: u32,
    /// No attempt before this, and what the last one met.
    pause: Option<(Instant, Failure)>,
}

impl Line {
    pub(crate) fn new(
        place: Place,
        settings: Arc<Settings>,
        identities: Arc<Identities>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            place,
            settings,
            identities,
            entropy,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// The living connection, made now if there is none and no pause.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        if let Some(known) = self.known() {
            return known;
        }
        let down = self.locked().failures > 0;
        let _turn = if down {
            // Who tries is told by the outcome; who does not try need not wait for it.
            self.connecting
                .try_lock()
                .map_err(|_taken| Failure::new(ErrorKind::Unavailable, "connecting anew"))?
        } else {
            self.connecting.lock().await
        };
        if let Some(known) = self.known() {
            return known;
        }
        match self.place.connect(&self.settings, &self.identities, None).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *self.locked() = State {
                    current: Some(Arc::clone(&connection)),
                    ..State::default()
                };
                Ok(connection)
            }
            Err(failure) => {
                tracing::debug!(%failure.message, "cannot connect; will try again");
                let mut state = self.locked();
                let pause = pause(&self.settings, state.failures, self.entropy.draw());
                state.failures = state.failures.saturating_add(1);
                state.pause = Some((Instant::now() + pause, failure.clone()));
                Err(failure)
            }
        }
    }

    /// The living connection, if there is one.
    pub(crate) fn living(&self) -> Option<Arc<Connection>> {
        self.known()?.ok()
    }

    /// What there is without connecting: a living connection, or the failure of a pause that is not over.
    fn known(&self) -> Option<Result<Arc<Connection>, Failure>> {
        let mut state = self.locked();
        if let Some(current) = &state.current {
            if !current.has_ended() {
                return Some(Ok(Arc::clone(current)));
            }
            state.current = None;
        }
        match &state.pause {
            Some((until, failure)) if Instant::now() < *until => Some(Err(failure.clone())),
            _ => None,
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Doubles with every failure up to the longest, and is shortened by up to a half, so that a fleet does not come back
/// in one instant.
pub(crate) fn pause(settings: &Settings, failures: u32, dice: u64) -> Duration {
    let doubled = settings.first_pause.saturating_mul(1 << failures.min(16));
    let longest = doubled.min(settings.longest_pause);
    let half = longest / 2;
    half + half.mul_f64((dice >> 11) as f64 / (1_u64 << 53) as f64)
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_shortened_by_at_most_a_half() {
        let settings = Settings::at("host", 1);
        for (failures, whole) in [(0, 50), (1, 100), (2, 200), (10, 2_000), (u32::MAX, 2_000)] {
            let whole = Duration::from_millis(whole);
            assert_eq!(pause(&settings, failures, 0), whole / 2);
            let longest = pause(&settings, failures, u64::MAX);
            assert!(longest <= whole && longest > whole * 9 / 10, "{longest:?}");
        }
    }
}
