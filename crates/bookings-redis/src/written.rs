//! What a decision brought about, written in one step, if nothing it was decided over has changed since.
//!
//! It decides nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use marketplace::bookings::{Timeline, Transition};
use marketplace::{Booking, BookingState, ChangeKind, GpuId, StoreTime};
use redis::{Script, ScriptInvocation};

use crate::fault::Fault;
use crate::keys::Keys;
use crate::loaded::LoadedGpu;
use crate::packed;
use crate::store::Server;

/// The answer to a request, to be remembered under its key.
pub(crate) struct Answer {
    pub(crate) field: Vec<u8>,
    pub(crate) decided: StoreTime,
    /// What stood there when it was decided; empty for nothing.
    pub(crate) seen: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// A GPU's record, before and after.
pub(crate) struct Moved<'a> {
    pub(crate) gpu: &'a GpuId,
    pub(crate) seen: &'a [u8],
    pub(crate) record: Vec<u8>,
}

static COMMIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("commit.lua")));

/// The records of the GPUs that `transitions` changed, as they are to be.
pub(crate) fn moved<'a>(
    gpus: &'a BTreeMap<GpuId, LoadedGpu>,
    timelines: &BTreeMap<GpuId, Box<Timeline>>,
    transitions: &[Transition],
    now: StoreTime,
) -> Result<Vec<Moved<'a>>, Fault> {
    let mut all = Vec::new();
    for (gpu, loaded) in gpus {
        let mut record = loaded.record;
        for transition in transitions.iter().filter(|(_, booking)| booking.gpu == *gpu) {
            record = record.after(&packed::change(now, transition)?);
            record.decided = now;
        }
        if record == loaded.record {
            continue;
        }
        if let Some(timeline) = timelines.get(gpu) {
            record.fence = timeline.fence();
        }
        all.push(Moved {
            gpu,
            seen: &loaded.seen,
            record: record.bytes(),
        });
    }
    Ok(all)
}

/// What is written together, at one instant.
pub(crate) struct Decision<'a> {
    pub(crate) moved: &'a [Moved<'a>],
    pub(crate) answer: Option<&'a Answer>,
    pub(crate) transitions: &'a [Transition],
    pub(crate) now: StoreTime,
}

/// Writes; `false` when something had changed, and nothing was written. A server that does not answer, and one whose replicas
/// do not have it in time, leave it open.
pub(crate) async fn commit(server: &Server, decision: &Decision<'_>) -> Result<bool, Fault> {
    let script = invocation(&server.keys, server.settings.log_rows, decision)?;
    let replicas = server.settings.replicas;
    let written = match replicas {
        0 => server.deciding.script(&script).await.map(|written| (written, 0)),
        _ => {
            server
                .deciding
                .replicated_script(&COMMIT, &script, replicas)
                .await
        }
    };
    match written {
        Ok((true, having)) if having < replicas => Err(Fault::Open),
        Ok((written, _)) => Ok(written),
        Err(fault) if fault.leaves_it_open() => Err(Fault::Open),
        Err(fault) => Err(fault),
    }
}

fn invocation(
    keys: &Keys,
    log_rows: usize,
    decision: &Decision<'_>,
) -> Result<ScriptInvocation<'static>, Fault> {
    let Decision {
        moved,
        answer,
        transitions,
        now,
    } = *decision;
    let mut script = COMMIT.prepare_invoke();
    for key in keys.all() {
        script.key(key);
    }
    script.arg(moved.len());
    for Moved { gpu, seen, record } in moved {
        script.arg(gpu.as_str()).arg(*seen).arg(record);
    }
    match answer {
        Some(answer) => script
            .arg(&answer.field)
            .arg(&answer.seen)
            .arg(&answer.value)
            .arg(answer.decided.as_millis()),
        None => script.arg("").arg("").arg("").arg(""),
    };
    // A booking may change twice in one decision, and is written as it was left.
    let last: BTreeMap<_, &Transition> = transitions.iter().map(|change| (&change.1.id, change)).collect();
    let is_new = |booking: &Booking| {
        let granted = |(kind, other): &Transition| *kind == ChangeKind::Held && other.id == booking.id;
        transitions.iter().any(granted)
    };
    script.arg(last.len());
    for (_, booking) in last.into_values() {
        let lapses = match booking.state {
            BookingState::Held { until } => until.as_millis().to_string(),
            _ => String::new(),
        };
        let is_kept = booking.state.takes_its_interval();
        let over = if is_kept { booking.interval.end() } else { now };
        script
            .arg(booking.id.as_str())
            .arg(if is_new(booking) { "new" } else { "known" })
            .arg(packed::booking(booking)?)
            .arg(packed::member(booking))
            .arg(if is_kept { "stands" } else { "gone" })
            .arg(lapses)
            .arg(over.as_millis());
    }
    script.arg(log_rows);
    for transition in transitions {
        script.arg(packed::change(now, transition)?);
    }
    Ok(script)
}
