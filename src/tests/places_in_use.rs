//! Places on threads that come and go, and the memory that takes.

use super::places::{peek, taken, waiting};
use super::tools::{Random, Wakes, alone, in_time, on_wake, start};
use crate::model::{self, PlaceTurn, Places};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

/// More than may lie about at any time, beside those who wait.
const FLAT: usize = 15;

/// What several threads do with so many places.
fn stress(threads: usize, count: usize, rounds: usize) {
    in_time(move || {
        let places = Arc::new(Places::new(count));
        let inside = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..threads)
            .map(|seed| {
                let (places, inside) = (places.clone(), inside.clone());
                start(move || work(&places, &inside, count, rounds, seed))
            })
            .collect();
        let served: usize = workers.into_iter().map(|t| t.join().unwrap()).sum();
        assert!(served >= threads * rounds / 4, "{served}");
        assert_eq!(inside.load(SeqCst), 0);
        for _ in 0..count {
            assert!(places.try_take(), "a place is lost");
        }
        assert!(!places.try_take(), "there are too many");
    });
}

fn work(places: &Places, inside: &AtomicUsize, count: usize, rounds: usize, seed: usize) -> usize {
    let mut random = Random::new(seed as u64 + 1);
    let mut served = 0;
    let me = thread::current();
    let waker = on_wake(move || me.unpark());
    for _ in 0..rounds {
        let has_place = match random.below(4) {
            0 => places.try_take(),
            // Waits a little, then goes, unless it is served before.
            1 => {
                let mut turn = PlaceTurn::new();
                let polls = random.below(4);
                let served = (0..=polls).any(|_| {
                    let (_, other) = Wakes::new();
                    turn.poll(places, &other)
                });
                turn.give_up(places);
                served
            }
            // Waits for as long as it takes: hangs if a wake-up is lost.
            _ => {
                let mut turn = PlaceTurn::new();
                while !turn.poll(places, &waker) {
                    thread::park();
                }
                true
            }
        };
        if has_place {
            served += 1;
            let now = inside.fetch_add(1, SeqCst) + 1;
            assert!(now <= count, "{now} in {count} places");
            for _ in 0..random.below(50) {
                std::hint::spin_loop();
            }
            inside.fetch_sub(1, SeqCst);
            places.give_back();
        }
    }
    served
}

// V22, T28: on threads that come, wait and go at random there are never more at
// once than places, and everybody who stays is served.
#[test]
fn two_threads_never_exceed_the_places_and_are_all_served() {
    stress(2, 1, 100_000);
}

// V22, T28.
#[test]
fn four_threads_never_exceed_the_places_and_are_all_served() {
    for count in 1..4 {
        stress(4, count, 30_000);
    }
}

// V22, K12: waits that give up while the place is held leave little, and so they
// do among others that stay; nothing is left in the end.
#[test]
fn waits_that_give_up_leave_the_heap_flat() {
    alone(
        "tests::places_in_use::waits_that_give_up_leave_the_heap_flat",
        || {
            let before = model::live_objects();
            let places = taken(1);
            for stay in [0, 1, 1_000] {
                let mut turns: Vec<_> = (0..stay).map(|_| waiting(&places)).collect();
                for _ in 0..300_000 {
                    // One goes while it is new, one when it is in the queue.
                    let (mut first, wakes) = waiting(&places);
                    let (mut second, _) = waiting(&places);
                    first.give_up(&places);
                    assert_eq!(Arc::strong_count(&wakes), 1);
                    second.give_up(&places);
                    let live = model::live_objects() - before;
                    assert!(live <= stay + FLAT, "{live}");
                }
                let mut many: Vec<_> = (0..1_000).map(|_| waiting(&places)).collect();
                for (turn, _) in &mut many {
                    turn.give_up(&places);
                }
                assert!(model::live_objects() - before <= stay + FLAT);
                for (turn, wakes) in &mut turns {
                    places.give_back();
                    assert_eq!(wakes.count(), 1);
                    assert!(peek(turn, &places));
                }
            }
            drop(places);
            assert_eq!(model::live_objects(), before);
        },
    );
}

// V22, K12: the same on threads, which may work on the queue while others come.
#[test]
fn waits_that_give_up_on_threads_leave_nothing() {
    alone(
        "tests::places_in_use::waits_that_give_up_on_threads_leave_nothing",
        || {
            let before = model::live_objects();
            let places = taken(1);
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let places = places.clone();
                    start(move || {
                        for _ in 0..200_000 {
                            waiting(&places).0.give_up(&places);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(model::live_objects() - before <= FLAT);
            drop(places);
            assert_eq!(model::live_objects(), before);
        },
    );
}
