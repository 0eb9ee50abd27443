//! The compressed clock: when each task of months is booked and released within a run of seconds.
//!
//! It knows no runtime and starts nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use marketplace::StoreTime;
use marketplace::ingest::Task;

/// Share of the run, in per cent, into which the tasks are compressed; the rest is for the last of them to end.
const USED: u32 = 95;

/// One task on the compressed clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// GPUs it books.
    pub gpus: u32,
    /// How long after the start of the run it books them.
    pub books_at: Duration,
    /// How long after the start of the run it gives them back; `None` when it outlives the run.
    pub releases_at: Option<Duration>,
    /// How long it really took.
    pub length: Duration,
}

/// Lays `tasks` out over a run of this length, in the order they are booked. Time is stretched evenly, except that a
/// pause longer than the mean is cut to the mean: a trace may begin with months in which next to nothing happens.
#[must_use]
pub fn compressed(tasks: &[Task], run: Duration) -> Vec<Planned> {
    let instants: std::collections::BTreeSet<StoreTime> = tasks
        .iter()
        .flat_map(|task| [Some(task.booked), task.released])
        .flatten()
        .collect();
    let (Some(first), Some(last)) = (instants.first(), instants.last()) else {
        return Vec::new();
    };
    let mean = last.since(*first) / u32::try_from(instants.len()).unwrap_or(u32::MAX);
    let mut at = BTreeMap::new();
    let (mut before, mut passed) = (*first, Duration::ZERO);
    for instant in &instants {
        passed += instant.since(before).min(mean);
        before = *instant;
        at.insert(*instant, passed);
    }
    let scale = (run * USED / 100).as_secs_f64() / passed.as_secs_f64().max(f64::MIN_POSITIVE);
    let place = |instant: &StoreTime| at.get(instant).copied().unwrap_or_default().mul_f64(scale);
    let mut planned: Vec<Planned> = tasks
        .iter()
        .map(|task| Planned {
            gpus: task.gpus,
            books_at: place(&task.booked),
            releases_at: task.released.as_ref().map(place),
            length: task.released.unwrap_or(*last).since(task.booked),
        })
        .collect();
    planned.sort_by_key(|task| task.books_at);
    planned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(booked: i64, released: Option<i64>) -> Task {
        let at = |seconds: i64| StoreTime::from_millis(seconds * 1_000);
        Task {
            name: "t".to_owned(),
            gpus: 1,
            booked: at(booked),
            released: released.map(at),
        }
    }

    #[test]
    fn tasks_fill_the_run_in_their_order_and_keep_their_length() {
        let planned = compressed(
            &[task(300, Some(400)), task(0, Some(100)), task(200, None)],
            Duration::from_secs(10),
        );
        let lengths: Vec<_> = planned.iter().map(|task| task.length.as_secs()).collect();
        assert_eq!(
            lengths,
            [100, 200, 100],
            "one that never ends counts up to the last instant"
        );
        assert_eq!(planned[0].books_at, Duration::ZERO);
        assert_eq!(planned[2].releases_at, Some(Duration::from_millis(9_500)));
        assert_eq!(planned[1].releases_at, None);
    }

    #[test]
    fn a_long_pause_is_cut_to_the_mean() {
        let tasks = [
            task(0, Some(10)),
            task(1_000_000, Some(1_000_010)),
            task(1_000_020, Some(1_000_030)),
        ];
        let planned = compressed(&tasks, Duration::from_secs(100));
        assert!(
            planned[1].books_at > Duration::from_secs(90),
            "the pause is the longest thing there is"
        );
        let rest = planned[2].books_at - planned[1].books_at;
        assert!(
            rest > Duration::from_millis(5),
            "and leaves room for the rest: {rest:?}"
        );
    }

    #[test]
    fn no_tasks_and_tasks_at_one_instant_are_no_trouble() {
        assert!(compressed(&[], Duration::from_secs(1)).is_empty());
        let planned = compressed(&[task(5, Some(5))], Duration::from_secs(1));
        assert_eq!(planned[0].books_at, Duration::ZERO);
        assert_eq!(planned[0].releases_at, Some(Duration::ZERO));
    }
}
