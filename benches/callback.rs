//! What does it cost to register a callback and to take it back, and to tie a
//! context to a second parent? Beside a map behind a mutex in the parent, where
//! Go's `context` keeps its callbacks.

mod support;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use ctxtree::{CancelError, Context, Stop};
use support::Bench;
use support::rounds::{looped, two_threads};

const MAP: &str = "map behind a mutex";
const CHUNK: u64 = 200;

type Callback = Box<dyn FnOnce(&CancelError) + Send>;

/// What a parent would be that keeps its callbacks so.
#[derive(Default)]
struct Parent {
    callbacks: Mutex<HashMap<usize, Callback>>,
}

/// The key is the address of an allocation of its own, as in Go.
struct Registered {
    parent: Arc<Parent>,
    key: Box<u64>,
}

impl Parent {
    fn after_cancel(self: &Arc<Self>, f: impl FnOnce(&CancelError) + Send + 'static) -> Registered {
        let key = Box::new(0);
        let at = std::ptr::from_ref::<u64>(&key).addr();
        self.callbacks.lock().unwrap().insert(at, Box::new(f));
        Registered {
            parent: self.clone(),
            key,
        }
    }
}

impl Registered {
    fn stop(&self) -> bool {
        let at = std::ptr::from_ref::<u64>(&self.key).addr();
        self.parent.callbacks.lock().unwrap().remove(&at).is_some()
    }
}

fn main() {
    let bench = Bench::start("callback");
    bench.ask("after_cancel + stop, 1 thread", |q| {
        let (context, _handle) = Context::background().with_cancel();
        let parent = Arc::new(Parent::default());
        let word = Arc::new(0);
        let (ours, theirs) = (word.clone(), word);
        q.ours(looped(&bench, move |n| {
            (0..n).for_each(|_| turn(&context, &ours))
        }))
        .contender(
            MAP,
            looped(&bench, move |n| {
                (0..n).for_each(|_| turn_of_map(&parent, &theirs))
            }),
        )
    });
    bench.ask("after_cancel + stop, 2 threads of one parent", |q| {
        let (context, _handle) = Context::background().with_cancel();
        let parent = Arc::new(Parent::default());
        let ours = move |n| (0..n).for_each(|_| turn(&context, &Arc::new(0)));
        let theirs = move |n| (0..n).for_each(|_| turn_of_map(&parent, &Arc::new(0)));
        q.ours(two_threads(&bench, CHUNK, ours))
            .contender(MAP, two_threads(&bench, CHUNK, theirs))
    });
    bench.ask("with_cancel + after_cancel, dropped unrun", |q| {
        let (context, _handle) = Context::background().with_cancel();
        let word = Arc::new(0);
        q.ours(looped(&bench, move |n| {
            for _ in 0..n {
                let child = black_box(&context).with_cancel();
                let word = word.clone();
                child
                    .0
                    .after_cancel(move |_| drop(black_box(word)))
                    .detach();
            }
        }))
    });
    bench.ask("link + drop, one other parent that lives on", |q| {
        let (context, _handle) = Context::background().with_cancel();
        let (other, _other) = Context::background().with_cancel();
        q.ours(looped(&bench, move |n| {
            for _ in 0..n {
                drop(black_box(black_box(&context).link([&other])));
            }
        }))
    });
    bench.finish();
}

fn turn(context: &Context, word: &Arc<i32>) {
    let word = word.clone();
    let registration = black_box(context).after_cancel(move |_| drop(black_box(word)));
    assert_eq!(registration.stop(), Stop::Prevented);
}

fn turn_of_map(parent: &Arc<Parent>, word: &Arc<i32>) {
    let word = word.clone();
    let registered = black_box(parent).after_cancel(move |_| drop(black_box(word)));
    assert!(registered.stop());
}
