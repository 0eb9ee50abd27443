//! GPU hosts of a cluster, one row a host.
//!
//! A host says nothing about prices, regions or providers.

use std::io::Read;

use super::table::{Fields, FileProblem, Ingested, Row, RowProblem, read_table};
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
/// names the source in errors.
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

    fn read(fields: &Fields<'_>) -> Result<Option<Self>, RowProblem> {
        let expected = "a number of GPUs up to 64";
        let gpus: u32 = fields.value("gpu", expected)?;
        if gpus > MOST_GPUS_PER_HOST {
            return Err(fields.problem("gpu", expected));
        }
        if gpus == 0 {
            return Ok(None);
        }
        // Room is left for a GPU's number behind the host's name.
        let name = fields.text("sn");
        if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
            return Err(fields.problem("sn", "a name of 1 to 100 bytes without control characters"));
        }
        Ok(Some(Self {
            name: name.to_owned(),
            gpus,
            model: fields.value("model", "a GPU model")?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            .map(|problem| (problem.line, problem.column))
            .collect();
        assert_eq!(columns, [(3, "gpu"), (5, "sn"), (6, "model")]);
    }
}
