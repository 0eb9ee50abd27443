//! The report of a run: what is written as JSON, and what the tables are made from.
//!
//! It holds figures; whether they are good is for the tables, the exit code, and the reader.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::spans::Spans;

/// Everything a run found out. Fields are written in this order; later releases add to the end.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Nodes in all regions.
    pub nodes: usize,
    /// Nodes by region.
    #[serde(serialize_with = "ordered")]
    pub regions: Vec<(String, usize)>,
    /// GPUs on the market.
    pub gpus: usize,
    /// What became of the bookings.
    pub bookings: Bookings,
    /// What the buyers asked and got.
    pub reads: Reads,
    /// From the publication of an event to each subscriber on another node.
    pub propagation_ms: Delay,
    /// From the publication of a change to its effect in another node's memory.
    pub invalidation_ms: Delay,
    /// The first judge: versions.
    pub staleness: Staleness,
    /// What the nodes' followers saw, summed.
    pub events: Events,
    /// The most that each class took on any one node.
    #[serde(serialize_with = "ordered")]
    pub memory_bytes: Vec<(String, u64)>,
    /// Where everything drawn came from.
    pub seed: u64,
    /// The kind of shared store.
    pub backend: &'static str,
    /// Whether the network was made bad.
    pub faults: bool,
    /// Whether ctrl-c or SIGTERM ended the run.
    pub interrupted: bool,
    /// From the first booking to the last reader's end.
    pub seconds: f64,
    /// Rows of the files that could not be read.
    pub skipped_rows: usize,
    /// The second judge: statuses, sampled.
    pub content: Content,
    /// How well the compressed clock was kept.
    pub schedule: Schedule,
    /// The promises of the booking store and the market, each checked over the whole run.
    pub checks: Vec<Check>,
    /// Where the bookings were decided.
    pub store: &'static str,
    /// The third judge: the nodes themselves.
    pub spot_checks: SpotChecks,
    /// The oldest view that any node had at the end, as its canaries tell.
    pub canary_age_ms: f64,
}

/// What became of the bookings.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Bookings {
    /// Requests.
    pub attempted: u64,
    /// Granted.
    pub won: u64,
    /// Refused: somebody else has the GPU.
    pub conflict: u64,
    /// Given back.
    pub cancelled: u64,
    /// GPUs granted twice at a time, by the ledger's log.
    pub double: u64,
    /// Decided while the shared store could not be told at once.
    pub queued: u64,
    /// GPUs that tasks wanted and did not get.
    pub unserved: u64,
}

/// What the buyers asked and got.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Reads {
    /// Queries answered.
    pub total: u64,
    /// Values from memory among all values read by queries, 0 to 1.
    pub l1_hit_ratio: f64,
    /// Values that the shared store had among those it was asked for by queries, 0 to 1.
    pub l2_hit_ratio: f64,
    /// Time to answer a query, by the slowest tier it needed.
    pub latency_us: Latencies,
    /// Values read; a query reads one to some tens.
    pub values: u64,
    /// Queries without an answer.
    pub failed: u64,
    /// Values that the shared store was asked for by queries.
    pub shared_asked: u64,
}

/// Time to answer, by the slowest tier a query needed.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latencies {
    /// Memory alone.
    pub l1: Latency,
    /// The shared store for at least one value.
    pub l2: Latency,
    /// All queries, those included that needed a system of record.
    pub all: Latency,
}

/// Microseconds, rounded up.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latency {
    /// Half of them were faster.
    pub p50: u64,
    /// 99 of 100 were faster.
    pub p99: u64,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Delay {
    /// How many were measured.
    pub samples: u64,
    /// Half of them were shorter.
    pub p50: f64,
    /// 99 of 100 were shorter.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// The first judge: for every value read, how far behind the publications it was.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Staleness {
    /// Values judged: all that were read and have a version.
    pub checked: u64,
    /// Values behind by more than the bound, or of a history that never was.
    pub violations: u64,
    /// The most that a value was behind.
    pub max_ms: f64,
    /// The lease.
    pub bound_ms: f64,
    /// Values that came straight from a system of record and were never stored.
    pub unversioned: u64,
}

/// The second judge: statuses shown, compared with the booking ledger.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Content {
    /// Statuses compared: a sample.
    pub checked: u64,
    /// Those that had not been true within the bound.
    pub violations: u64,
}

/// The third judge: hits that the nodes compared with the log of changes afterwards, each with that of its shard and that of the
/// barriers.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct SpotChecks {
    /// Comparisons in which a hit lacked nothing that it had to know.
    pub consistent: u64,
    /// Those in which it did.
    pub inconsistent: u64,
    /// Those that the log could not decide.
    pub undecided: u64,
}

/// What the nodes' followers saw.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Events {
    /// Published for subscribers.
    pub published: u64,
    /// Applied by the nodes, changes of keys included.
    pub applied: u64,
    /// Received once more.
    pub duplicates: u64,
    /// Holes found.
    pub gaps: u64,
    /// Logs read to fill them.
    pub replays: u64,
    /// Shards dropped as a whole.
    pub flushes: u64,
}

/// How well the compressed clock was kept.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Schedule {
    /// Tasks of the trace.
    pub tasks: u64,
    /// Tasks that came to their end.
    pub done: u64,
    /// How late bookings and cancellations began.
    pub late_ms: Delay,
}

