//! The watchdog: a test that does not get on is named, told of, and ends the process.
//!
//! A test says what it is at by its [`Watch`]: a phase, counters, a tree. While these
//! change it gets on, as slowly as a busy machine lets it, up to ten times its
//! patience. When its time is over what it said is written to the standard error output, past what catches
//! the output of tests, with the state of each thread and the CPU time of the
//! process: one that hangs has used none. Nothing that is told takes a lock that
//! the test holds for long, and the snapshot of the tree is given up if it does
//! not end.

use super::tools::is_full;
use ctxtree::Context;
use std::any::{Any, type_name_of_val};
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

/// What the process exits with when the watchdog has barked.
pub(crate) const BARKED: i32 = 86;

/// Says to a process which test it is to run alone.
const ALONE: &str = "CTXTREE_STRESS_ALONE";

/// Lines of a tree that are shown.
const LINES: usize = 40;

type Ended = Result<(), Box<dyn Any + Send>>;

/// How long a test may do nothing that it tells of: a minute, two with full sizes,
/// or as many seconds as `CTXTREE_TEST_PATIENCE` says.
fn patience() -> Duration {
    let seconds = std::env::var("CTXTREE_TEST_PATIENCE");
    let usual = if is_full() { 120 } else { 60 };
    let seconds = seconds.map_or(usual, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

/// How long a test may take in all, in patiences: some threads get on while others
/// hang.
const PATIENCES: u32 = 10;

/// A number that the watchdog tells.
#[derive(Clone)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed) as usize
    }
}

struct Told {
    phase: String,
    counters: Vec<(&'static str, Counter)>,
    tree: Option<Context>,
}

impl Told {
    /// What changes while a test gets on.
    fn news(&self) -> (String, Vec<usize>) {
        let counts = self.counters.iter().map(|(_, counter)| counter.get());
        (self.phase.clone(), counts.collect())
    }
}

/// What a test tells of itself.
#[derive(Clone)]
pub(crate) struct Watch {
    told: Arc<Mutex<Told>>,
    ended: mpsc::Sender<Ended>,
    failed: Arc<AtomicBool>,
}

impl Watch {
    /// What the test is at now.
    pub(crate) fn phase(&self, phase: impl Display) {
        self.told.lock().unwrap().phase = phase.to_string();
    }

    /// A new counter.
    pub(crate) fn count(&self, what: &'static str) -> Counter {
        let counter = Counter(Arc::default());
        let mut told = self.told.lock().unwrap();
        told.counters.retain(|(name, _)| *name != what);
        told.counters.push((what, counter.clone()));
        counter
    }

    /// The tree to be shown. It is kept until another one is told.
    pub(crate) fn tree(&self, ctx: &Context) {
        let before = self.told.lock().unwrap().tree.replace(ctx.clone());
        drop(before);
    }

    /// Shows no tree any more.
    pub(crate) fn no_tree(&self) {
        let before = self.told.lock().unwrap().tree.take();
        drop(before);
    }

    /// Starts a thread. Its panic fails the test at once, whoever waits for what.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        name: &str,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let watch = self.clone();
        let thread = Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || watch.guarded(f).expect("the test has failed"));
        thread.unwrap()
    }

    /// Whether a thread of the test has panicked.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    fn guarded<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.failed.store(true, Relaxed);
                let _ = self.ended.send(Err(panic));
                None
            }
        }
    }
}

/// The name of the test that this closure is of.
fn name_of<F>(f: &F) -> &'static str {
    let name = type_name_of_val(f);
    let name = name.strip_suffix("::{{closure}}").unwrap_or(name);
    let name = name.strip_suffix("::{{closure}}").unwrap_or(name);
    name.split_once("::").map_or(name, |(_, name)| name)
}

/// Held by a test while it runs: each has threads enough for all processors.
fn turn() -> impl Drop {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test under the watchdog.
pub(crate) fn watched(f: impl FnOnce(&Watch) + Send + 'static) {
    run(name_of(&f), Builder::new(), f);
}

/// The same with a stack of 64 KiB.
pub(crate) fn on_small_stack(f: impl FnOnce(&Watch) + Send + 'static) {
    let name = name_of(&f);
    run(name, Builder::new().stack_size(64 * 1024), f);
}

/// The same in a process of its own, and on a usual stack.
pub(crate) fn alone(f: impl FnOnce(&Watch) + Send + 'static) {
    let name = name_of(&f);
    if is_alone(name) {
        return run(name, Builder::new(), f);
    }
    let turn = turn();
    let output = run_alone(name, &[]);
    drop(turn);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name}: {}\n{text}\n{errors}",
        output.status,
    );
    print!("{text}");
}

