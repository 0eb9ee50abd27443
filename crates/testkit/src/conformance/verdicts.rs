//! Runs the rules of a suite one by one and tells at the end which of them are broken.
//!
//! It does not stop at the first: somebody who writes an adapter wants to see all that is left to do.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;

/// How long a rule may take: ample for a store on a loaded machine, and an answer before the test run is killed.
/// Under paused time, a rule that waits for something that never comes is found at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// The rules broken so far.
pub(super) struct Verdicts {
    suite: &'static str,
    heard: usize,
    broken: Vec<String>,
}

impl Verdicts {
    pub(super) const fn new(suite: &'static str) -> Self {
        Self {
            suite,
            heard: 0,
            broken: Vec::new(),
        }
    }

    /// Runs a rule that waits.
    pub(super) async fn hear(&mut self, rule: &'static str, run: impl Future<Output = ()>) {
        let run = AssertUnwindSafe(tokio::time::timeout(PATIENCE, run)).catch_unwind();
        let outcome = match run.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_elapsed)) => Err(format!("not decided within {PATIENCE:?}")),
            Err(panic) => Err(message(&*panic)),
        };
        self.note(rule, outcome);
    }

    /// Runs a rule that does not wait.
    pub(super) fn hear_now(&mut self, rule: &'static str, run: impl FnOnce()) {
        let outcome = catch_unwind(AssertUnwindSafe(run)).map_err(|panic| message(&*panic));
        self.note(rule, outcome);
    }

    /// Panics when a rule is broken.
    pub(super) fn pronounce(self) {
        assert!(
            self.broken.is_empty(),
            "{}: {} of {} rules are broken:\n{}",
            self.suite,
            self.broken.len(),
            self.heard,
            self.broken.join("\n")
        );
    }

    fn note(&mut self, rule: &str, outcome: Result<(), String>) {
        self.heard += 1;
        if let Err(why) = outcome {
            self.broken.push(format!("  {rule}: {why}"));
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "panicked".to_owned())
}

/// Hears every rule that is listed, waiting or not, each on a fixture of its own.
macro_rules! hear_all {
    ($suite:literal, async $make:expr, $($module:ident: [$($rule:ident),* $(,)?]),* $(,)?) => {{
        let mut verdicts = $crate::conformance::verdicts::Verdicts::new($suite);
        $($(
            verdicts.hear(stringify!($rule), async { $module::$rule($make().await).await }).await;
        )*)*
        verdicts.pronounce();
    }};
    ($suite:literal, $make:expr, $($module:ident: [$($rule:ident),* $(,)?]),* $(,)?) => {{
        let mut verdicts = $crate::conformance::verdicts::Verdicts::new($suite);
        $($(
            verdicts.hear_now(stringify!($rule), || $module::$rule(&*$make()));
        )*)*
        verdicts.pronounce();
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_broken_rule_is_named_and_those_after_it_are_heard() {
        let mut verdicts = Verdicts::new("port");
        verdicts.hear("one_is_one", async { assert_eq!(1, 2) }).await;
        verdicts.hear_now("two_is_two", || {});
        verdicts.hear("it_ends", std::future::pending()).await;
        let panic = catch_unwind(|| verdicts.pronounce()).expect_err("two are broken");
        let told = message(&*panic);
        assert!(
            told.starts_with("port: 2 of 3 rules are broken:\n  one_is_one: "),
            "{told}"
        );
        assert!(told.contains("\n  it_ends: not decided within 60s"), "{told}");
        assert!(!told.contains("two_is_two"), "{told}");
    }
}
