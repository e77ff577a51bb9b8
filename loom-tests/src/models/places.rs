//! Places, those who wait for one, and those who stop waiting.

use crate::tools::{Shared, Wakes, race, race3};
use ctxtree::model::{PlaceTurn, Places, Witness};
use std::sync::Arc;
use std::task::Waker;

/// So many places, all taken.
fn taken(count: usize) -> Shared<Places> {
    let places = Places::new(count);
    for _ in 0..count {
        assert!(places.try_take());
    }
    Shared::new(places)
}

/// One who waits, and how often it was woken.
struct Waiting {
    turn: PlaceTurn,
    wakes: Arc<Wakes>,
    /// What its last poll said.
    ready: bool,
}

impl Waiting {
    fn new() -> Self {
        Self {
            turn: PlaceTurn::new(),
            wakes: Wakes::new(),
            ready: false,
        }
    }

    fn poll(&mut self, places: &Places) -> bool {
        assert!(!self.ready);
        let waker = Waker::from(self.wakes.clone());
        self.ready = self.turn.poll(places, &waker);
        self.ready
    }

    fn polled(places: &Places) -> Self {
        let mut waiting = Self::new();
        waiting.poll(places);
        waiting
    }

    /// It has a place, and has been told so.
    fn assert_served(&mut self, places: &Places) {
        if !self.ready {
            assert_eq!(self.wakes.count(), 1, "pending, so woken");
            assert!(self.poll(places), "woken, so it has a place");
        }
        self.assert_gone();
    }

    /// It gives up.
    fn give_up(&mut self, places: &Places) {
        self.turn.give_up(places);
    }

    fn assert_gone(&self) {
        assert!(self.wakes.count() <= 1, "woken at most once");
        assert_eq!(Arc::strong_count(&self.wakes), 1, "no waker is left");
    }
}

/// So many places are free, and nobody waits.
fn assert_free(places: &Places, count: usize) {
    for _ in 0..count {
        assert!(places.try_take(), "a place is lost");
    }
    assert!(!places.try_take(), "there are too many places");
}

pub(crate) fn place_take_vs_give() {
    let places = taken(1);
    let (giver, taker) = (places.clone(), places.clone());
    let before = Shared::new(Witness::new());
    let after = before.clone();
    let (took, ()) = race(
        move || {
            let took = taker.try_take();
            if took {
                after.check();
            }
            took
        },
        move || {
            before.set();
            giver.give_back();
        },
    );
    assert_free(&places, usize::from(!took));
}

pub(crate) fn place_wait_vs_give() {
    let places = taken(1);
    let (giver, waiter) = (places.clone(), places.clone());
    let before = Shared::new(Witness::new());
    let after = before.clone();
    let (mut waiting, ()) = race(
        move || {
            let mut waiting = Waiting::polled(&waiter);
            if waiting.ready || waiting.poll(&waiter) {
                after.check();
            }
            waiting
        },
        move || {
            before.set();
            giver.give_back();
        },
    );
    waiting.assert_served(&places);
    assert_free(&places, 0);
}

pub(crate) fn place_wait_vs_take() {
    let places = taken(1);
    let [giver, waiter, taker] = [(); 3].map(|()| places.clone());
    let (mut waiting, (), took) = race3(
        move || Waiting::polled(&waiter),
        move || giver.give_back(),
        move || taker.try_take(),
    );
    if took {
        assert!(!waiting.ready);
        places.give_back();
    }
    waiting.assert_served(&places);
    assert_free(&places, 0);
}

pub(crate) fn place_give_up_vs_give() {
    let places = taken(1);
    let (giver, waiter) = (places.clone(), places.clone());
    let before = Shared::new(Witness::new());
    let after = before.clone();
    let (waiting, ()) = race(
        move || {
            let mut waiting = Waiting::polled(&waiter);
            if waiting.ready {
                waiter.give_back();
            } else {
                waiting.give_up(&waiter);
            }
            if waiter.try_take() {
                after.check();
                waiter.give_back();
            }
            waiting
        },
        move || {
            before.set();
            giver.give_back();
        },
    );
    waiting.assert_gone();
    assert_free(&places, 1);
}

pub(crate) fn place_give_up_passes_on() {
    let places = taken(1);
    let mut first = Waiting::polled(&places);
    let mut second = Waiting::polled(&places);
    let (giver, waiter) = (places.clone(), places.clone());
    let (first, ()) = race(
        move || {
            first.give_up(&waiter);
            first
        },
        move || giver.give_back(),
    );
    first.assert_gone();
    second.assert_served(&places);
    assert_free(&places, 0);
}

pub(crate) fn place_repoll_vs_give() {
    let places = taken(1);
    let (giver, waiter) = (places.clone(), places.clone());
    let first = Wakes::new();
    let waker = Waker::from(first.clone());
    let (mut waiting, ()) = race(
        move || {
            let mut waiting = Waiting::new();
            waiting.ready = waiting.turn.poll(&waiter, &waker);
            drop(waker);
            if !waiting.ready {
                waiting.poll(&waiter);
            }
            waiting
        },
        move || giver.give_back(),
    );
    assert!(first.count() + waiting.wakes.count() <= 1, "woken once");
    waiting.assert_served(&places);
    assert_eq!(Arc::strong_count(&first), 1, "no waker is left");
    assert_free(&places, 0);
}

