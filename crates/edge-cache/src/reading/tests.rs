//! Every interleaving of a look into memory with what changes its answer: an event, the heartbeat after it, and time. Over what
//! is shipped, and mutants that must be noticed.
//!
//! Others may come in between at each call of memory and of the clock. Only one thread takes the lane's locks, since it may
//! be interrupted while it holds them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock};

use cache_core::{
    BarrierStamp, ChangedKey, Clock, EventId, EventOp, Finished, Head, Key, Lineage, LocalLimits, LocalStore,
    LocalStores, LocalUsage, Namespace, Replacement, ServerId, ShardCount, Ticket, Version, WireEvent,
};
use cache_l1::MemoryStores;
use cache_memory::Hub;
use event_bus::{Source, Timing};
use shuttle::scheduler::DfsScheduler;
use shuttle::{Config, FailurePersistence, Runner, thread};

use super::*;
use crate::{EdgeCache, Ports};

const VALUES: Namespace<u64> = Namespace::new("values", Policy::event_driven(Duration::from_secs(60)));
const TIMING: Timing = Timing {
    lease: Duration::from_nanos(100),
    deadline: Duration::from_nanos(100),
};
const START: u64 = 1_000;
const SERVER: ServerId = ServerId(1);
const LINEAGE: Lineage = Lineage(1);

/// Tries every order; returns how many there are.
fn explore(scenario: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    Runner::new(DfsScheduler::new(None, false), config).run(scenario)
}

/// What some order breaks a scenario with.
fn breach(scenario: impl Fn() + Send + Sync + 'static) -> String {
    let broken = catch_unwind(AssertUnwindSafe(|| explore(scenario))).expect_err("some order breaks it");
    let words = broken.downcast::<String>().expect("words");
    *words
}

/// What a reader does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mutant {
    None,
    /// It looks for the entry first, then at the lease.
    EntryBeforeLease,
    /// It compares the lease with a moment that another task keeps up to date.
    ClockOfATask,
}

/// Time, with a step at which others may come in before it is compared with a lease.
struct Ticking {
    now: AtomicU64,
    kept: AtomicU64,
    mutant: Mutant,
}

