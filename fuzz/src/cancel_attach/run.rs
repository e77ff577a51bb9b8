//! Sets up, lets the threads race, and checks when all have stopped.

use super::play::{Hand, Handle, Slot, Waiting};
use super::shadow::Shadow;
use super::{MOST_SEEDS, Program, REPETITIONS};
use crate::tools::{Tally, alone, assert_given_back, settled_objects};
use ctxtree::{CancelHandle, Context};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

pub(super) fn run(program: &Program) {
    let _alone = alone();
    let before = settled_objects();
    let race = Race::new(program);
    thread::scope(|scope| {
        let race = &race;
        let others: Vec<_> = (1..race.places.len())
            .map(|place| scope.spawn(move || race.take_part(place)))
            .collect();
        let result = catch_unwind(AssertUnwindSafe(|| {
            for repetition in 0..REPETITIONS {
                race.once(repetition);
            }
        }));
        race.over.store(true, SeqCst);
        race.gate.pass();
        // Joined, not only left to the scope: the collector gets the garbage
        // of a thread when its thread-locals go.
        for other in others {
            other.join().expect("a thread keeps its panics for `once`");
        }
        if let Err(panic) = result {
            resume_unwind(panic);
        }
    });
    assert_given_back(before);
}

struct Race<'p> {
    program: &'p Program,
    causes: Tally,
    gate: Gate,
    places: Vec<Mutex<Place>>,
    over: AtomicBool,
}

/// What a thread takes before the start, and leaves after the end.
#[derive(Default)]
struct Place {
    hand: Hand,
    shift: usize,
    result: Option<thread::Result<Hand>>,
}

impl<'p> Race<'p> {
    fn new(program: &'p Program) -> Self {
        let threads = program.scripts().len();
        Self {
            program,
            causes: Tally::default(),
            gate: Gate::new(threads),
            places: (0..threads).map(|_| Mutex::default()).collect(),
            over: AtomicBool::new(false),
        }
    }

    /// What a thread does that is not the first one.
    fn take_part(&self, place: usize) {
        loop {
            self.gate.pass();
            if self.over.load(SeqCst) {
                return;
            }
            self.play(place);
            self.gate.pass();
        }
    }

    /// Plays a hand. A panic must not keep the others waiting at the gate.
    fn play(&self, number: usize) {
        let mut place = self.places[number]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut hand = std::mem::take(&mut place.hand);
        let (script, shift) = (self.program.scripts()[number], place.shift);
        place.result = Some(catch_unwind(AssertUnwindSafe(|| {
            hand.play(script, &self.causes, shift);
            hand
        })));
    }

    /// One repetition, on the first thread.
    fn once(&self, repetition: usize) {
        let (table, kept) = self.deal(repetition);
        self.gate.pass();
        self.play(0);
        self.gate.pass();
        let mut hands = vec![kept];
        for place in &self.places {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            match place.result.take().expect("every thread has played") {
                Ok(hand) => hands.push(hand),
                Err(panic) => resume_unwind(panic),
            }
        }
        table.check(&mut hands);
        table.clear(hands);
        assert_eq!(self.causes.live(), [], "causes leaked");
    }

    /// Builds the tree and deals its handles. The second hand is nobody's.
    fn deal(&self, repetition: usize) -> (Table, Hand) {
        let table = Table::new();
        let mut nodes = vec![
            (None, Context::background()),
            (Some(table.shadow.clone()), table.top.clone()),
        ];
        let mut hands: Vec<Hand> = self.places.iter().map(|_| Hand::default()).collect();
        let mut kept = Hand::default();
        for seed in self.program.tree.iter().take(MOST_SEEDS) {
            let (above, parent) = &nodes[usize::from(seed.parent) % nodes.len()];
            let shadow = Shadow::new(above.as_ref(), seed.shielded);
            let (context, handle) = if seed.shielded {
                (parent.without_cancel(), None)
            } else {
                let (context, handle) = parent.with_cancel();
                (context, Some(handle))
            };
            if seed.split {
                ctxtree::model::split(&context);
            }
            for _ in 0..seed.waits % 4 {
                kept.waits
                    .push(Waiting::new(shadow.clone(), context.clone()));
            }
            let holders = hands.iter_mut().zip([1, 2, 4]).chain([(&mut kept, 8)]);
            for (hand, bit) in holders {
                if seed.holders & bit != 0 {
                    deal_to(hand, &shadow, &context, handle.as_ref());
                }
            }
            nodes.push((Some(shadow), context));
        }
        let threads = hands.len();
        for (number, hand) in hands.into_iter().enumerate() {
            let mut place = self.places[number]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            place.hand = hand;
            place.hand.causes_made = number as u32 * 1000;
            // The threads take turns in being late, each time by more.
            place.shift = if repetition % threads == number {
                repetition * repetition
            } else {
                0
            };
        }
        (table, kept)
    }
}

