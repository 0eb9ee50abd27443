//! Bytes of memory per entry, measured from outside: the growth of a process that does nothing else.
//!
//! Linux only. It counts what the allocator takes, not what was asked for.

use std::process::Command;

use crate::contender::{AnyContender, VALUE, text};

const KEYS: usize = 100_000;

/// Bytes per entry beyond the text of the key and the value. `None` where it can not be measured.
pub(crate) fn overhead_in_child(name: &str) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new(program).args(["--memory-of", name]).output().ok()?;
    let per_entry: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(per_entry - (text(0).len() + VALUE) as f64)
}

/// In the child: fills a memory and prints the bytes per entry.
pub(crate) fn report(contenders: &[Box<dyn AnyContender>], name: &str) {
    let Some(contender) = contenders.iter().find(|contender| contender.name() == name) else {
        return;
    };
    let Some(before) = resident_bytes() else {
        return;
    };
    // It is told of no keys to look up: these would count.
    let full = contender.open(0, KEYS * 2, KEYS);
    if let Some(after) = resident_bytes() {
        println!("{}", (after - before) / KEYS as f64);
    }
    drop(full);
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}