impl Ticking {
    fn pass(&self, nanos: u64) {
        self.now.fetch_add(nanos, Ordering::SeqCst);
        thread::yield_now();
        self.kept.store(self.now.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Clock for Ticking {
    fn now(&self) -> Moment {
        Moment::from_nanos(self.now.load(Ordering::SeqCst))
    }

    fn ceiling(&self, _deadline: Moment) -> Moment {
        thread::yield_now();
        match self.mutant {
            Mutant::ClockOfATask => Moment::from_nanos(self.kept.load(Ordering::SeqCst)),
            Mutant::None | Mutant::EntryBeforeLease => self.now(),
        }
    }

    fn unix_millis(&self) -> u64 {
        0
    }
}

/// Memory, with a step before and after each call at which others may come in.
struct Stepping {
    memory: Arc<dyn LocalStore>,
    /// What a reader found before it asked for the lease.
    found: Mutex<Option<Option<Arc<Entry>>>>,
}

struct SteppingStores(OnceLock<Arc<Stepping>>);

impl LocalStores for SteppingStores {
    fn open(&self, namespace: &'static str, limits: LocalLimits) -> Arc<dyn LocalStore> {
        let stepping = || {
            Arc::new(Stepping {
                memory: MemoryStores.open(namespace, limits),
                found: Mutex::default(),
            })
        };
        Arc::clone(self.0.get_or_init(stepping)) as _
    }
}

impl Stepping {
    fn step<T>(&self, act: impl FnOnce(&dyn LocalStore) -> T) -> T {
        thread::yield_now();
        let answer = act(&*self.memory);
        thread::yield_now();
        answer
    }
}

impl LocalStore for Stepping {
    fn read(&self, key: &CacheKey) -> Option<Arc<Entry>> {
        let found = self.found.lock().expect("not poisoned").take();
        found.unwrap_or_else(|| self.step(|memory| memory.read(key)))
    }

    fn begin(&self, key: &CacheKey, now: Moment, flight: Flight) -> Begun {
        self.memory.begin(key, now, flight)
    }

    fn finish(&self, key: &CacheKey, ticket: Ticket, entry: Option<Arc<Entry>>) -> Finished {
        self.memory.finish(key, ticket, entry)
    }

    fn supersede(&self, key: &CacheKey, seq: Seq, replacement: Replacement) -> bool {
        self.step(|memory| memory.supersede(key, seq, replacement))
    }

    fn clear(&self) {
        self.step(LocalStore::clear);
    }

    fn usage(&self) -> LocalUsage {
        self.memory.usage()
    }
}

/// A node that holds version 1 of a key under a lease.
struct Scene {
    engine: Engine,
    clock: Arc<Ticking>,
    memory: Arc<Stepping>,
    key: Key<u64>,
    /// When version 2 was published.
    published: OnceLock<Moment>,
}

impl Scene {
    fn new(mutant: Mutant) -> Arc<Self> {
        let clock = Arc::new(Ticking {
            now: START.into(),
            kept: START.into(),
            mutant,
        });
        let (stores, endpoint) = (
            Arc::new(SteppingStores(OnceLock::new())),
            Arc::new(Hub::builder().build().endpoint("node")),
        );
        let mut ports = Ports::new(stores.clone(), endpoint.clone(), endpoint);
        ports.clock = clock.clone();
        let builder = EdgeCache::builder(ports).timing(TIMING).spot_checks(0);
        let scene = Self {
            engine: builder.namespace(&VALUES).assemble(),
            clock,
            memory: Arc::clone(stores.0.get().expect("opened")),
            key: VALUES.key(&[("id", &1)]),
            published: OnceLock::new(),
        };
        scene.beat(1);
        scene.hold(1);
        Arc::new(scene)
    }

    /// A heartbeat: the head of the key's shard is this one.
    fn beat(&self, seq: u64) {
        let lane = self.engine.lane(self.key.shard(ShardCount::DEFAULT));
        let head = |seq| Head {
            lineage: LINEAGE,
            seq: Seq(seq),
            id: EventId(seq),
            floor: Seq::ZERO,
            mark: cache_core::ServerMark(0),
        };
        let shards = [
            (self.key.shard(ShardCount::DEFAULT), seq),
            (Shard::barriers(lane.lane()), 1),
        ];
        let asked = shards.map(|(shard, seq)| (shard, head(seq), lane.probe(shard)));
        for (shard, head, probe) in asked {
            thread::yield_now();
            lane.observe(shard, &probe, Source::Bus, SERVER, Some(head));
        }
    }

    /// Puts a version into memory.
    fn hold(&self, seq: u64) {
        let entry = Entry {
            value: None,
            generation: self
                .engine
                .lane(self.key.shard(ShardCount::DEFAULT))
                .generation(self.key.shard(ShardCount::DEFAULT)),
            checked_epoch: 0.into(),
            fresh_until: Moment::FOREVER,
            born: self.clock.now(),
            refresh_from: Moment::FOREVER,
            usable_until: Moment::FOREVER,
            version: Version {
                lineage: LINEAGE,
                seq: Seq(seq),
            },
            as_of: Seq(seq),
            stamp: BarrierStamp {
                lineage: LINEAGE,
                seq: Seq(1),
            },
            tags: Arc::from([]),
            weight: 1,
            encoded: 1,
            refreshing: false.into(),
        };
        self.memory
            .memory
            .supersede(self.key.raw(), Seq(seq), Replacement::Always(Arc::new(entry)));
    }

    /// Version 2 is published, and its event comes, unless it is lost.
    fn publish(&self, lost: bool) {
        self.published.set(self.clock.now()).expect("once");
        thread::yield_now();
        if !lost {
            self.engine
                .lane(self.key.shard(ShardCount::DEFAULT))
                .hear([WireEvent {
                    shard: self.key.shard(ShardCount::DEFAULT),
                    lineage: LINEAGE,
                    seq: Seq(2),
                    id: EventId(2),
                    prev: EventId(1),
                    origin: cache_core::RegionId::HERE,
                    op: EventOp::Changed(vec![ChangedKey {
                        key: self.key.raw().clone(),
                        record: None,
                    }]),
                }]);
        }
    }

    /// Whoever is shown version 1 began less than a lease after it was superseded, and is not told that it is newer.
    fn read(&self) {
        let began = self.clock.now();
        if self.clock.mutant == Mutant::EntryBeforeLease {
            let found = self.memory.step(|memory| memory.read(self.key.raw()));
            *self.memory.found.lock().expect("not poisoned") = Some(found);
        }
        let namespace = &self.engine.memory.namespaces[0];
        let look = self
            .engine
            .look(namespace, self.key.raw(), self.key.shard(ShardCount::DEFAULT));
        let (Look::Hit(answer), Some(published)) = (look, self.published.get()) else {
            return;
        };
        if answer.entry.version.seq < Seq(2) {
            assert!(
                began < *published + TIMING.lease,
                "{published:?} is missing at {began:?}"
            );
            assert!(
                answer.since <= *published,
                "it calls itself as new as {:?}",
                answer.since
            );
        }
    }
}

/// One reader; an event and the heartbeat after it; time that passes, more than a lease in all.
fn a_change(mutant: Mutant, lost: bool) {
    let scene = Scene::new(mutant);
    let spawn = |act: fn(&Scene, bool)| {
        let scene = Arc::clone(&scene);
        thread::spawn(move || act(&scene, lost))
    };
    let others = [
        spawn(|scene, lost| {
            scene.publish(lost);
            scene.beat(2);
        }),
        spawn(|scene, _| {
            scene.clock.pass(60);
            scene.clock.pass(60);
        }),
    ];
    scene.read();
    for other in others {
        other.join().expect("no thread panics");
    }
}

#[test]
fn whatever_comes_in_between_nothing_is_shown_that_the_lease_does_not_cover() {
    for lost in [false, true] {
        let orders = explore(move || a_change(Mutant::None, lost));
        assert!(orders > 1_000, "only {orders} orders: nothing came in between");
    }
}

#[test]
fn an_entry_that_is_looked_up_before_the_lease_is_noticed() {
    let breach = breach(|| a_change(Mutant::EntryBeforeLease, false));
    assert!(breach.contains("calls itself as new as"), "{breach}");
}

#[test]
fn a_lease_that_is_compared_with_what_another_task_knows_of_the_time_is_noticed() {
    let breach = breach(|| a_change(Mutant::ClockOfATask, true));
    assert!(breach.contains("is missing at"), "{breach}");
}
