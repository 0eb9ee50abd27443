//! What the server holds about GPUs and bookings, read as one state.
//!
//! It decides nothing and writes nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use marketplace::bookings::Timeline;
use marketplace::{Booking, BookingId, Fence, GpuId, StoreTime};
use redis::{FromRedisValue, Script, Value};

use crate::fault::Fault;
use crate::keys::Keys;
use crate::link::Link;
use crate::packed::{self, GpuRecord};

/// One state of the store, as far as it was asked for.
pub(crate) struct Loaded {
    /// By the server's clock.
    pub(crate) now: StoreTime,
    /// What stands under the request's key, as it is stored.
    pub(crate) answer: Option<Vec<u8>>,
    /// The named bookings there are.
    pub(crate) named: Vec<Booking>,
    /// The GPUs, with those of the named bookings.
    pub(crate) gpus: BTreeMap<GpuId, LoadedGpu>,
}

/// A GPU and the bookings of it that stand around the instant that was asked about.
pub(crate) struct LoadedGpu {
    /// As it is stored; empty when the GPU is unknown.
    pub(crate) seen: Vec<u8>,
    pub(crate) record: GpuRecord,
    pub(crate) standing: Vec<Booking>,
    /// Whether there may be later ones than these.
    pub(crate) is_cut: bool,
}

impl LoadedGpu {
    /// Its timeline over what stands and what of it was named.
    ///
    /// Fences go on from the server's clock: should it lose grants, later ones have higher fences all the same.
    pub(crate) fn timeline(&self, named: &[Booking], now: StoreTime) -> Timeline {
        let clock = u64::try_from(now.as_millis()).unwrap_or_default();
        let fence = Fence(self.record.fence.0.max(clock));
        let bookings = self.standing.iter().chain(named).cloned();
        Timeline::loaded(fence, self.record.price, bookings)
    }
}

/// What to load.
pub(crate) struct Wanted<'a> {
    /// Where the answer to a request stands.
    pub(crate) answer_field: &'a [u8],
    pub(crate) named: Vec<&'a BookingId>,
    pub(crate) gpus: Vec<&'a GpuId>,
    /// From this instant on.
    pub(crate) from: StoreTime,
    pub(crate) extent: Extent,
}

/// How much of what stands from an instant on to load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The next few: all there is on most GPUs, and little where there is much.
    Near,
    All,
}

const NEAR: i64 = 16;

static LOAD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("load.lua")));

type Timelines = Vec<(Vec<u8>, Option<Vec<u8>>, i64, Vec<Value>)>;

/// Loads.
pub(crate) async fn load(link: &Link, keys: &Keys, wanted: &Wanted<'_>) -> Result<Loaded, Fault> {
    let limit = match wanted.extent {
        Extent::Near => NEAR,
        Extent::All => -1,
    };
    let mut script = LOAD.prepare_invoke();
    for key in [&keys.gpus, &keys.bookings, &keys.standing, &keys.answers] {
        script.key(key);
    }
    script
        .arg(wanted.answer_field)
        .arg(&packed::instant(packed::after(wanted.from)))
        .arg(limit)
        .arg(wanted.named.len());
    for id in &wanted.named {
        script.arg(id.as_str());
    }
    for gpu in &wanted.gpus {
        script.arg(gpu.as_str());
    }
    let (seconds, micros, answer, named, timelines): (i64, i64, Option<Vec<u8>>, Vec<Value>, Timelines) =
        link.reading_script(&script).await?;
    let mut gpus = BTreeMap::new();
    for (gpu, seen, later, standing) in timelines {
        let (gpu, loaded) = timeline(&gpu, seen, standing, later == limit)?;
        gpus.insert(gpu, loaded);
    }
    Ok(Loaded {
        now: StoreTime::from_millis(seconds.saturating_mul(1_000).saturating_add(micros / 1_000)),
        answer,
        named: bookings(named)?,
        gpus,
    })
}

fn timeline(
    gpu: &[u8],
    seen: Option<Vec<u8>>,
    standing: Vec<Value>,
    is_cut: bool,
) -> Result<(GpuId, LoadedGpu), Fault> {
    let unreadable =
        |error: &dyn std::fmt::Display| Fault::Unreadable(format!("a GPU's name cannot be read: {error}"));
    let name = std::str::from_utf8(gpu).map_err(|error| unreadable(&error))?;
    let loaded = LoadedGpu {
        record: seen.as_deref().map_or(Ok(GpuRecord::UNKNOWN), GpuRecord::read)?,
        seen: seen.unwrap_or_default(),
        standing: bookings(standing)?,
        is_cut,
    };
    Ok((GpuId::new(name).map_err(|error| unreadable(&error))?, loaded))
}

fn bookings(values: Vec<Value>) -> Result<Vec<Booking>, Fault> {
    let read = |value| match value {
        Value::Nil => Err(Fault::Unreadable("a booking that stands is missing".to_owned())),
        value => packed::read_booking(&Vec::<u8>::from_redis_value(value).map_err(redis::RedisError::from)?),
    };
    values.into_iter().map(read).collect()
}
