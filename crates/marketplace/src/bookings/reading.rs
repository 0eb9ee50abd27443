//! What a ledger answers about GPUs, from the bookings of them that it found.
//!
//! It finds none itself: which bookings matter, each function says.

use std::collections::HashMap;

use super::{Occupancy, Timeline};
use crate::{Booking, Fence, GpuId, Interval, PriceVersion, StoreTime};

/// Who has each of `gpus` at `at`, in their order. `found` are the bookings that matter, in any order: of each GPU the last
/// standing one that starts no later, and the first after it that has not lapsed by then.
///
/// ```
/// use marketplace::{GpuId, StoreTime};
/// let gpus = [GpuId::new("gpu-1")?];
/// let occupied = marketplace::bookings::occupancies(&gpus, vec![], StoreTime::from_millis(0));
/// assert_eq!((&occupied[0].gpu, &occupied[0].holder), (&gpus[0], &None));
/// # Ok::<(), marketplace::NameError>(())
/// ```
#[must_use]
pub fn occupancies(gpus: &[GpuId], found: Vec<Booking>, at: StoreTime) -> Vec<Occupancy> {
    let mut found = by_gpu(found);
    let occupancy = |gpu: &GpuId| {
        let (holder, changes_at) = timeline(&mut found, gpu).at(at);
        Occupancy {
            gpu: gpu.clone(),
            holder,
            changes_at,
        }
    };
    gpus.iter().map(occupancy).collect()
}

/// When each of `gpus` is free within `window`, in their order, as things stand at `now`. `found` are the standing bookings of
/// them that overlap the window, in any order.
///
/// ```
/// use marketplace::{GpuId, Interval, StoreTime};
/// let (gpus, at) = ([GpuId::new("gpu-1")?], StoreTime::from_millis);
/// let window = Interval::new(at(0), at(10))?;
/// assert_eq!(marketplace::bookings::free_times(&gpus, vec![], &window, at(0)), [[window]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn free_times(
    gpus: &[GpuId],
    found: Vec<Booking>,
    window: &Interval,
    now: StoreTime,
) -> Vec<Vec<Interval>> {
    let mut found = by_gpu(found);
    let free = |gpu: &GpuId| timeline(&mut found, gpu).free(window, now);
    gpus.iter().map(free).collect()
}

fn by_gpu(bookings: Vec<Booking>) -> HashMap<GpuId, Vec<Booking>> {
    let mut of_gpu = HashMap::<GpuId, Vec<Booking>>::new();
    for booking in bookings {
        of_gpu.entry(booking.gpu.clone()).or_default().push(booking);
    }
    of_gpu
}

/// A GPU that is asked about twice is answered twice.
fn timeline(found: &mut HashMap<GpuId, Vec<Booking>>, gpu: &GpuId) -> Timeline {
    let bookings = found.get(gpu).cloned().unwrap_or_default();
    Timeline::loaded(Fence(0), PriceVersion::FIRST, bookings)
}
