//! GPU hosts of a cluster, one row a host.
//!
//! A host says nothing about prices, regions or providers.

use std::io::Read;

use super::report::{FileProblem, Ingested};
use super::table::{Fields, Row, read_table};
use crate::GpuModel;

/// The most GPUs one host may have: four times the largest server built, so that a slipped digit does not become a
/// billion GPUs.
pub const MOST_GPUS_PER_HOST: u32 = 64;

/// One host with GPUs of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its serial name.
    pub name: String,
    /// Its GPUs, at least one.
    pub gpus: u32,
    /// Their model.
    pub model: GpuModel,
}

/// Reads hosts from a table with the columns `sn`, `gpu` and `model`; hosts without GPUs are passed over. `file`
/// names the source in errors. Of two hosts of one name the second is a problem.
///
/// # Errors
/// When the file cannot be read, has no rows, or lacks a column.
///
/// ```
/// let table = "sn,cpu_milli,memory_mib,gpu,model\nnode-0,64000,262144,2,P100\nnode-1,64000,262144,?,P100\n";
/// let hosts = marketplace::ingest::read_hosts(table.as_bytes(), "hosts.csv")?;
/// assert_eq!(hosts.rows[0].gpus, 2);
/// assert_eq!(hosts.problems[0].line, 3);
/// # Ok::<(), marketplace::ingest::FileProblem>(())
/// ```
pub fn read_hosts(source: impl Read, file: &str) -> Result<Ingested<Host>, FileProblem> {
    read_table(source, file)
}

impl Row for Host {
    const COLUMNS: &'static [&'static str] = &["sn", "gpu", "model"];
    const UNIQUE: Option<&'static str> = Some("sn");

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let expected = "a number of GPUs up to 64";
        let gpus: Option<u32> = fields.value("gpu", expected);
        if gpus == Some(0) {
            return None;
        }
        let gpus = match gpus {
            Some(gpus) if gpus > MOST_GPUS_PER_HOST => fields.problem("gpu", expected),
            gpus => gpus,
        };
        // Room is left for a GPU's number behind the host's name.
        let name = match fields.text("sn") {
            name if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) => {
                fields.problem("sn", "a name of 1 to 100 bytes without control characters")
            }
            name => Some(name.to_owned()),
        };
        let model = fields.model("model");
        Some(Self {
            name: name?,
            gpus: gpus?,
            model: model?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_model_are_one_model_and_told_once_each() {
        let table = "sn,gpu,model\na,1,RTX 4090\nb,1,RTX_4090\nc,1,RTX4090\nd,1,RTX 4090\n";
        let hosts = read_hosts(table.as_bytes(), "hosts.csv").unwrap();
        assert!(hosts.rows.iter().all(|host| host.model.as_str() == "RTX4090"));
        let told: Vec<String> = hosts.adjustments.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "hosts.csv: line 2: model \"RTX 4090\" is read as RTX4090, in 2 rows",
                "hosts.csv: line 3: model \"RTX_4090\" is read as RTX4090, in 1 row",
            ]
        );
    }

    #[test]
    fn a_host_that_is_listed_twice_costs_its_second_row_alone() {
        let table = "SN,GPU,Model\na,1,T4\na,2,T4\nb,0,T4\nb,1,T4\n";
        let hosts = read_hosts(table.as_bytes(), "hosts.csv").unwrap();
        let read: Vec<_> = hosts
            .rows
            .iter()
            .map(|host| (host.name.as_str(), host.gpus))
            .collect();
        assert_eq!(read, [("a", 1), ("b", 1)]);
        assert_eq!(hosts.problems.len(), 1);
        assert_eq!(
            hosts.problems[0].to_string(),
            "hosts.csv: line 3: sn is \"a\", expected a value of its own: line 2 has it already"
        );
    }

    #[test]
    fn a_host_without_gpus_is_passed_over_and_one_with_a_billion_is_a_problem() {
        let table = "sn,gpu,model\na,0,\nb,1000000000,T4\nc,64,T4\n,1,T4\nd,1,\n";
        let hosts = read_hosts(table.as_bytes(), "hosts.csv").unwrap();
        assert_eq!(
            hosts
                .rows
                .iter()
                .map(|host| host.name.as_str())
                .collect::<Vec<_>>(),
            ["c"]
        );
        let columns: Vec<_> = hosts
            .problems
            .iter()
            .map(|problem| (problem.line, problem.column.as_str()))
            .collect();
        assert_eq!(columns, [(3, "gpu"), (5, "sn"), (6, "model")]);
    }
}
