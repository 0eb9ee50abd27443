//! What a memory must be able to do to appear in the table.
//!
//! The loops are generic over it, so that no measured access pays for dynamic dispatch that its users would not.

use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::timing::stopwatch;

/// Bytes of every value.
pub(crate) const VALUE: usize = 256;

/// A value. Everyone hands out something that can be kept: an `Arc`, or a handle of the same price.
pub(crate) type Value = Arc<[u8; VALUE]>;

/// A memory under test. Keys are given as numbers below the `keys` of [`Contender::new`].
pub(crate) trait Contender: Send + Sync + Sized + 'static {
    /// As it stands in the table.
    const NAME: &'static str;
    /// What can be measured.
    const SCOPE: Scope = Scope::Everything;

    /// An empty memory for `capacity` entries.
    fn new(keys: usize, capacity: usize) -> Self;

    /// Looks a key up and touches the value. Returns something that depends on it.
    fn hit(&self, key: usize) -> Option<u8>;

    /// Builds the key from its text, a value, and puts them in.
    fn fill(&self, key: usize);
}

/// What can be measured of a contender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Times, memory and hit ratios.
    Everything,
    /// Times of hits, and memory: it never evicts.
    Hits,
    /// Times of hits: its process holds more than the memory under test.
    HitTimes,
}

/// The text of a key.
pub(crate) fn text(key: usize) -> String {
    format!("gpu_pricing:id={key:08}")
}

/// A new value that depends on its key.
pub(crate) fn value(key: usize) -> Value {
    Arc::new([key.to_le_bytes()[0]; VALUE])
}

/// A contender whose type has been forgotten.
pub(crate) trait AnyContender {
    fn name(&self) -> &'static str;
    fn scope(&self) -> Scope;
    /// A memory that holds the keys `0..held`.
    fn open(&self, keys: usize, capacity: usize, held: usize) -> Box<dyn Runner>;
}

/// One memory under test.
pub(crate) trait Runner {
    /// Time in which each of `threads` looks all of `trace` up.
    fn hits(&self, trace: &[u32], threads: usize) -> Duration;
    /// Time to fill all of `keys`.
    fn fills(&self, keys: &[u32]) -> Duration;
    /// Hits when what is missed is filled.
    fn simulate(&self, trace: &[u32]) -> usize;
}

/// Makes an [`AnyContender`] of a [`Contender`].
pub(crate) struct Field<C>(PhantomData<C>);

impl<C: Contender> Field<C> {
    pub(crate) fn boxed() -> Box<dyn AnyContender> {
        Box::new(Self(PhantomData))
    }
}

impl<C: Contender> AnyContender for Field<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn scope(&self) -> Scope {
        C::SCOPE
    }

    fn open(&self, keys: usize, capacity: usize, held: usize) -> Box<dyn Runner> {
        let contender = C::new(keys, capacity);
        (0..held).for_each(|key| contender.fill(key));
        Box::new(Open(contender))
    }
}

struct Open<C>(C);

impl<C: Contender> Runner for Open<C> {
    fn hits(&self, trace: &[u32], threads: usize) -> Duration {
        let start = Barrier::new(threads);
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|thread| {
                    // Each one starts elsewhere, so that they do not walk in step.
                    let (second, first) = trace.split_at(trace.len() / threads * thread);
                    let (start, contender) = (&start, &self.0);
                    scope.spawn(move || {
                        start.wait();
                        stopwatch(|| {
                            let mut sum = 0_u64;
                            for key in first.iter().chain(second) {
                                sum +=
                                    u64::from(contender.hit(*key as usize).expect("every key is resident"));
                            }
                            black_box(sum);
                        })
                    })
                })
                .collect();
            let times = running
                .into_iter()
                .map(|thread| thread.join().expect("no thread panics"));
            times.max().expect("there is a thread")
        })
    }

    fn fills(&self, keys: &[u32]) -> Duration {
        stopwatch(|| keys.iter().for_each(|key| self.0.fill(*key as usize)))
    }

    fn simulate(&self, trace: &[u32]) -> usize {
        let mut hits = 0;
        for key in trace {
            match self.0.hit(*key as usize) {
                Some(_) => hits += 1,
                None => self.0.fill(*key as usize),
            }
        }
        hits
    }
}
