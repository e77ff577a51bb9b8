//! Links, sources, callbacks, values, waits and snapshots, all at once.

use super::tools::{Random, Wakes, in_time, poll, start};
use crate::{CancelHandle, CancelSource, Cause, Context, Registration, Stop, model};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

type Pair = (Context, CancelHandle);
type Notify = Box<dyn FnOnce() + Send>;

const THREADS: u64 = 4;
const STEPS: usize = 6_000;

/// Whether it has fired, whom it calls, and how many it ever had to call.
type State = (bool, Vec<(usize, Notify)>, usize);

/// A source that is fired from anywhere, and calls back outside its lock.
#[derive(Clone, Default)]
struct Token(Arc<Mutex<State>>);

struct Entry(Token, usize);

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap();
        let gone: Vec<_> = match state.1.iter().position(|(n, _)| *n == self.1) {
            Some(at) => vec![state.1.swap_remove(at)],
            None => Vec::new(),
        };
        drop(state);
        drop(gone);
    }
}

impl Token {
    fn fire(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        let all = std::mem::take(&mut state.1);
        drop(state);
        for (_, notify) in all {
            let _ = catch_unwind(AssertUnwindSafe(notify));
        }
    }
}

impl CancelSource for Token {
    fn is_cancelled(&self) -> bool {
        self.0.lock().unwrap().0
    }

    fn error(&self) -> Option<Cause> {
        Some("token".into())
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        let mut state = self.0.lock().unwrap();
        state.2 += 1;
        let number = state.2;
        if state.0 {
            drop(state);
            notify();
        } else {
            state.1.push((number, notify));
        }
        Box::new(Entry(self.clone(), number))
    }
}

/// Counts what is alive, and uses the tree when it goes.
struct Alive(Arc<AtomicUsize>, Option<Context>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>, ctx: Option<Context>) -> Alive {
        count.fetch_add(1, SeqCst);
        Alive(count.clone(), ctx)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(ctx) = self.1.take() {
            let _ = ctx.with_cancel();
            drop(ctx);
        }
        self.0.fetch_sub(1, SeqCst);
    }
}

struct World {
    nodes: Mutex<Vec<Pair>>,
    registrations: Mutex<Vec<Arc<Registration>>>,
    tokens: Mutex<Vec<Token>>,
    alive: Arc<AtomicUsize>,
    runs: AtomicUsize,
}

impl World {
    fn pick(&self, random: &mut Random) -> Pair {
        let nodes = self.nodes.lock().unwrap();
        nodes[random.below(nodes.len())].clone()
    }

    fn put(&self, random: &mut Random, pair: Pair) {
        let mut nodes = self.nodes.lock().unwrap();
        let gone = if nodes.len() < 60 {
            nodes.push(pair);
            None
        } else {
            let at = random.below(nodes.len());
            Some(std::mem::replace(&mut nodes[at], pair))
        };
        drop(nodes);
        drop(gone);
    }