pub(crate) fn place_waits_vs_give() {
    let places = taken(1);
    let [giver, one, two] = [(); 3].map(|()| places.clone());
    let (mut one, mut two, ()) = race3(
        move || Waiting::polled(&one),
        move || Waiting::polled(&two),
        move || giver.give_back(),
    );
    if two.ready || two.wakes.count() > 0 {
        std::mem::swap(&mut one, &mut two);
    }
    one.assert_served(&places);
    assert!(!two.ready && two.wakes.count() == 0);
    places.give_back();
    two.assert_served(&places);
    assert_free(&places, 0);
}

pub(crate) fn place_gives_vs_waits() {
    let places = taken(2);
    let [one, two, waiter] = [(); 3].map(|()| places.clone());
    let seen = [(); 2].map(|()| Shared::new(Witness::new()));
    let [before_one, before_two] = seen.clone();
    let (mut waits, (), ()) = race3(
        move || {
            let mut waits = [(); 2].map(|()| Waiting::polled(&waiter));
            for waiting in &mut waits {
                if !waiting.ready {
                    waiting.poll(&waiter);
                }
            }
            if waits.iter().all(|waiting| waiting.ready) {
                seen.iter().for_each(|before| before.check());
            }
            waits
        },
        move || {
            before_one.set();
            one.give_back();
        },
        move || {
            before_two.set();
            two.give_back();
        },
    );
    for waiting in &mut waits {
        waiting.assert_served(&places);
    }
    assert_free(&places, 0);
}

pub(crate) fn place_gives_vs_queue() {
    let places = taken(2);
    let mut waits = [(); 2].map(|()| Waiting::polled(&places));
    let (one, two) = (places.clone(), places.clone());
    let before = Shared::new(Witness::new());
    let after = before.clone();
    let ((), mut waits) = race(
        move || {
            before.set();
            one.give_back();
        },
        move || {
            two.give_back();
            let [first, second] = &mut waits;
            if first.poll(&two) && second.poll(&two) {
                after.check();
            }
            waits
        },
    );
    for waiting in &mut waits {
        if waiting.ready {
            waiting.assert_gone();
        } else {
            waiting.assert_served(&places);
        }
    }
    assert_free(&places, 0);
}

pub(crate) fn place_give_ups_from_the_queue() {
    let places = taken(1);
    let [mut first, mut second] = [(); 2].map(|()| Waiting::polled(&places));
    let (one, two) = (places.clone(), places.clone());
    let (first, second) = race(
        move || {
            first.give_up(&one);
            first
        },
        move || {
            second.give_up(&two);
            second
        },
    );
    first.assert_gone();
    second.assert_gone();
    places.give_back();
    assert_free(&places, 1);
}

pub(crate) fn place_give_up_vs_work() {
    let places = taken(1);
    let mut first = Waiting::polled(&places);
    let (one, two) = (places.clone(), places.clone());
    let (first, mut second) = race(
        move || {
            first.give_up(&one);
            first
        },
        // With it the stack is long.
        move || Waiting::polled(&two),
    );
    first.assert_gone();
    places.give_back();
    second.assert_served(&places);
    assert_free(&places, 0);
}

pub(crate) fn place_give_up_vs_give_vs_wait() {
    let places = taken(1);
    let [mut first, mut second] = [(); 2].map(|()| Waiting::polled(&places));
    let [one, two, three] = [(); 3].map(|()| places.clone());
    let (first, (), third) = race3(
        move || {
            first.give_up(&one);
            first
        },
        move || two.give_back(),
        move || {
            let mut third = Waiting::polled(&three);
            assert!(!third.ready, "it would overtake");
            third.give_up(&three);
            third
        },
    );
    first.assert_gone();
    third.assert_gone();
    second.assert_served(&places);
    assert_free(&places, 0);
}

pub(crate) fn place_served_vs_woken() {
    let places = taken(1);
    let mut waiting = Waiting::polled(&places);
    let (giver, waiter) = (places.clone(), places.clone());
    let before = Shared::new(Witness::new());
    let after = before.clone();
    let (mut waiting, ()) = race(
        move || {
            if waiting.poll(&waiter) {
                after.check();
            }
            waiting
        },
        move || {
            before.set();
            giver.give_back();
        },
    );
    if waiting.ready {
        waiting.assert_gone();
    } else {
        waiting.assert_served(&places);
    }
    assert_free(&places, 0);
}

pub(crate) fn places_dropped_last() {
    let places = taken(1);
    let (one, two) = (places.clone(), places);
    let wait = |places: Shared<Places>| {
        let mut waiting = Waiting::polled(&places);
        assert!(!waiting.ready);
        waiting.give_up(&places);
        drop(places);
        waiting
    };
    let (one, two) = race(move || wait(one), move || wait(two));
    one.assert_gone();
    two.assert_gone();
}
