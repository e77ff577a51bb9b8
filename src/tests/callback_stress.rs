//! Callbacks at random, on threads and from within each other.

use super::tools::{Random, in_time, start};
use crate::{CancelHandle, Context, Registration, Stop};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

type Pair = (Context, CancelHandle);

const THREADS: usize = 4;
const STEPS: usize = 10_000;

fn root() -> Pair {
    Context::background().with_cancel()
}

/// What became of one registration so far.
#[derive(Default)]
struct Fate {
    runs: AtomicUsize,
    prevented: AtomicUsize,
    /// The drop of what its closure holds.
    dropped: AtomicUsize,
}

impl Fate {
    /// Notes what a stop said, and checks it against what is known.
    fn told(&self, stop: Stop) {
        match stop {
            Stop::Prevented => drop(self.prevented.fetch_add(1, SeqCst)),
            Stop::Finished => assert_eq!(self.runs.load(Relaxed), 1),
            Stop::AlreadyStopped => assert_eq!(self.runs.load(SeqCst), 0),
            Stop::Running => {}
        }
        self.check();
    }

    fn check(&self) {
        let (runs, prevented) = (self.runs.load(SeqCst), self.prevented.load(SeqCst));
        assert!(runs + prevented <= 1, "{runs} {prevented}");
        assert!(self.dropped.load(SeqCst) <= 1);
    }
}

/// What a closure holds.
struct Held(Arc<Fate>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

#[derive(Default)]
struct Shared {
    nodes: Mutex<Vec<Pair>>,
    registrations: Mutex<Vec<(Arc<Registration>, Arc<Fate>)>>,
    /// Of every registration ever made.
    fates: Mutex<Vec<Arc<Fate>>>,
}

impl Shared {
    /// None: at the end, when there are none any more.
    fn pick(&self, random: &mut Random) -> Option<Pair> {
        let nodes = self.nodes.lock().unwrap();
        (!nodes.is_empty()).then(|| nodes[random.below(nodes.len())].clone())
    }

    fn register(self: &Arc<Self>, ctx: &Context, seed: u64, depth: usize) {
        let fate = Arc::new(Fate::default());
        self.fates.lock().unwrap().push(fate.clone());
        let (held, all) = (Held(fate.clone()), Arc::downgrade(self));
        let registration = ctx.after_cancel(move |error| {
            held.0.runs.fetch_add(1, Relaxed);
            assert!(error.cause().is_some());
            if let (Some(all), true) = (all.upgrade(), depth > 0) {
                let mut random = Random::new(seed);
                for _ in 0..3 {
                    all.step(&mut random, depth - 1);
                }
            }
        });
        if seed % 4 == 0 {
            registration.detach();
        } else {
            let entry = (Arc::new(registration), fate);
            self.registrations.lock().unwrap().push(entry);
        }
    }

    /// One step; `depth` more levels of them from within callbacks.
    fn step(self: &Arc<Self>, random: &mut Random, depth: usize) {
        let Some((ctx, handle)) = self.pick(random) else {
            return;
        };
        match random.below(100) {
            0..25 => {
                let pair = match self.pick(random) {
                    Some((other, _)) if random.below(2) == 0 => ctx.link([&other]),
                    _ => ctx.with_cancel(),
                };
                let mut nodes = self.nodes.lock().unwrap();
                let at = random.below(nodes.len());
                let gone = if nodes.len() < 50 {
                    nodes.push(pair);
                    None
                } else {
                    Some(std::mem::replace(&mut nodes[at], pair))
                };
                drop(nodes);
                drop(gone);
            }
            25..35 => drop(handle.cancel_with("random")),
            35..40 => {
                // So that not all is done soon.
                let mut nodes = self.nodes.lock().unwrap();
                let at = random.below(nodes.len());
                let gone = std::mem::replace(&mut nodes[at], root());
                drop(nodes);
                drop(gone);
            }
            40..70 => {
                let seed = random.below(1_000_000) as u64;
                self.register(&ctx, seed, depth);
            }
            70..90 => {
                let registrations = self.registrations.lock().unwrap();
                if registrations.is_empty() {
                    return;
                }
                let (registration, fate) = registrations[random.below(registrations.len())].clone();
                drop(registrations);
                // Two callbacks that join each other would wait for ever.
                let stop = if depth == DEPTH && random.below(2) == 0 {
                    registration.stop_and_join()
                } else {
                    registration.stop()
                };
                fate.told(stop);
            }
            _ => {
                let mut registrations = self.registrations.lock().unwrap();
                if registrations.is_empty() {
                    return;
                }
                let at = random.below(registrations.len());
                let (registration, fate) = registrations.swap_remove(at);
                drop(registrations);
                drop(registration);
                fate.check();
            }
        }
    }
}

/// How deep callbacks act from within callbacks.
const DEPTH: usize = 2;

// V13, V15, V21, G109, P2, P3, P24 to P26, P37 to P40: whatever threads and the
// callbacks themselves register, stop, join, drop, cancel, link and derive: each runs
// once or is prevented once, and what it holds is dropped once.
#[test]
fn every_callback_of_a_random_mix_resolves_once() {
    in_time(|| {
        let shared = Arc::new(Shared::default());
        *shared.nodes.lock().unwrap() = (0..10).map(|_| root()).collect();
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let shared = shared.clone();
                start(move || {
                    let mut random = Random::new(thread as u64 + 1);
                    for _ in 0..STEPS {
                        shared.step(&mut random, DEPTH);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());

        // What runs now finds nothing to derive from and adds nothing.
        let left = std::mem::take(&mut *shared.nodes.lock().unwrap());
        for (_, handle) in &left {
            handle.cancel_with("end");
        }
        drop(left);
        let registrations = std::mem::take(&mut *shared.registrations.lock().unwrap());
        assert!(!registrations.is_empty());
        for (registration, fate) in &registrations {
            fate.told(registration.stop());
            assert_ne!(registration.stop(), Stop::Running);
        }
        drop(registrations);
        let (mut ran, mut prevented) = (0, 0);
        for fate in shared.fates.lock().unwrap().iter() {
            fate.check();
            assert_eq!(fate.dropped.load(SeqCst), 1);
            ran += fate.runs.load(SeqCst);
            prevented += fate.prevented.load(SeqCst);
        }
        assert!(ran > 100 && prevented > 100, "{ran} {prevented}");
    });
}
