//! Who is in a group, and whether anybody may still come in: one word.
//!
//! # How it works
//!
//! ```text
//! word     CLOSED | JOINED | WINDING | background (30 bits) | main (31 bits)
//! ```
//!
//! | transition | by | word |
//! |---|---|---|
//! | enter | who starts a task | one more, refused if CLOSED |
//! | leave | a task that is over | one less |
//! | close | anybody | CLOSED |
//! | join | who waits for the end | JOINED, and CLOSED if no main task is in |
//! | leave of the last main one | with CLOSED or JOINED | CLOSED, and WINDING until it has told the others |
//!
//! Admission and close are compare-and-swaps of the same word, so whoever was
//! admitted came before the close, and is waited for; whoever comes after it is
//! refused. The same holds of a join and of the last task that leaves.
//!
//! | state | main | CLOSED | then |
//! |---|---|---|---|
//! | open | any | no | all may come in |
//! | closed | some | yes | they are waited for |
//! | winding up | none | yes | who made it this has the background ones told; nobody comes in |
//! | over | none, no background, not WINDING | yes | for good |
//!
//! # Invariants
//!
//! - **A1** After CLOSED no count grows.
//! - **A2** A group is wound up once: by whoever makes it closed and free of main
//!   tasks, in one compare-and-swap, which sets WINDING; that thread takes it
//!   back.
//! - **A3** It is over once: when, after CLOSED, the last count or WINDING goes.
//!
//! # Orderings
//!
//! Leaving releases what a task did; who winds up acquires what the main tasks
//! did, for those it tells, and who makes the word *over* all of it, as does
//! whoever finds it over.
//!
//! Progress: all of it is lock-free; nobody waits here.
//!
//! Models: `admit_vs_close`, `admit_vs_join`, `last_task_vs_join`,
//! `last_task_vs_close`, `two_last_tasks_vs_join`, `last_tasks_observed`,
//! `last_task_vs_close_observed`, `last_task_vs_join_observed`,
//! `background_task_vs_wind_up`, `wind_up_vs_background_task`,
//! `forgotten_panic_vs_end`.

use crate::sync::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::{AtomicUsize, Site};

const CLOSED: usize = 1 << 63;
const JOINED: usize = 1 << 62;
const WINDING: usize = 1 << 61;
const FLAGS: usize = CLOSED | JOINED | WINDING;
const BACKGROUND: usize = 1 << 31;
/// Where a count ends that has 31 bits.
const MAIN: usize = BACKGROUND - 1;
/// The most tasks of a class, less than either count can tell.
const MOST: usize = 1 << 30;

/// Who is in, and whether anybody may come in.
pub(crate) struct Admission(AtomicUsize);

/// In which of the two counts a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Main,
    Background,
}

impl Class {
    fn unit(self) -> usize {
        match self {
            Class::Main => 1,
            Class::Background => BACKGROUND,
        }
    }
}

/// Nobody is admitted any more.
#[derive(Debug)]
pub(crate) struct Closed;

/// What a change has left to do to who made it.
#[must_use = "somebody may have to wind up, or to tell that all is over"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    Nothing,
    /// No main task is left, and none will come: the caller winds up, and then
    /// says that it [has](Admission::wound_up).
    WindUp,
    /// All is over: the caller tells those who wait.
    Over,
}

/// A value of the word.
#[derive(Clone, Copy)]
struct Word(usize);

impl Word {
    fn has(self, flags: usize) -> bool {
        self.0 & flags != 0
    }

    fn main(self) -> usize {
        self.0 & MAIN
    }

    fn background(self) -> usize {
        (self.0 & !FLAGS) >> 31
    }

    fn tasks(self) -> usize {
        self.main() + self.background()
    }

    fn of(self, class: Class) -> usize {
        match class {
            Class::Main => self.main(),
            Class::Background => self.background(),
        }
    }

    fn closed(self) -> Word {
        Word(self.0 | CLOSED)
    }

    /// The same without main tasks: closed, and somebody winds up.
    fn winding_up(self) -> Word {
        debug_assert_eq!(self.main(), 0);
        Word(self.0 | CLOSED | WINDING)
    }

    fn is_over(self) -> bool {
        self.0 & !JOINED == CLOSED
    }
}

