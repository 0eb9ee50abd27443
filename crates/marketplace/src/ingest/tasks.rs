//! Tasks that took GPUs of a cluster: when each was booked and when it was given back.
//!
//! Which GPU a task ran on is not in the table.

use std::io::Read;

use super::report::{FileProblem, Ingested};
use super::table::{Fields, Row, read_table};
use crate::{Interval, StoreTime};

/// One task, as a booking in the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// The GPUs it asked for, at least one.
    pub gpus: u32,
    /// When it was booked.
    pub booked: StoreTime,
    /// When it was released or cancelled; `None` while it runs.
    pub released: Option<StoreTime>,
}

impl Task {
    /// From booking to release; `None` while it runs, or when it was cancelled at the instant it was booked.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        Interval::new(self.booked, self.released?).ok()
    }
}

/// Reads tasks from a table with the columns `name`, `num_gpu`, `creation_time` and `deletion_time`, the times in
/// seconds and the last of them possibly empty. Tasks without GPUs are passed over; of two tasks of one name the second is
/// a problem. `file` names the source in errors.
///
/// # Errors
/// When the file cannot be read, has no rows, or lacks a column.
///
/// ```
/// let table = "name,num_gpu,creation_time,deletion_time\npod-0,1,0,60\npod-1,0,0,60\npod-2,8,5,\n";
/// let tasks = marketplace::ingest::read_tasks(table.as_bytes(), "tasks.csv")?;
/// assert_eq!(tasks.rows.len(), 2);
/// assert_eq!(tasks.rows[0].interval().map(|interval| interval.millis()), Some(60_000));
/// assert_eq!(tasks.rows[1].released, None);
/// # Ok::<(), marketplace::ingest::FileProblem>(())
/// ```
pub fn read_tasks(source: impl Read, file: &str) -> Result<Ingested<Task>, FileProblem> {
    read_table(source, file)
}

impl Row for Task {
    const COLUMNS: &'static [&'static str] = &["name", "num_gpu", "creation_time", "deletion_time"];
    const UNIQUE: Option<&'static str> = Some("name");

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let gpus: Option<u32> = fields.value("num_gpu", "a number of GPUs");
        if gpus == Some(0) {
            return None;
        }
        let booked = seconds(fields, "creation_time");
        let released = match fields.text("deletion_time") {
            "" => Some(None),
            _ => seconds(fields, "deletion_time").map(Some),
        };
        if let (Some(booked), Some(Some(released))) = (booked, released)
            && released < booked
        {
            return fields.problem("deletion_time", "a time not before creation_time");
        }
        Some(Self {
            name: fields.text("name").to_owned(),
            gpus: gpus?,
            booked: booked?,
            released: released?,
        })
    }
}

fn seconds(fields: &mut Fields<'_>, column: &str) -> Option<StoreTime> {
    let expected = "a time in whole seconds";
    let seconds: i64 = fields.value(column, expected)?;
    match seconds.checked_mul(1000) {
        Some(millis) => Some(StoreTime::from_millis(millis)),
        None => fields.problem(column, expected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_are_none_or_run_backwards_are_problems() {
        let table =
            "name,num_gpu,creation_time,deletion_time\na,1,x,2\nb,1,5,4\nc,1,5,5\nd,1,9223372036854775807,\n";
        let tasks = read_tasks(table.as_bytes(), "tasks.csv").unwrap();
        let columns: Vec<_> = tasks
            .problems
            .iter()
            .map(|problem| (problem.line, problem.column.as_str()))
            .collect();
        assert_eq!(
            columns,
            [(2, "creation_time"), (3, "deletion_time"), (5, "creation_time")]
        );
        assert_eq!(tasks.rows[0].interval(), None, "cancelled as it was booked");
    }
}
