//! Hosts and tasks made up from a seed, for when no files are given.
//!
//! It imitates the shape of a production cluster, not its figures: many small tasks, few large ones, and enough of
//! them at once that some models become scarce and their prices move.

use marketplace::ingest::{Host, Task};
use marketplace::{GpuModel, StoreTime};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// Hosts: some six thousand GPUs, as in the reference cluster.
const HOSTS: usize = 1_200;
/// Tasks that begin within [`DAY`].
const TASKS: usize = 5_000;
/// The time they are spread over, in seconds.
const DAY: i64 = 24 * 60 * 60;
/// GPUs of a task: one in ten has more than one.
const SIZES: [u32; 20] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 8];
/// The mean length of a task, in seconds: at four hours, a thousand GPUs or so are taken at any time.
const MEAN_LENGTH: f64 = 4.0 * 3600.0;

/// Models, GPUs of one host, and how many of a hundred hosts have them.
const MODELS: [(&str, u32, u32); 6] = [
    ("G2", 8, 44),
    ("T4", 2, 34),
    ("G3", 8, 4),
    ("P100", 2, 10),
    ("V100M32", 8, 4),
    ("V100M16", 8, 4),
];

/// Hosts with GPUs.
///
/// # Errors
/// Never, as long as the table above holds names.
pub fn hosts(seed: u64) -> Result<Vec<Host>, String> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let host = |number| {
        let (model, gpus) = drawn(rng.random_range(0..100));
        let model = GpuModel::new(model).map_err(|error| error.to_string())?;
        Ok(Host {
            name: format!("host-{number:04}"),
            gpus,
            model,
        })
    };
    (0..HOSTS).map(host).collect()
}

/// Tasks in the order they are booked.
pub fn tasks(seed: u64) -> Vec<Task> {
    // Another stream than that of the hosts, so that neither depends on how many the other has.
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x7461_736b);
    let mut starts: Vec<i64> = (0..TASKS).map(|_| rng.random_range(0..DAY * 1_000)).collect();
    starts.sort_unstable();
    let task = |(number, booked): (usize, i64)| {
        let uniform: f64 = rng.random_range(f64::EPSILON..1.0);
        // Truncation to whole milliseconds is the clock's grain.
        let length = (-uniform.ln() * MEAN_LENGTH * 1_000.0) as i64;
        Task {
            name: format!("task-{number:04}"),
            gpus: SIZES[rng.random_range(0..SIZES.len())],
            booked: StoreTime::from_millis(booked),
            released: Some(StoreTime::from_millis(booked + length)),
        }
    };
    starts.into_iter().enumerate().map(task).collect()
}

fn drawn(mut percent: u32) -> (&'static str, u32) {
    for (model, gpus, share) in MODELS {
        if percent < share {
            return (model, gpus);
        }
        percent -= share;
    }
    (MODELS[0].0, MODELS[0].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_market_and_another_seed_another() {
        assert_eq!(hosts(1), hosts(1));
        assert_ne!(hosts(1), hosts(2));
        assert_eq!(tasks(1), tasks(1));
        assert_ne!(tasks(1), tasks(2));
    }

    #[test]
    fn the_shares_of_the_models_are_a_hundred_hosts() {
        assert_eq!(MODELS.iter().map(|(_, _, share)| share).sum::<u32>(), 100);
        let gpus: u32 = hosts(1).unwrap().iter().map(|host| host.gpus).sum();
        assert!((5_000..8_000).contains(&gpus), "{gpus}");
    }
}
