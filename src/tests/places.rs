//! Places and those who wait for one: order, counts, wakers.

use super::tools::{Hostile, Random, Wakes, in_time, message, on_small_stack, once};
use crate::model::{PlaceTurn, Places};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// So many places, all taken.
pub(super) fn taken(count: usize) -> Arc<Places> {
    let places = Arc::new(Places::new(count));
    for _ in 0..count {
        assert!(places.try_take());
    }
    places
}

/// A turn that waits, with its wakes.
pub(super) fn waiting(places: &Places) -> (PlaceTurn, Arc<Wakes>) {
    let (wakes, waker) = Wakes::new();
    let mut turn = PlaceTurn::new();
    assert!(!turn.poll(places, &waker));
    (turn, wakes)
}

pub(super) fn peek(turn: &mut PlaceTurn, places: &Places) -> bool {
    turn.poll(places, Waker::noop())
}

/// What `f` panics with.
fn panic_of(f: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(message(&*panic).to_owned())
}

// V22, T28: as many as there are, and no more.
#[test]
fn there_are_as_many_places_as_were_asked_for() {
    for count in [0, 1, 2, 100] {
        let places = Places::new(count);
        for round in 0..3 {
            for _ in 0..count {
                assert!(places.try_take(), "{round}");
            }
            assert!(!places.try_take());
            for _ in 0..count {
                places.give_back();
            }
        }
    }
    let endless = Places::new(usize::MAX);
    for _ in 0..1_000_000 {
        assert!(endless.try_take());
    }
}

// V22, T28: nobody overtakes, and who waited longest is first.
#[test]
fn places_go_to_those_who_wait_in_their_order() {
    let places = taken(1);
    let mut turns: Vec<_> = (0..100).map(|_| waiting(&places)).collect();
    for at in 0..turns.len() {
        places.give_back();
        assert!(!places.try_take(), "it would overtake");
        for (other, (_, wakes)) in turns.iter().enumerate() {
            assert_eq!(wakes.count(), usize::from(other <= at));
        }
        assert!(peek(&mut turns[at].0, &places));
    }
    places.give_back();
    assert!(places.try_take());
}

// V22: a place that was handed to one that gives up goes to the next.
#[test]
fn a_place_handed_to_one_that_gives_up_is_passed_on() {
    let places = taken(1);
    let mut turns: Vec<_> = (0..10).map(|_| waiting(&places)).collect();
    places.give_back();
    for (turn, wakes) in &mut turns {
        assert_eq!(wakes.count(), 1);
        turn.give_up(&places);
        turn.give_up(&places);
    }
    assert!(places.try_take());
    assert!(!places.try_take());
}

/// What one thread does with places, and what must come of it.
struct Reference {
    free: usize,
    held: usize,
    queue: VecDeque<usize>,
    /// Those who were handed a place and have not seen it.
    granted: Vec<usize>,
}

impl Reference {
    fn serve(&mut self) {
        while self.free > 0 {
            let Some(first) = self.queue.pop_front() else {
                break;
            };
            self.free -= 1;
            self.granted.push(first);
        }
    }

    /// Whether a poll of `turn` says that it has a place.
    fn poll(&mut self, turn: usize) -> bool {
        if let Some(at) = self.granted.iter().position(|&other| other == turn) {
            self.granted.swap_remove(at);
            self.held += 1;
            return true;
        }
        if !self.queue.contains(&turn) {
            if self.try_take() {
                return true;
            }
            self.queue.push_back(turn);
        }
        false
    }

    fn try_take(&mut self) -> bool {
        let takes = self.free > 0 && self.queue.is_empty();
        self.free -= usize::from(takes);
        self.held += usize::from(takes);
        takes
    }

    fn give_up(&mut self, turn: usize) {
        self.queue.retain(|&other| other != turn);
        if let Some(at) = self.granted.iter().position(|&other| other == turn) {
            self.granted.swap_remove(at);
            self.free += 1;
        }
        self.serve();
    }
}

// V22: whatever one thread does, it comes out as with a plain queue: who has a
// place, who was woken, and through which waker.
#[test]
fn places_do_what_a_plain_queue_would_do() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let count = random.below(4);
        let places = Places::new(count);
        let mut plain = Reference {
            free: count,
            held: 0,
            queue: VecDeque::new(),
            granted: Vec::new(),
        };
        let mut turns: Vec<_> = (0..40).map(|_| (PlaceTurn::new(), None)).collect();
        for step in 0..600 {
            let at = random.below(turns.len());
            let (turn, wakes) = &mut turns[at];
            match random.below(10) {
                0..5 => {
                    let (new, waker) = Wakes::new();
                    let had = plain.granted.contains(&at);
                    let ready = turn.poll(&places, &waker);
                    assert_eq!(ready, plain.poll(at), "{seed}, {step}");
                    assert_eq!(Arc::strong_count(&new), 2 + usize::from(!ready));
                    if let Some(old) = wakes.replace(new) {
                        assert_eq!(old.count(), usize::from(had));
                        assert_eq!(Arc::strong_count(&old), 1);
                    }
                    if ready {
                        *wakes = None;
                    }
                }
                5..7 => {
                    turn.give_up(&places);
                    plain.give_up(at);
                    *wakes = None;
                }
                7 => assert_eq!(places.try_take(), plain.try_take(), "{seed}, {step}"),
                _ if plain.held > 0 => {
                    plain.held -= 1;
                    plain.free += 1;
                    plain.serve();
                    places.give_back();
                }
                _ => {}
            }
            for (at, (_, wakes)) in turns.iter().enumerate() {
                let woken = wakes.as_ref().is_some_and(|wakes| wakes.count() == 1);
                assert_eq!(woken, plain.granted.contains(&at), "{seed}, {step}");
            }
        }
        for (turn, _) in &mut turns {
            turn.give_up(&places);
        }
    }
}

