//! Every interleaving of fills, events, evictions and takeovers on what is shipped, and mutants that must be noticed.
//!
//! `shuttle` switches threads where a place is held or let go, and before every call of the residents; what happens inside
//! one such call is `quick_cache`'s own matter.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;

use cache_core::{BarrierStamp, LocalLimits, Version};
use shuttle::scheduler::DfsScheduler;
use shuttle::sync::{Mutex, MutexGuard};
use shuttle::{Config, FailurePersistence, Runner, thread};

use super::*;
use crate::residents::Residents;
use crate::slots::Held;

type Explored = Ordered<SteppedSlots, SteppedResidents>;

/// One table under one lock, which the explorer hands out.
#[derive(Default)]
struct SteppedSlots(Mutex<HashMap<CacheKey, Slot>>);

struct SteppedHeld<'t> {
    table: MutexGuard<'t, HashMap<CacheKey, Slot>>,
    key: CacheKey,
}

impl Slots for SteppedSlots {
    type Held<'t> = SteppedHeld<'t>;

    fn hold(&self, key: &CacheKey) -> SteppedHeld<'_> {
        SteppedHeld {
            table: self
                .0
                .lock()
                .expect("no explored thread panics while it holds the table"),
            key: key.clone(),
        }
    }

    fn count(&self) -> u64 {
        self.0
            .lock()
            .expect("no explored thread panics while it holds the table")
            .len() as u64
    }
}

impl Held for SteppedHeld<'_> {
    fn slot(&mut self) -> Option<&mut Slot> {
        self.table.get_mut(&self.key)
    }

    fn put(mut self, slot: Slot) -> Option<Slot> {
        self.table.insert(self.key.clone(), slot)
    }

    fn take(mut self) -> Option<Slot> {
        self.table.remove(&self.key)
    }
}

/// The shipped residents, with a step before each call at which others may come in between.
struct SteppedResidents {
    residents: Residents,
    steps: shuttle::sync::atomic::AtomicU64,
}

impl SteppedResidents {
    fn next(&self) -> &Residents {
        self.steps.fetch_add(1, Ordering::SeqCst);
        &self.residents
    }
}

impl Residency for SteppedResidents {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.next().read(key)
    }

    fn peek(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        self.next().peek(key)
    }

    fn insert(&self, key: &CacheKey, entry: Arc<Entry>, discarded: &mut Discarded) {
        self.next().insert(key, entry, discarded);
    }

    fn replace(&self, key: &CacheKey, entry: Arc<Entry>, discarded: &mut Discarded) {
        self.next().replace(key, entry, discarded);
    }

    fn remove_older(&self, key: &CacheKey, seq: Seq, discarded: &mut Discarded) -> bool {
        self.next().remove_older(key, seq, discarded)
    }

    fn clear(&self) {
        self.next().clear();
    }

    fn entries(&self) -> u64 {
        self.next().entries()
    }

    fn bytes(&self) -> u64 {
        self.next().bytes()
    }

    fn encoded_bytes(&self) -> u64 {
        self.next().encoded_bytes()
    }
}

/// Runs a scenario in every order there is.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    let orders = Runner::new(DfsScheduler::new(None, false), config).run(scenario);
    assert!(orders > 10, "only {orders} orders: nothing came in between");
}

/// Whether some order breaks a scenario.
fn breaks(scenario: impl Fn() + Send + Sync + 'static) -> bool {
    catch_unwind(AssertUnwindSafe(|| explore(scenario))).is_err()
}

fn memory(max_entries: u64) -> Arc<Explored> {
    let limits = LocalLimits {
        max_bytes: 1_000,
        max_entries,
    };
    let residents = SteppedResidents {
        residents: Residents::new(limits),
        steps: shuttle::sync::atomic::AtomicU64::new(0),
    };
    Arc::new(Ordered::new(SteppedSlots::default(), residents))
}

fn key(id: u64) -> CacheKey {
    CacheKey::from_wire(format!("test:id={id}"))
}

