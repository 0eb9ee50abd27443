//! Tables of hosts, offers and tasks as somebody else exported them; the first byte says which.
//!
//! It opens no market from them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use marketplace::ingest::{OfferBook, read_hosts, read_offers, read_tasks};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, table)) = bytes.split_first() else {
        return;
    };
    match which % 3 {
        0 => drop(read_hosts(table, "hosts.csv").map_err(|problem| problem.to_string())),
        1 => {
            if let Ok(read) = read_offers(table, "offers.csv") {
                drop(OfferBook::of(&read.rows));
                read.problems.iter().for_each(|problem| drop(problem.to_string()));
            }
        }
        _ => {
            if let Ok(read) = read_tasks(table, "tasks.csv") {
                for task in &read.rows {
                    let _ = task.interval();
                }
                read.problems.iter().for_each(|problem| drop(problem.to_string()));
            }
        }
    }
});
