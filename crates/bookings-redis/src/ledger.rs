//! What the server says: one booking, who has these GPUs, when they are free, what changed since.
//!
//! It writes nothing, not even that a hold has lapsed.

use std::sync::LazyLock;

use marketplace::bookings::{Timeline, free_times, occupancies};
use marketplace::{
    Booking, BookingId, Change, Changes, Completeness, Cursor, GpuId, Interval, Occupancy, StoreTime,
};
use redis::Script;

use crate::fault::Fault;
use crate::loaded::{Extent, Loaded, LoadedGpu, Wanted, load};
use crate::packed;
use crate::store::Server;

static CHANGES: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("changes.lua")));

/// The booking of that name, as it stands now.
pub(crate) async fn booking(server: &Server, id: &BookingId) -> Result<Option<Booking>, Fault> {
    let wanted = Wanted {
        answer_field: &[],
        named: vec![id],
        gpus: vec![],
        from: StoreTime::END,
        extent: Extent::Near,
    };
    let state = load(&server.reading, &server.keys, &wanted).await?;
    let now = server.time(state.now);
    Ok(state.named.into_iter().next().map(|booking| Booking {
        state: booking.state_at(now),
        ..booking
    }))
}

/// Who has each of `gpus` at `at`.
pub(crate) async fn occupied(
    server: &Server,
    gpus: &[GpuId],
    at: StoreTime,
) -> Result<Vec<Occupancy>, Fault> {
    // Holds that have lapsed by then are passed over, so the next booking may be further than what is near.
    let is_enough = |gpu: &LoadedGpu, timeline: &Timeline| !gpu.is_cut || timeline.at(at).1.is_some();
    let state = around(server, gpus, at, is_enough).await?;
    Ok(occupancies(gpus, standing(state), at))
}

/// When each of `gpus` is free within `window`.
pub(crate) async fn free(
    server: &Server,
    gpus: &[GpuId],
    window: &Interval,
) -> Result<Vec<Vec<Interval>>, Fault> {
    let reaches = |gpu: &LoadedGpu| {
        let last = gpu.standing.last();
        last.is_some_and(|last| last.interval.start() >= window.end())
    };
    let is_enough = |gpu: &LoadedGpu, _: &Timeline| !gpu.is_cut || reaches(gpu);
    let state = around(server, gpus, window.start(), is_enough).await?;
    let now = server.time(state.now);
    Ok(free_times(gpus, standing(state), window, now))
}

fn standing(state: Loaded) -> Vec<Booking> {
    state.gpus.into_values().flat_map(|gpu| gpu.standing).collect()
}

/// What stands around an instant: what is near if that is enough for every GPU, else all of it.
async fn around(
    server: &Server,
    gpus: &[GpuId],
    from: StoreTime,
    is_enough: impl Fn(&LoadedGpu, &Timeline) -> bool,
) -> Result<Loaded, Fault> {
    let mut wanted = Wanted {
        answer_field: &[],
        named: vec![],
        gpus: gpus.iter().collect(),
        from,
        extent: Extent::Near,
    };
    let near = load(&server.reading, &server.keys, &wanted).await?;
    let enough = near
        .gpus
        .values()
        .all(|gpu| is_enough(gpu, &gpu.timeline(&[], from)));
    if enough {
        return Ok(near);
    }
    wanted.extent = Extent::All;
    load(&server.reading, &server.keys, &wanted).await
}

/// Changes after `cursor`.
pub(crate) async fn changes(server: &Server, cursor: Cursor, limit: usize) -> Result<Changes, Fault> {
    let (keys, from) = (&server.keys, format!("{}-0", cursor.0.saturating_add(1)));
    let mut script = CHANGES.prepare_invoke();
    script.key(&keys.log).key(&keys.head).arg(from);
    // A limit of no rows at all is no count the server knows.
    script.arg(limit.clamp(1, 1 << 20));
    let (found, first, appended): (Entries, Entries, Option<u64>) =
        server.reading.reading_script(&script).await?;
    let mut rows = Vec::new();
    for (number, entry) in numbered(found)?.into_iter().take(limit) {
        let (at, kind, booking) = packed::read_change(&entry)?;
        rows.push(Change {
            cursor: Cursor(number),
            at,
            kind,
            booking,
        });
    }
    let appended = appended.unwrap_or_default();
    let first = numbered(first)?
        .first()
        .map_or(appended.saturating_add(1), |(number, _)| *number);
    // A reader that is past the end has seen what the server has lost since.
    let has_lost = appended < cursor.0;
    let lagged = has_lost || cursor.0.saturating_add(1) < first;
    Ok(Changes {
        next: rows.last().map_or(cursor.min(Cursor(appended)), |row| row.cursor),
        rows,
        completeness: if lagged {
            Completeness::Lagged
        } else {
            Completeness::Complete
        },
    })
}

/// Entries of the log: their ids, and their only field with its value.
type Entries = Vec<(String, (String, Vec<u8>))>;

fn numbered(found: Entries) -> Result<Vec<(u64, Vec<u8>)>, Fault> {
    let number = |(id, (_, change)): (String, (String, Vec<u8>))| {
        let number = id.split('-').next().and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| Fault::Unreadable(format!("change {id} has no number")));
        number.map(|number| (number, change))
    };
    found.into_iter().map(number).collect()
}