fn entry(as_of: u64) -> Arc<Entry> {
    Arc::new(Entry {
        value: None,
        version: Version {
            seq: Seq(as_of),
            ..Version::default()
        },
        as_of: Seq(as_of),
        generation: 0,
        born: Moment::NEVER,
        fresh_until: Moment::FOREVER,
        usable_until: Moment::FOREVER,
        refresh_from: Moment::FOREVER,
        tags: Arc::new([]),
        stamp: BarrierStamp::default(),
        checked_epoch: AtomicU64::new(0),
        refreshing: AtomicBool::new(false),
        weight: 10,
        encoded: 5,
    })
}

fn begin(memory: &Explored, now: u64, rendezvous: &Arc<dyn Any + Send + Sync>) -> Begun {
    let flight = Flight {
        generation: 0,
        join_until: Moment::from_nanos(10),
        rendezvous: Arc::clone(rendezvous),
    };
    memory.begin(&key(1), Moment::from_nanos(now), flight)
}

fn lead(memory: &Explored) -> Ticket {
    match begin(memory, 0, &nobody()) {
        Begun::Lead(ticket) => ticket,
        Begun::Join(_) => panic!("nothing is under way yet"),
    }
}

fn nobody() -> Arc<dyn Any + Send + Sync> {
    Arc::new(())
}

/// A fetch that read what was current before the event, and reads again as often as it is told to.
fn fetch(memory: &Explored, ticket: Ticket, finish: Finish) {
    let mut as_of = 1;
    while let Finished::Superseded { floor } = finish(memory, &key(1), ticket, entry(as_of)) {
        as_of = floor.0;
    }
}

type Finish = fn(&Explored, &CacheKey, Ticket, Arc<Entry>) -> Finished;
type Supersede = fn(&Explored, &CacheKey, Seq);

fn shipped_finish(memory: &Explored, key: &CacheKey, ticket: Ticket, entry: Arc<Entry>) -> Finished {
    memory.finish(key, ticket, Some(entry))
}

fn shipped_supersede(memory: &Explored, key: &CacheKey, seq: Seq) {
    memory.supersede(key, seq, Replacement::None);
}

/// The same decision, but the place is let go before it is acted on.
fn finish_outside_of_the_lock(
    memory: &Explored,
    key: &CacheKey,
    ticket: Ticket,
    entry: Arc<Entry>,
) -> Finished {
    let floor = {
        let mut held = memory.slots.hold(key);
        held.slot().and_then(|slot| slot.floor_above(entry.version.seq))
    };
    match floor {
        Some(floor) => Finished::Superseded { floor },
        None => {
            memory.install(key, &entry, &mut Discarded::default());
            memory.finish(key, ticket, None)
        }
    }
}

/// The same two acts, each for itself: what is resident goes before the running fill is told.
fn supersede_in_two_acts(memory: &Explored, key: &CacheKey, seq: Seq) {
    memory.residents.remove_older(key, seq, &mut Discarded::default());
    if let Some(slot) = memory.slots.hold(key).slot() {
        slot.supersede(seq);
    }
}

fn a_fill_meets_an_event(finish: Finish, supersede: Supersede) -> impl Fn() + Send + Sync + 'static {
    move || {
        let memory = memory(8);
        let ticket = lead(&memory);
        let filling = Arc::clone(&memory);
        let filling = thread::spawn(move || fetch(&filling, ticket, finish));
        supersede(&memory, &key(1), Seq(2));
        filling.join().expect("the fetch ends");
        let resident = memory.read(&key(1));
        assert!(
            resident.as_ref().is_none_or(|entry| entry.as_of >= Seq(2)),
            "{resident:?} is resident after an event at 2"
        );
        assert_eq!(memory.usage().in_flight, 0);
    }
}

#[test]
fn in_no_order_of_a_fill_and_an_event_is_anything_older_than_the_event_left() {
    explore(a_fill_meets_an_event(shipped_finish, shipped_supersede));
}

#[test]
fn a_fill_that_is_checked_outside_of_the_lock_is_noticed() {
    assert!(breaks(a_fill_meets_an_event(
        finish_outside_of_the_lock,
        shipped_supersede
    )));
}

#[test]
fn an_event_that_holds_nothing_while_it_acts_is_noticed() {
    assert!(breaks(a_fill_meets_an_event(
        shipped_finish,
        supersede_in_two_acts
    )));
}