// V14, K10: a panic of one waker keeps no place and no wake-up from the others.
#[test]
fn a_panicking_waker_loses_no_place() {
    for panics_in in ["clone", "wake", "drop"] {
        let places = taken(1);
        let hostile = Hostile::new();
        let panic = || panic!("hostile");
        let hostile = match panics_in {
            "clone" => hostile.on_clone(once(panic)),
            "wake" => hostile.on_wake(once(panic)),
            _ => hostile.on_drop(once(panic)),
        };
        let waker = hostile.waker();
        let mut turn = PlaceTurn::new();
        let mut ready = true;
        let on_poll = panic_of(|| ready = turn.poll(&places, &waker));
        assert_eq!(on_poll.is_some(), panics_in == "clone");
        if on_poll.is_none() {
            assert!(!ready);
        } else {
            assert!(!turn.poll(&places, &waker), "all is as before");
        }
        let (mut next, wakes) = waiting(&places);
        let on_give = panic_of(|| places.give_back());
        assert_eq!(on_give.is_some(), panics_in == "wake");
        let on_give_up = panic_of(|| turn.give_up(&places));
        assert_eq!(on_give_up, None, "its waker was woken");
        assert_eq!(wakes.count(), 1);
        assert!(peek(&mut next, &places));
        places.give_back();
        assert!(places.try_take() && !places.try_take());
        if panics_in == "drop" {
            drop(catch_unwind(AssertUnwindSafe(|| drop(waker))));
        }
    }
}

// V14: the drop of a waker that is replaced, or of a wait that gives up, may
// panic: that comes out at the end.
#[test]
fn a_waker_whose_drop_panics_is_gone_all_the_same() {
    let places = taken(1);
    let hostile = || Hostile::new().on_drop(once(|| panic!("dropped"))).waker();
    let mut turn = PlaceTurn::new();
    let first = hostile();
    assert!(!turn.poll(&places, &first));
    let (wakes, last) = Wakes::new();
    let replaced = panic_of(|| assert!(!turn.poll(&places, &last)));
    assert_eq!(replaced.as_deref(), Some("dropped"));
    drop(first);
    let mut next = PlaceTurn::new();
    let other = hostile();
    assert!(!next.poll(&places, &other));
    let gone = panic_of(|| next.give_up(&places));
    assert_eq!(gone.as_deref(), Some("dropped"));
    drop(other);
    places.give_back();
    assert_eq!(wakes.count(), 1);
    assert!(peek(&mut turn, &places));
}

// V15, K10: whatever a waker does when it is cloned, woken or dropped, it may do
// it with the same places.
#[test]
fn a_waker_may_use_the_places_that_wake_it() {
    in_time(|| {
        let places = taken(1);
        let (inner, turns) = (places.clone(), Arc::new(Mutex::new(Vec::new())));
        let kept = turns.clone();
        let use_them = move || {
            let mut turn = PlaceTurn::new();
            if peek(&mut turn, &inner) {
                inner.give_back();
            }
            turn.give_up(&inner);
            if inner.try_take() {
                inner.give_back();
            }
            let mut stays = PlaceTurn::new();
            if peek(&mut stays, &inner) {
                inner.give_back();
            } else {
                kept.lock().unwrap().push(stays);
            }
        };
        let waker = Hostile::new()
            .on_clone(use_them.clone())
            .on_wake(use_them.clone())
            .on_drop(use_them)
            .waker();
        let mut one = PlaceTurn::new();
        assert!(!one.poll(&places, &waker));
        let mut two = PlaceTurn::new();
        assert!(!two.poll(&places, &waker));
        two.give_up(&places);
        // Each of those before is handed the place, and gives it back.
        for _ in 0..100 {
            places.give_back();
            let mut all = std::mem::take(&mut *turns.lock().unwrap());
            let served = all.iter_mut().any(|turn| peek(turn, &places));
            for turn in &mut all {
                turn.give_up(&places);
            }
            if !served {
                break;
            }
        }
        if !places.try_take() {
            assert!(peek(&mut one, &places));
        }
        places.give_back();
        one.give_up(&places);
        drop(waker);
        let mut all = std::mem::take(&mut *turns.lock().unwrap());
        all.iter_mut().for_each(|turn| turn.give_up(&places));
        assert!(places.try_take() && !places.try_take());
    });
}

// V8: each waker gives the place on, a hundred thousand times over, without a
// deeper stack.
#[test]
fn a_long_row_is_served_in_constant_stack() {
    on_small_stack(|| {
        let places = taken(1);
        let mut turns: Vec<_> = (0..100_000).map(|_| waiting(&places)).collect();
        for (turn, wakes) in &mut turns {
            places.give_back();
            assert_eq!(wakes.count(), 1);
            assert!(peek(turn, &places));
        }
    });
}