fn deal_to(
    hand: &mut Hand,
    shadow: &Arc<Shadow>,
    context: &Context,
    handle: Option<&CancelHandle>,
) {
    let observe = Handle::Observe(context.clone());
    hand.slots.push(Slot::new(shadow.clone(), observe));
    if let Some(handle) = handle {
        let cancel = Handle::Cancel(handle.clone());
        hand.slots.push(Slot::new(shadow.clone(), cancel));
    }
}

/// The context that outlives the run.
struct Table {
    top: Context,
    shadow: Arc<Shadow>,
}

impl Table {
    fn new() -> Self {
        Self {
            top: Context::background().with_cancel().0,
            shadow: Shadow::new(None, false),
        }
    }

    /// What must hold when all have stopped.
    fn check(&self, hands: &mut [Hand]) {
        for hand in &mut *hands {
            for slot in &mut hand.slots {
                check_end(slot);
            }
            for waiting in &mut hand.waits {
                waiting.assert_woken();
            }
        }
        // The waits that were registered before the start, in their order.
        for pair in hands[0].waits.windows(2) {
            let same = Arc::ptr_eq(&pair[0].shadow, &pair[1].shadow);
            let good = !same || pair[0].stamp() <= pair[1].stamp();
            assert!(good, "woken in another order than registered");
        }
        self.check_children(hands);
    }

    /// `live_children` is exact now that nobody changes anything.
    fn check_children(&self, hands: &[Hand]) {
        let mut alive: HashMap<*const Shadow, &Shadow> = HashMap::new();
        for hand in hands {
            let held = hand.slots.iter().map(|slot| &slot.shadow);
            for shadow in held.chain(hand.waits.iter().map(|waiting| &waiting.shadow)) {
                alive.extend(shadow.upwards().map(|node| (&raw const *node, node)));
            }
        }
        let expect = |context: &Context, shadow: &Shadow| {
            let children = alive.values().filter(|node| node.is_child_of(shadow));
            let live = children.filter(|node| !node.must_be_done()).count();
            assert_eq!(context.live_children(), live, "live children");
        };
        expect(&self.top, &self.shadow);
        for slot in hands.iter().flat_map(|hand| &hand.slots) {
            expect(slot.context(), &slot.shadow);
        }
    }

    /// Drops everything.
    fn clear(self, mut hands: Vec<Hand>) {
        for hand in &mut hands {
            hand.drop_all();
        }
        for quiet in hands.iter().flat_map(|hand| &hand.quiet) {
            quiet.assert_forgotten();
        }
        assert_eq!(self.top.live_children(), 0, "all is dropped");
    }
}

fn check_end(slot: &mut Slot) {
    let answer = slot.observe();
    let shadow = &slot.shadow;
    let must = shadow.must_be_done();
    assert_eq!(
        answer.is_some(),
        must,
        "whether a context is done in the end"
    );
    let Some(answer) = answer else {
        return;
    };
    let possible = shadow.possible_causes();
    let cause = answer.cause;
    assert!(
        possible.contains(&cause),
        "{cause:?} is none of {possible:?}"
    );
    let own = answer.origin == slot.context().id();
    match shadow.win() {
        Some(cause) => assert!(own && answer.cause == cause, "the winner is not the origin"),
        None => assert!(!own && !shadow.ended_alone(), "an origin where nobody won"),
    }
}

/// Where the threads meet. It spins: what it is for is that they leave at the
/// same moment.
struct Gate {
    threads: usize,
    arrived: AtomicUsize,
    opened: AtomicUsize,
}

impl Gate {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            arrived: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
        }
    }

    fn pass(&self) {
        let opened = self.opened.load(SeqCst);
        if self.arrived.fetch_add(1, SeqCst) + 1 == self.threads {
            self.arrived.store(0, SeqCst);
            self.opened.store(opened + 1, SeqCst);
            return;
        }
        let mut tries = 0_u32;
        while self.opened.load(SeqCst) == opened {
            tries += 1;
            if tries % 256 == 0 {
                // There may be fewer cores than threads.
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}