/// One promise.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What was promised.
    pub promise: &'static str,
    /// Whether it was kept; `null` where there was nothing to keep it about.
    pub kept: CheckVerdict,
    /// What was found if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// Whether a promise was kept: in JSON `true`, `false` or `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "Option<bool>")]
pub enum CheckVerdict {
    /// It was.
    Kept,
    /// It was not.
    Broken,
    /// There was nothing to keep it about.
    Unmeasured,
}

impl From<CheckVerdict> for Option<bool> {
    fn from(verdict: CheckVerdict) -> Self {
        match verdict {
            CheckVerdict::Kept => Some(true),
            CheckVerdict::Broken => Some(false),
            CheckVerdict::Unmeasured => None,
        }
    }
}

impl Check {
    /// A promise that was kept or not.
    #[must_use]
    pub fn that(promise: &'static str, kept: bool) -> Self {
        Self {
            promise,
            kept: if kept {
                CheckVerdict::Kept
            } else {
                CheckVerdict::Broken
            },
            evidence: None,
        }
    }

    /// A promise about what did not happen.
    #[must_use]
    pub fn unmeasured(promise: &'static str) -> Self {
        Self {
            promise,
            kept: CheckVerdict::Unmeasured,
            evidence: None,
        }
    }

    /// The same, with what was found if it was not kept.
    #[must_use]
    pub fn because(self, evidence: impl Into<String>) -> Self {
        let evidence = (self.kept == CheckVerdict::Broken).then(|| evidence.into());
        Self { evidence, ..self }
    }
}

impl Latency {
    /// Of these spans.
    #[must_use]
    pub fn of(spans: &Spans) -> Self {
        let micros = |span: Duration| u64::try_from(span.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        Self {
            p50: micros(spans.percentile(50.0)),
            p99: micros(spans.percentile(99.0)),
        }
    }
}

impl Delay {
    /// Of these spans.
    #[must_use]
    pub fn of(spans: &Spans) -> Self {
        Self {
            samples: spans.count(),
            p50: millis(spans.percentile(50.0)),
            p99: millis(spans.percentile(99.0)),
            max: millis(spans.longest()),
        }
    }
}

/// Milliseconds with three decimals.
#[must_use]
pub fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// A part of a whole, 0 to 1 with four decimals; nothing of nothing is nothing.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 / whole as f64 * 10_000.0).floor() / 10_000.0
    }
}

/// As an object whose fields keep their order.
fn ordered<S: Serializer, V: Serialize>(pairs: &[(String, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// As the product's description shows it.
    const SHAPE: &str = r#"{"nodes":15,"regions":{"us-east":5,"us-west":4,"europe":6},"gpus":6212,
        "bookings":{"attempted":0,"won":0,"conflict":0,"cancelled":0,"double":0},
        "reads":{"total":0,"l1_hit_ratio":0.0,"l2_hit_ratio":0.0,
                 "latency_us":{"l1":{"p50":0,"p99":0},"l2":{"p50":0,"p99":0},"all":{"p50":0,"p99":0}}},
        "propagation_ms":{"samples":0,"p50":0.0,"p99":0.0,"max":0.0},
        "invalidation_ms":{"samples":0,"p50":0.0,"p99":0.0,"max":0.0},
        "staleness":{"checked":0,"violations":0,"max_ms":0.0,"bound_ms":0.0},
        "events":{"published":0,"applied":0,"duplicates":0,"gaps":0,"replays":0,"flushes":0},
        "memory_bytes":{"gpu_availability":0},"seed":0,"backend":"embedded"}"#;

    fn report() -> Report {
        let regions = [("us-east", 5), ("us-west", 4), ("europe", 6)];
        Report {
            nodes: 15,
            regions: regions.map(|(region, nodes)| (region.to_owned(), nodes)).to_vec(),
            gpus: 6_212,
            memory_bytes: vec![("gpu_availability".to_owned(), 0)],
            backend: "embedded",
            ..Report::default()
        }
    }

    /// Everything of `shape` is in `found`, of the same type.
    fn covers(found: &Value, shape: &Value, path: &str) {
        match (found, shape) {
            (Value::Object(found), Value::Object(shape)) => {
                for (name, shape) in shape {
                    let path = format!("{path}.{name}");
                    covers(
                        found.get(name).unwrap_or_else(|| panic!("{path} is missing")),
                        shape,
                        &path,
                    );
                }
            }
            (Value::Number(found), Value::Number(shape)) => {
                assert_eq!(found.is_f64(), shape.is_f64(), "{path}: {found}");
            }
            (found, shape) => assert_eq!(found, shape, "{path}"),
        }
    }

    #[test]
    fn the_report_has_every_field_that_the_product_promises() {
        let found = serde_json::to_value(report()).unwrap();
        covers(&found, &serde_json::from_str(SHAPE).unwrap(), "report");
    }

    #[test]
    fn regions_keep_the_order_in_which_they_were_asked_for() {
        let text = serde_json::to_string(&report()).unwrap();
        assert!(
            text.starts_with(r#"{"nodes":15,"regions":{"us-east":5,"us-west":4,"europe":6},"gpus":6212,"#)
        );
    }

    #[test]
    fn shares_are_never_rounded_up_to_a_target() {
        assert!((share(94_999, 100_000) - 0.9499).abs() < 1e-9);
        assert!(share(0, 0).abs() < 1e-9);
    }
}