/// Runs `body` in a process of its own, with these variables, and `judge` on what
/// became of it.
pub(crate) fn in_child(body: impl FnOnce(), env: &[(&str, &str)], judge: impl FnOnce(&Output)) {
    let name = name_of(&body);
    match is_alone(name) {
        true => body(),
        false => judge(&run_alone(name, env)),
    }
}

/// Whether this process was started for this test.
fn is_alone(name: &str) -> bool {
    std::env::var_os(ALONE).is_some_and(|of| of == name)
}

/// Runs one test in a process of its own, with these variables.
fn run_alone(name: &'static str, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(ALONE, name).stdin(Stdio::null());
    command.envs(env.iter().copied());
    let (send, receive) = mpsc::channel();
    // It has a watchdog of its own, and ends by that.
    let slack = Duration::from_secs(60);
    let asked = thread::spawn(move || send.send(command.output()));
    let output = receive.recv_timeout(patience() * PATIENCES + slack);
    let output = output.unwrap_or_else(|_| panic!("{name}: its watchdog did not end it"));
    asked.join().unwrap().unwrap();
    output.unwrap()
}

fn run(name: &'static str, builder: Builder, f: impl FnOnce(&Watch) + Send + 'static) {
    let (ended, end) = mpsc::channel();
    let told = Arc::new(Mutex::new(Told {
        phase: "begins".to_owned(),
        counters: Vec::new(),
        tree: None,
    }));
    let watch = Watch {
        told: told.clone(),
        ended: ended.clone(),
        failed: Arc::default(),
    };
    let turn = turn();
    let began = Instant::now();
    let body = move || {
        if watch.guarded(|| f(&watch)).is_some() {
            watch.no_tree();
            let _ = ended.send(Ok(()));
        }
    };
    let thread = builder.name(name.to_owned()).spawn(body).unwrap();
    match await_end(&end, &told) {
        Some(Ok(())) => thread.join().unwrap(),
        Some(Err(panic)) => resume_unwind(panic),
        None => bark(name, began, &told),
    }
    drop(turn);
}

/// How a test ended, if it got on until then.
fn await_end(end: &mpsc::Receiver<Ended>, told: &Mutex<Told>) -> Option<Ended> {
    let (patience, began) = (patience(), Instant::now());
    let mut last = (began, None);
    loop {
        if let Ok(end) = end.recv_timeout(patience / 20) {
            return Some(end);
        }
        // A thread may have panicked with the lock, or be stopped with it.
        let news = told.try_lock().ok().map(|told| told.news());
        if news.is_some() && news != last.1 {
            last = (Instant::now(), news);
        }
        if last.0.elapsed() >= patience || began.elapsed() >= patience * PATIENCES {
            return None;
        }
    }
}

/// Tells what is known, and ends the process.
fn bark(name: &str, began: Instant, told: &Mutex<Told>) -> ! {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\nwatchdog: {name} did not end in {:?}",
        began.elapsed()
    );
    let used = super::spin::cpu_time();
    let _ = writeln!(text, "  the process has used {used:?} of CPU time");
    let mut tree = None;
    // A thread may have panicked with the lock, or be stopped with it.
    match told.try_lock() {
        Ok(mut told) => {
            let _ = writeln!(text, "  phase: {}", told.phase);
            for (what, counter) in &told.counters {
                let _ = writeln!(text, "  {what}: {}", counter.get());
            }
            tree = told.tree.take();
        }
        Err(_) => text.push_str("  what it told is locked\n"),
    }
    threads(&mut text);
    say(&text);
    if let Some(tree) = tree {
        let (send, receive) = mpsc::channel();
        thread::spawn(move || send.send(tree.tree().to_string()));
        match receive.recv_timeout(Duration::from_secs(5)) {
            Ok(tree) => {
                let lines: Vec<&str> = tree.lines().collect();
                let shown = lines[..lines.len().min(LINES)].join("\n    ");
                say(&format!("  tree, {} lines:\n    {shown}\n", lines.len()));
            }
            Err(_) => say("  tree: it could not be had\n"),
        }
    }
    std::process::exit(BARKED);
}

/// The state of each thread, where the system tells.
fn threads(text: &mut String) {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return;
    };
    let mut lines = Vec::new();
    for task in tasks.flatten() {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // `id (name) state ...`, and the name may hold anything.
        if let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) {
            let state = stat[close + 1..].trim().chars().next().unwrap_or('?');
            lines.push(format!("{} {state}", &stat[open + 1..close]));
        }
    }
    let _ = writeln!(text, "  threads, R runs and S sleeps: {}", lines.join(", "));
}

/// Writes to where no test's output is caught.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
