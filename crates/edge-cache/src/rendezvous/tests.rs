//! Interleavings of readers that lead, join and go away, over what is shipped, and mutants that must be noticed.
//!
//! A reader that waits for ever is a deadlock to the explorer. It tries so many orders of each scenario as drawn from one
//! seed, since readers that may go away at any moment have too many to try all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::future::{Either, select};
use shuttle::future::{block_on, yield_now};
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, FailurePersistence, Runner, thread};

use super::*;
use crate::sync::explored::Threads;

/// Orders tried of each scenario: a second on a slow machine, and many times what the rarest mutant needs.
const ORDERS: usize = 4_000;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    Runner::new(RandomScheduler::new_from_seed(7, ORDERS), config).run(scenario);
}

fn breaks(scenario: impl Fn() + Send + Sync + 'static) -> bool {
    catch_unwind(AssertUnwindSafe(|| explore(scenario))).is_err()
}

/// Says that the fetch was dropped, unless it came to its end: as a fill does.
struct Ending(Arc<Rendezvous>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.complete(FillOutcome::Dropped);
    }
}

/// A fetch with waits in it.
async fn work(ending: Ending) {
    yield_now().await;
    yield_now().await;
    ending.0.complete(FillOutcome::Absent);
}

fn lead(rendezvous: &Arc<Rendezvous>, threads: &Threads) {
    rendezvous.begin(work(Ending(Arc::clone(rendezvous))), threads);
}

/// How long a reader waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    ToTheEnd,
    /// It goes away at any moment, or has its answer by then.
    Little,
}

type Join = fn(&Rendezvous, &Threads);

fn shipped_join(rendezvous: &Rendezvous, threads: &Threads) {
    rendezvous.join(threads);
}

fn wait(rendezvous: &Arc<Rendezvous>, threads: &Threads, patience: Patience) {
    let waiting = rendezvous.wait(threads);
    match patience {
        Patience::ToTheEnd => drop(block_on(waiting)),
        Patience::Little => block_on(async {
            let impatience = async {
                for _ in 0..thread_rng().gen_range(0..4) {
                    yield_now().await;
                }
            };
            futures_util::pin_mut!(waiting, impatience);
            match select(waiting, impatience).await {
                Either::Left(_) | Either::Right(_) => {}
            }
        }),
    }
}

/// One who leads and others who join, each with its patience; at the end the fetch has ended in some way.
fn readers(leader: Patience, joiners: &'static [Patience], join: Join) -> impl Fn() + Send + Sync + 'static {
    move || {
        let (rendezvous, threads) = (Arc::new(Rendezvous::default()), Arc::new(Threads::default()));
        let joining: Vec<_> = joiners
            .iter()
            .map(|patience| {
                let (rendezvous, threads) = (Arc::clone(&rendezvous), Arc::clone(&threads));
                thread::spawn(move || {
                    // The slot is open to others before there is anything to work at.
                    join(&rendezvous, &threads);
                    wait(&rendezvous, &threads, *patience);
                })
            })
            .collect();
        lead(&rendezvous, &threads);
        wait(&rendezvous, &threads, leader);
        for reader in joining {
            reader.join().expect("a reader ends");
        }
        threads.join();
        assert!(rendezvous.outcome.get().is_some(), "nobody waits, and it goes on");
    }
}

#[test]
fn one_who_joins_gets_an_answer_even_if_the_leader_goes_away() {
    explore(readers(Patience::Little, &[Patience::ToTheEnd], shipped_join));
}

#[test]
fn one_who_joins_gets_an_answer_even_if_everybody_else_goes_away() {
    explore(readers(
        Patience::Little,
        &[Patience::Little, Patience::ToTheEnd],
        shipped_join,
    ));
}

#[test]
fn a_reader_who_goes_away_before_the_work_begins_does_not_take_back_that_another_joined() {
    explore(|| {
        let (rendezvous, threads) = (Arc::new(Rendezvous::default()), Arc::new(Threads::default()));
        rendezvous.join(&*threads);
        drop(rendezvous.place());
        // The other one joined before that, and comes to wait only now.
        let (other, others) = (Arc::clone(&rendezvous), Arc::clone(&threads));
        let other = thread::spawn(move || wait(&other, &others, Patience::ToTheEnd));
        lead(&rendezvous, &threads);
        wait(&rendezvous, &threads, Patience::Little);
        other.join().expect("the reader ends");
        threads.join();
    });
}

#[test]
fn whoever_stays_gets_an_answer() {
    explore(readers(
        Patience::ToTheEnd,
        &[Patience::Little, Patience::Little],
        shipped_join,
    ));
}

#[test]
fn a_fetch_that_everybody_went_away_from_is_dropped() {
    explore(readers(Patience::Little, &[Patience::Little], shipped_join));
}

#[test]
fn a_fetch_that_is_wanted_anyway_comes_to_its_end() {
    explore(|| {
        let (rendezvous, threads) = (Arc::new(Rendezvous::default()), Arc::new(Threads::default()));
        let (other, others) = (Arc::clone(&rendezvous), Arc::clone(&threads));
        let refresh = thread::spawn(move || other.want_anyway(&*others));
        lead(&rendezvous, &threads);
        let place = rendezvous.place();
        refresh.join().expect("it ends");
        drop(place);
        threads.join();
        assert!(matches!(rendezvous.outcome.get(), Some(FillOutcome::Absent)));
    });
}

#[test]
fn a_reader_who_joins_and_does_not_say_so_is_noticed() {
    assert!(breaks(readers(
        Patience::Little,
        &[Patience::ToTheEnd],
        |_rendezvous, _threads| {}
    )));
}

#[test]
fn a_reader_who_looks_before_it_listens_is_noticed() {
    assert!(breaks(|| {
        let rendezvous = Arc::new(Rendezvous::default());
        let ending = Arc::clone(&rendezvous);
        let ending = thread::spawn(move || ending.complete(FillOutcome::Absent));
        if rendezvous.outcome.get().is_none() {
            block_on(rendezvous.ended.notified());
        }
        ending.join().expect("it ends");
    }));
}