impl Admission {
    crate::sync::const_fn! {
        pub(crate) fn new() -> Admission {
            Admission(AtomicUsize::new(0))
        }
    }

    /// Lets a task in.
    ///
    /// # Panics
    ///
    /// With more than 2^30 tasks of a class.
    #[inline]
    pub(crate) fn enter(&self, class: Class) -> Result<(), Closed> {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut word = Word(self.0.load(Relaxed, Site::AdmitLoad));
        loop {
            if word.has(CLOSED) {
                return Err(Closed);
            }
            assert!(word.of(class) < MOST - 1, "too many tasks in a group");
            // Relaxed, both: decides by its place in the order of the word.
            let swapped = self.0.compare_exchange_weak(
                word.0,
                word.0 + class.unit(),
                Relaxed,
                Relaxed,
                Site::Admit,
            );
            match swapped {
                Ok(_) => return Ok(()),
                Err(now) => word = Word(now),
            }
        }
    }

    /// A task that was let in is over.
    #[inline]
    pub(crate) fn leave(&self, class: Class) -> Then {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut word = Word(self.0.load(Relaxed, Site::AdmissionLeaveLoad));
        loop {
            debug_assert_ne!(word.of(class), 0, "it was let in");
            let left = Word(word.0 - class.unit());
            let ends = left.has(CLOSED | JOINED);
            let last = class == Class::Main && left.main() == 0 && ends;
            let new = if last { left.winding_up() } else { left };
            // Release: what the task did; Acquire: what the others did, should
            // this be the last. They meet each other. On failure Relaxed.
            let swapped =
                self.0
                    .compare_exchange_weak(word.0, new.0, AcqRel, Relaxed, Site::AdmissionLeave);
            match swapped {
                Ok(_) if last => return Then::WindUp,
                Ok(_) if new.is_over() => return Then::Over,
                Ok(_) => return Then::Nothing,
                Err(now) => word = Word(now),
            }
        }
    }

    /// Who had to wind up has done so.
    pub(crate) fn wound_up(&self) -> Then {
        // AcqRel: as in `leave`; meets that, and itself.
        let before = self.0.fetch_sub(WINDING, AcqRel, Site::AdmissionWound);
        debug_assert_ne!(before & WINDING, 0);
        if Word(before - WINDING).is_over() {
            Then::Over
        } else {
            Then::Nothing
        }
    }

    /// Lets nobody in any more. How many were in when this call decided that, if
    /// it did, and what it has left to do.
    pub(crate) fn close(&self) -> (Option<usize>, Then) {
        self.finish(Word::closed, Site::AdmissionCloseLoad, Site::AdmissionClose)
    }

    /// As `close`, as soon as no main task is in.
    pub(crate) fn join(&self) -> Then {
        let joined = |word: Word| Word(word.0 | JOINED);
        self.finish(joined, Site::AdmissionJoinLoad, Site::AdmissionJoin)
            .1
    }

    fn finish(&self, mark: impl Fn(Word) -> Word, look: Site, swap: Site) -> (Option<usize>, Then) {
        // Relaxed: a guess, which the compare-and-swap checks.
        let mut word = Word(self.0.load(Relaxed, look));
        loop {
            let marked = mark(word);
            if word.has(CLOSED) || marked.0 == word.0 {
                return (None, Then::Nothing);
            }
            let last = word.main() == 0;
            let new = if last { marked.winding_up() } else { marked };
            // Acquire: what the tasks did that are over, as who winds up tells
            // of them; meets the Release in `leave`. On failure Relaxed.
            let swapped = self
                .0
                .compare_exchange_weak(word.0, new.0, Acquire, Relaxed, swap);
            match swapped {
                Ok(_) if last => return (Some(word.tasks()), Then::WindUp),
                Ok(_) => return (Some(word.tasks()), Then::Nothing),
                Err(now) => word = Word(now),
            }
        }
    }

    /// How many are in, and whether nobody is let in any more. What those did
    /// that are not is visible.
    pub(crate) fn look(&self) -> (usize, bool) {
        // Acquire: what the tasks did that are over; meets the Release in `leave`.
        let word = Word(self.0.load(Acquire, Site::AdmissionLook));
        (word.tasks(), word.has(CLOSED))
    }
}