    fn step(self: &Arc<Self>, random: &mut Random) {
        let (ctx, handle) = self.pick(random);
        match random.below(24) {
            0..2 => self.put(random, ctx.with_cancel()),
            2 => {
                let value = Alive::new(&self.alive, None);
                self.put(random, ctx.with_value(value).with_cancel());
            }
            3 => {
                let value = Alive::new(&self.alive, Some(self.pick(random).0));
                let other = self.pick(random).0;
                let pair = ctx
                    .derive()
                    .name("n")
                    .value(value)
                    .value(7u64)
                    .link(&other)
                    .build();
                self.put(random, pair);
            }
            4..7 => {
                let others = [(); 3].map(|()| self.pick(random).0);
                let pair = ctx.link(&others[..random.below(4)]);
                self.put(random, pair);
            }
            7..9 => {
                let mut tokens = self.tokens.lock().unwrap();
                let at = random.below(8);
                if tokens[at].is_cancelled() {
                    tokens[at] = Token::default();
                }
                let token = tokens[at].clone();
                drop(tokens);
                let pair = ctx.from_source(token);
                let child = pair.0.with_cancel();
                let kept = if random.below(2) == 0 { pair } else { child };
                self.put(random, kept);
            }
            9 => {
                let token = self.tokens.lock().unwrap()[random.below(8)].clone();
                token.fire();
            }
            10..14 => {
                let alive = Alive::new(&self.alive, None);
                let world = self.clone();
                let panics = random.below(10) == 0;
                let mut seed = Random::new(random.below(1000) as u64);
                let registered = catch_unwind(AssertUnwindSafe(|| {
                    ctx.after_cancel(move |error| {
                        let _alive = alive;
                        assert!(error.location().is_some() || error.cause().is_some());
                        world.runs.fetch_add(1, SeqCst);
                        if seed.below(3) == 0 {
                            let own = world.registrations.lock().unwrap().pop();
                            drop(own);
                        }
                        assert!(!panics, "callback");
                    })
                }));
                let Ok(registration) = registered else { return };
                match random.below(3) {
                    0 => registration.detach(),
                    1 => drop(registration),
                    _ => {
                        let new = Arc::new(registration);
                        let mut all = self.registrations.lock().unwrap();
                        let gone = if all.len() < 40 {
                            all.push(new);
                            None
                        } else {
                            let at = random.below(all.len());
                            Some(std::mem::replace(&mut all[at], new))
                        };
                        drop(all);
                        drop(gone);
                    }
                }
            }
            14..16 => {
                let all = self.registrations.lock().unwrap();
                let Some(registration) = all.get(random.below(40)).cloned() else {
                    return;
                };
                drop(all);
                let stop = registration.stop();
                assert!(stop != Stop::Prevented || registration.stop() == Stop::AlreadyStopped);
            }
            16..18 => {
                let held = Context::background().with_value(Alive::new(&self.alive, None));
                let cause = Alive::new(&self.alive, Some(held));
                let shown = super::tools::OnDrop({
                    let cause = Mutex::new(Some(cause));
                    move || drop(cause.lock().unwrap().take())
                });
                let _ = catch_unwind(AssertUnwindSafe(|| handle.cancel_with(Cause::new(shown))));
                assert!(ctx.is_cancelled() && ctx.with_cancel().0.is_cancelled());
            }
            18..20 => {
                let (_, waker) = Wakes::new();
                let mut wait = ctx.clone().cancelled_owned();
                let _ = poll(&mut wait, &waker);
                drop((ctx, handle));
            }
            20 => {
                let tree = ctx.tree();
                assert!(tree.nodes().count() > 0);
            }
            21 => {
                let _ = (
                    ctx.error().map(|e| e.origin()),
                    ctx.live_children(),
                    ctx.value::<u64>(),
                );
            }
            _ => {
                let mut nodes = self.nodes.lock().unwrap();
                let at = random.below(nodes.len());
                if nodes.len() > 8 {
                    let gone = nodes.swap_remove(at);
                    drop(nodes);
                    drop(gone);
                }
            }
        }
        let mut nodes = self.nodes.lock().unwrap();
        let done = nodes.iter().filter(|(ctx, _)| ctx.is_cancelled()).count();
        let gone = (2 * done > nodes.len()).then(|| {
            let live = Context::background().with_cancel();
            let mut kept: Vec<Pair> = Vec::new();
            let mut gone = Vec::new();
            for pair in nodes.drain(..) {
                if pair.0.is_cancelled() {
                    gone.push(pair)
                } else {
                    kept.push(pair)
                }
            }
            kept.push(live);
            *nodes = kept;
            gone
        });
        drop(nodes);
        drop(gone);
    }
}

// V3, V9, V12 to V15, V20, V21: everything is dropped once, and nothing stays.
#[test]
fn all_that_is_derived_tied_and_registered_by_many_threads_goes() {
    in_time(|| {
        let seeds = std::env::var("SEED")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(1u64);
        let alive = Arc::new(AtomicUsize::new(0));
        let world = Arc::new(World {
            nodes: Mutex::new(vec![Context::background().with_cancel()]),
            registrations: Mutex::new(Vec::new()),
            tokens: Mutex::new((0..8).map(|_| Token::default()).collect()),
            alive: alive.clone(),
            runs: AtomicUsize::new(0),
        });
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let world = world.clone();
                start(move || {
                    let mut random = Random::new(seeds * 100 + thread);
                    for _ in 0..STEPS {
                        let _ = catch_unwind(AssertUnwindSafe(|| {
                            world.step(&mut random);
                        }))
                        .map_err(|panic| {
                            let text = super::tools::message(&*panic).to_owned();
                            assert!(text.contains("callback"), "{text}");
                        });
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        println!("runs {}", world.runs.load(SeqCst));
        let nodes = std::mem::take(&mut *world.nodes.lock().unwrap());
        for (_, handle) in &nodes {
            let _ = catch_unwind(AssertUnwindSafe(|| handle.cancel()));
        }
        drop(nodes);
        let all = std::mem::take(&mut *world.registrations.lock().unwrap());
        drop(all);
        let tokens = std::mem::take(&mut *world.tokens.lock().unwrap());
        drop(tokens);
        assert_eq!(alive.load(SeqCst), 0);
        assert_eq!(Arc::strong_count(&world), 1);
        model::collect();
    });
}
