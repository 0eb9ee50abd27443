//! What is wrong with a cache's setup, all of it at once.
//!
//! It adjusts nothing: what could not do what it says is refused, with both numbers.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use cache_core::{Clock, Coherence, OutageReads, Permille, Policy};
use event_bus::Timing;
use tokio::time::Instant;

use crate::Ports;
use crate::memory::NamespaceState;

/// Longest time that a loader may take: a node that dies while it loads keeps the others from loading that key for so long.
const LONGEST_LOAD: Duration = Duration::from_secs(600);
/// Shortest lease: heartbeats come at a third of it, and timers have a grain of a millisecond.
const SHORTEST_LEASE: Duration = Duration::from_millis(10);
/// How far a clock must have moved to show that it runs, and how often it is asked at most.
const CLOCK_STEP: (Duration, u32) = (Duration::from_micros(10), 2_000);

/// Why a cache does not start: every problem at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use cache_core::{Namespace, Policy};
/// use edge_cache::{EdgeCache, Ports};
/// use std::{sync::Arc, time::Duration};
///
/// const POLICY: Policy = Policy::event_driven(Duration::ZERO);
/// const NAMES: Namespace<String> = Namespace::new("names", POLICY);
///
/// let node = Arc::new(cache_memory::Hub::builder().build().endpoint("node-1"));
/// let ports = Ports::new(Arc::new(cache_l1::MemoryStores), node.clone(), node);
/// let error = EdgeCache::builder(ports).namespace(&NAMES).event_queue(0).start().unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartError {
    problems: Vec<String>,
}

impl StartError {
    /// What is wrong, and what would be right; a sentence each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cache cannot start")?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(f, "\n- {problem}"))
    }
}

impl Error for StartError {}

/// What is looked at.
pub(crate) struct Settings<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) timing: Timing,
    pub(crate) queue: usize,
    pub(crate) canaries: Option<Duration>,
    pub(crate) namespaces: &'a [NamespaceState],
}

/// Adds to the problems that are known already.
pub(crate) fn check(mut problems: Vec<String>, settings: &Settings<'_>) -> Result<(), StartError> {
    runtime(settings.ports.clock.as_ref(), &mut problems);
    timing(settings, &mut problems);
    for namespace in settings.namespaces {
        let mut found = Vec::new();
        policy(&namespace.policy, &settings.timing, &mut found);
        if settings.ports.codec(namespace.policy.codec).is_none() {
            found.push(format!(
                "its values are stored with codec {}, and no codec with that id was handed in; add it to Ports::codecs",
                namespace.policy.codec.0
            ));
        }
        problems.extend(
            found
                .iter()
                .map(|problem| format!("namespace {:?}: {problem}", namespace.name)),
        );
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(StartError { problems })
    }
}

/// The lane is the namespace's own: a node that took another one would never hear of its changes.
pub(crate) fn lane_problem(name: &str, own: &Policy, given: &Policy) -> Option<String> {
    (own.lane != given.lane).then(|| {
        format!(
            "namespace {name:?} is of the {:?} lane and was registered with a policy of the {:?} lane; build that one with \
             with_lane(Lane::{:?})",
            own.lane, given.lane, own.lane
        )
    })
}

fn runtime(clock: &dyn Clock, problems: &mut Vec<String>) {
    if tokio::runtime::Handle::try_current().is_err() {
        problems
            .push("there is no Tokio runtime; start the cache inside one, with its timer enabled".to_owned());
    } else if is_paused_without(clock) {
        problems.push(
            "Tokio's time is paused and the cache's clock runs on, so that leases run out and nothing renews them; \
             hand in a clock that follows Tokio's time (testkit::virtual_time), also to the embedded backend"
                .to_owned(),
        );
    }
}

/// Whether the runtime's time stands still while this clock runs.
fn is_paused_without(clock: &dyn Clock) -> bool {
    let (step, asked) = CLOCK_STEP;
    let (timers, start) = (Instant::now(), clock.now());
    let runs = (0..asked).any(|_| {
        std::hint::spin_loop();
        clock.now().since(start) >= step
    });
    runs && Instant::now() == timers
}

fn timing(settings: &Settings<'_>, problems: &mut Vec<String>) {
    let Timing { lease, deadline } = settings.timing;
    if lease < SHORTEST_LEASE {
        problems.push(format!(
            "a lease of {lease:?} is too short to be renewed in time; it must be {SHORTEST_LEASE:?} at least"
        ));
    }
    if deadline.is_zero() {
        problems.push(
            "a question to the shared store has a deadline of 0 s: no answer could be in time".to_owned(),
        );
    }
    if deadline > lease {
        problems.push(format!(
            "the deadline of a question is {deadline:?} and a lease is {lease:?}: an answer must not be older than a lease; \
             lower the deadline or raise the lease"
        ));
    }
    if settings.queue == 0 {
        problems.push(
            "the event queue holds 0 events: every event would flush its shard; it needs 1 at least"
                .to_owned(),
        );
    }
    if settings.canaries.is_some_and(|every| every.is_zero()) {
        problems.push("canaries are to be written every 0 s; a second is often enough".to_owned());
    }
}

fn policy(policy: &Policy, timing: &Timing, problems: &mut Vec<String>) {
    let (name, hard) = match policy.hard_timeout {
        Some(hard) => ("hard timeout", hard),
        None => ("load deadline", timing.deadline),
    };
    if hard.is_zero() || hard > LONGEST_LOAD {
        problems.push(format!(
            "a {name} of {hard:?} is impossible; a loader may take from 1 ms to {LONGEST_LOAD:?}"
        ));
    }
    if let Some(soft) = policy.soft_timeout {
        if policy.fail_safe.is_none() {
            problems.push(format!(
                "a soft timeout of {soft:?} has no effect without fail-safe: there is never a stale value to serve"
            ));
        }
        if soft >= hard {
            problems.push(format!(
                "a soft timeout of {soft:?} is never reached: the {name} of {hard:?} ends the load before"
            ));
        }
    }
    if policy.coherence == Coherence::TtlOnly && policy.outage_reads == OutageReads::WithinTtl {
        problems.push(
            "serving within the TTL during an outage has no effect where the TTL alone is the bound: that is always so".to_owned(),
        );
    }
    if policy.l2_ttl.is_zero() {
        problems.push("a TTL of 0 s: values would end as they are stored".to_owned());
    }
    if policy.negative_ttl.is_some_and(|ttl| ttl.is_zero()) {
        problems.push("absence is to be remembered for 0 s; leave the negative TTL out instead".to_owned());
    }
    if policy.jitter > Permille(1_000) {
        problems.push(format!(
            "a jitter of {} thousandths; a TTL can be shortened by 1,000 thousandths at most",
            policy.jitter.0
        ));
    }
    if let Some(share) = policy.eager_refresh.filter(|share| *share >= Permille(1_000)) {
        problems.push(format!(
            "an eager refresh after {} thousandths of the TTL has no effect: the value has expired by then",
            share.0
        ));
    }
}
