//! User code that a walk over links ends up running.

use super::foreign::Token;
use super::tools::{OnDrop, alone, in_time, message, on_wake, poll};
use crate::{CancelHandle, CancelledOwned, Context};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

type Pair = (Context, CancelHandle);
type Kept = Arc<Mutex<Vec<(Pair, CancelledOwned)>>>;

fn root() -> Pair {
    Context::background().with_cancel()
}

fn panic_of<T>(f: impl FnOnce() -> T) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(message(&*panic).to_owned())
}

/// Counts its drops and panics in those of `subset`.
fn counted(drops: &Arc<AtomicUsize>, subset: u32, number: u32) -> Box<dyn Send + Sync> {
    let drops = drops.clone();
    Box::new(OnDrop(move || {
        drops.fetch_add(1, SeqCst);
        if subset & (1 << number) != 0 {
            panic!("value {number}");
        }
    }))
}

/// Three links to `other`, one of them also foreign, each with a value, a wait
/// and a callback that count.
fn links(other: &Context, subset: u32, counts: [&Arc<AtomicUsize>; 3]) -> Kept {
    let [drops, calls, wakes] = counts;
    let kept: Kept = Arc::default();
    for number in 0..3 {
        let background = Context::background();
        let derive = background.derive().link(other);
        let mut pair = derive.value(counted(drops, subset, number)).build();
        if number == 2 {
            pair = pair.0.from_source(Token::default());
        }
        let (calls, wakes) = (calls.clone(), wakes.clone());
        pair.0
            .after_cancel(move |_| {
                calls.fetch_add(1, SeqCst);
            })
            .detach();
        let mut wait = pair.0.clone().cancelled_owned();
        let waker = on_wake(move || {
            wakes.fetch_add(1, SeqCst);
        });
        assert!(poll(&mut wait, &waker).is_pending());
        kept.lock().unwrap().push((pair, wait));
    }
    kept
}

// V14, V15, P23, P27: the first callback drops the last handles of the links
// that the walk has crossed over to, so that the cancel itself is the last to
// hold them: their callbacks run, their values are dropped once, and whatever
// panics stops no other; also while unwinding.
#[test]
fn a_cancel_may_be_the_last_to_hold_its_links() {
    alone(
        "tests::hostile_links::a_cancel_may_be_the_last_to_hold_its_links",
        || {
            for subset in 0..8_u32 {
                for unwinding in [false, true] {
                    let counts = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
                    let (other, handle) = root();
                    let slot: Arc<Mutex<Option<Kept>>> = Arc::default();
                    let taken = slot.clone();
                    other
                        .after_cancel(move |_| {
                            let kept = taken.lock().unwrap().take();
                            kept.unwrap().lock().unwrap().clear();
                        })
                        .detach();
                    *slot.lock().unwrap() = Some(links(&other, subset, counts.each_ref()));
                    let again = handle.clone();
                    let panic = panic_of(move || {
                        let _guard = handle.drop_guard();
                        assert!(!unwinding, "work");
                    });
                    let [drops, calls, wakes] = counts.map(|count| count.load(SeqCst));
                    assert_eq!((drops, calls, wakes), (3, 3, 0), "{subset:03b}");
                    match panic {
                        None => assert!(subset == 0 && !unwinding),
                        Some(text) if unwinding => assert_eq!(text, "work"),
                        Some(text) => assert!(text.starts_with("value "), "{text}"),
                    }
                    assert!(!again.cancel());
                    assert!(other.link([&again.context().clone()]).0.is_cancelled());
                }
            }
        },
    );
}

// V3, V9, V15, P26: callbacks of linked contexts cancel each other, in a ring
// of contexts that are linked crosswise: it ends, each is called once.
#[test]
fn callbacks_of_linked_contexts_may_cancel_each_other() {
    in_time(|| {
        for first in 0..6 {
            let roots: Vec<Pair> = (0..6).map(|_| root()).collect();
            let calls = Arc::new(AtomicUsize::new(0));
            let mut kept = Vec::new();
            for i in 0..6 {
                let (next, across) = (roots[(i + 1) % 6].1.clone(), &roots[(i + 3) % 6].0);
                let (link, own) = roots[i].0.link([across]);
                let (calls, inside) = (calls.clone(), link.clone());
                link.after_cancel(move |_| {
                    calls.fetch_add(1, SeqCst);
                    assert!(inside.is_cancelled());
                    own.cancel();
                    next.cancel_with("next");
                })
                .detach();
                kept.push(link);
            }
            assert!(roots[first].1.cancel_with("first"));
            assert_eq!(calls.load(SeqCst), 6);
            assert!(kept.iter().all(Context::is_cancelled));
            assert!(roots.iter().all(|(ctx, _)| ctx.is_cancelled()));
        }
    });
}
