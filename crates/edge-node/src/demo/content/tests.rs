//! Tests of the second judge, with statuses that were true and statuses that were made up.
//!
//! No cache and no store takes part.

use marketplace::{
    Booking, BookingState, Currency, Cursor, Fence, Interval, Money, PriceVersion, Quote, StoreClock as _,
    StoreTime, UserId,
};

use super::*;

const BOUND: Duration = Duration::from_secs(3);

struct Scene {
    clock: MarketClock,
    start: StoreTime,
    changes: Vec<Change>,
    told: HashMap<BookingId, Told>,
}

impl Scene {
    /// A GPU booked after one second and given back after ten, both told two milliseconds later.
    fn new() -> Self {
        let clock = MarketClock::start();
        let start = clock.now();
        let mut scene = Self {
            clock,
            start,
            changes: Vec::new(),
            told: HashMap::new(),
        };
        scene.change(ChangeKind::Held, 1_000);
        scene.change(ChangeKind::Confirmed, 1_001);
        scene.change(ChangeKind::Cancelled, 10_000);
        let told = Told {
            taken: Some(scene.at(1_002)),
            freed: Some(scene.at(10_002)),
        };
        scene.told.insert(BookingId::new("b").unwrap(), told);
        scene
    }

    fn store(&self, millis: i64) -> StoreTime {
        StoreTime::from_millis(self.start.as_millis() + millis)
    }

    fn at(&self, millis: i64) -> Moment {
        self.clock.moment(self.store(millis))
    }

    fn change(&mut self, kind: ChangeKind, millis: i64) {
        let price = Money::from_micros(1, Currency::USD);
        let booking = Booking {
            id: BookingId::new("b").unwrap(),
            gpu: GpuId::new("g").unwrap(),
            user: UserId::new("u").unwrap(),
            interval: Interval::new(self.store(0), self.store(100_000)).unwrap(),
            state: BookingState::Confirmed,
            quote: Quote {
                price_per_hour: price,
                version: PriceVersion::FIRST,
            },
            total_cost: price,
            created: self.store(millis),
            fence: Fence(1),
        };
        let cursor = Cursor(self.changes.len() as u64 + 1);
        self.changes.push(Change {
            cursor,
            at: self.store(millis),
            kind,
            booking,
        });
    }

    fn violations(&self, gpu: &str, status: GpuStatus, began: i64, ended: i64) -> u64 {
        let (began, ended) = (self.at(began), self.at(ended));
        let sighting = Sighting {
            gpu: GpuId::new(gpu).unwrap(),
            status,
            began,
            ended,
        };
        compare(&self.changes, &self.told, &[sighting], &self.clock, BOUND).violations
    }
}

#[test]
fn a_status_may_be_shown_while_it_is_true_and_for_the_bound_after_that() {
    let scene = Scene::new();
    assert_eq!(scene.violations("g", GpuStatus::Available, 500, 501), 0);
    assert_eq!(scene.violations("g", GpuStatus::Busy, 1_100, 1_101), 0);
    assert_eq!(
        scene.violations("g", GpuStatus::Available, 4_000, 4_001),
        0,
        "a bound ago it was free"
    );
    assert_eq!(
        scene.violations("g", GpuStatus::Busy, 13_000, 13_001),
        0,
        "a bound ago it was taken"
    );
    assert_eq!(scene.violations("other", GpuStatus::Available, 9_000, 9_001), 0);
}

#[test]
fn a_fabricated_status_is_found() {
    let scene = Scene::new();
    assert_eq!(
        scene.violations("g", GpuStatus::Busy, 500, 501),
        1,
        "before it was taken"
    );
    assert_eq!(
        scene.violations("g", GpuStatus::Available, 4_100, 4_101),
        1,
        "free longer ago than the bound"
    );
    assert_eq!(
        scene.violations("g", GpuStatus::Busy, 13_100, 13_101),
        1,
        "taken longer ago than the bound"
    );
    assert_eq!(
        scene.violations("g", GpuStatus::Offline, 1_100, 1_101),
        1,
        "never"
    );
    assert_eq!(
        scene.violations("other", GpuStatus::Busy, 9_000, 9_001),
        1,
        "never booked"
    );
}

#[test]
fn a_change_that_could_not_be_told_ends_nothing_until_a_later_one_is_told() {
    let mut scene = Scene::new();
    let id = BookingId::new("b").unwrap();
    let freed = scene.at(10_002);
    scene.told.insert(
        id.clone(),
        Told {
            taken: None,
            freed: Some(freed),
        },
    );
    assert_eq!(
        scene.violations("g", GpuStatus::Available, 9_000, 9_001),
        0,
        "nobody could know"
    );
    scene.told.insert(id, Told::default());
    assert_eq!(
        scene.violations("g", GpuStatus::Busy, 90_000, 90_001),
        0,
        "bounded by its TTL alone"
    );
}