#[test]
fn in_no_order_of_two_events_with_values_and_a_fill_does_an_older_value_win() {
    explore(|| {
        let memory = memory(8);
        let ticket = lead(&memory);
        let [filling, telling] = [(); 2].map(|()| Arc::clone(&memory));
        let threads = [
            thread::spawn(move || fetch(&filling, ticket, shipped_finish)),
            thread::spawn(move || {
                telling.supersede(&key(1), Seq(2), Replacement::IfResident(entry(2)));
            }),
        ];
        memory.supersede(&key(1), Seq(3), Replacement::Always(entry(3)));
        for thread in threads {
            thread.join().expect("it ends");
        }
        let resident = memory.read(&key(1)).expect("what was written is resident");
        assert_eq!(resident.as_of, Seq(3));
        let usage = memory.usage();
        assert_eq!((usage.entries, usage.bytes, usage.in_flight), (1, 10, 0));
    });
}

#[test]
fn in_no_order_is_a_fill_joined_at_the_end_of_its_time_and_the_one_who_lost_the_slot_puts_nothing_in() {
    let seen = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let recorded = Arc::clone(&seen);
    explore(move || {
        let memory = memory(8);
        let ticket = lead(&memory);
        let old = Arc::clone(&memory);
        let old = thread::spawn(move || old.finish(&key(1), ticket, Some(entry(1))));
        // Exactly the moment until which the fill could be joined.
        let Begun::Lead(new) = begin(&memory, 10, &nobody()) else {
            panic!("a reader joined at the very end");
        };
        let old = old.join().expect("it ends");
        let resident = memory.read(&key(1)).is_some();
        assert_eq!(resident, old == Finished::Installed, "{old:?}");
        assert_eq!(memory.usage().in_flight, 1, "the new fill keeps its slot");
        assert_eq!(memory.finish(&key(1), new, Some(entry(2))), Finished::Installed);
        assert_eq!(memory.read(&key(1)).map(|entry| entry.as_of), Some(Seq(2)));
        recorded.lock().expect("not poisoned").insert(format!("{old:?}"));
    });
    let seen = seen.lock().expect("not poisoned");
    assert_eq!(*seen, ["Installed", "NotYours"].map(str::to_owned).into());
}

#[test]
fn a_moment_earlier_a_reader_joins_in_every_order_in_which_the_fill_is_still_under_way() {
    let seen = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let recorded = Arc::clone(&seen);
    explore(move || {
        let memory = memory(8);
        let rendezvous = nobody();
        let Begun::Lead(ticket) = begin(&memory, 0, &rendezvous) else {
            panic!("nothing is under way yet");
        };
        let other = Arc::clone(&memory);
        let event = thread::spawn(move || {
            other.supersede(&key(1), Seq(2), Replacement::None);
        });
        let joined = match begin(&memory, 9, &nobody()) {
            Begun::Join(joined) => {
                assert!(Arc::ptr_eq(&joined, &rendezvous));
                true
            }
            Begun::Lead(_) => false,
        };
        event.join().expect("it ends");
        let finished = memory.finish(&key(1), ticket, Some(entry(2)));
        assert_eq!(finished == Finished::Installed, joined, "{finished:?}");
        recorded.lock().expect("not poisoned").insert(joined);
    });
    assert_eq!(*seen.lock().expect("not poisoned"), [false, true].into());
}

#[test]
fn in_no_order_of_eviction_event_and_clearing_is_the_sum_of_weights_wrong() {
    explore(|| {
        let memory = memory(1);
        memory.supersede(&key(1), Seq(1), Replacement::Always(entry(1)));
        let [evicting, clearing] = [(); 2].map(|()| Arc::clone(&memory));
        let threads = [
            thread::spawn(move || {
                evicting.supersede(&key(2), Seq(1), Replacement::Always(entry(1)));
            }),
            thread::spawn(move || clearing.clear()),
        ];
        memory.supersede(&key(1), Seq(2), Replacement::IfResident(entry(2)));
        for thread in threads {
            thread.join().expect("it ends");
        }
        let usage = memory.usage();
        assert!(usage.entries <= 1, "{usage:?}");
        assert_eq!(usage.bytes, 10 * usage.entries);
        let resident = memory.read(&key(1));
        assert!(resident.is_none_or(|entry| entry.as_of == Seq(2)));
    });
}
