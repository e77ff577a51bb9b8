//! Has nothing hide from LeakSanitizer, which looks for pointers when the process
//! ends.
//!
//! Timers that are off wait on a stack until there are some dozens of them, or
//! until the driver runs. What points to the first has a count in its upper bits,
//! so none of them would be found. And what a thread holds that is still there is
//! not found if another thread had its number before, as happens after some ten
//! thousands. So the default timers run a last time, and their thread ends.
//!
//! What is still armed then, or held by a thread, would not be taken for a leak:
//! that is a failure.

use crate::model::default_timers;
use crate::time::Timers;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

// SAFETY: the section is a list of such functions, which are called before `main`.
#[unsafe(link_section = ".init_array")]
#[used]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let options = env::var("ASAN_OPTIONS").unwrap_or_default();
    if options.contains("detect_leaks=1") {
        // The last one is called first, and LeakSanitizer was here before.
        // SAFETY: `at_the_end` is there until the end.
        let failed = unsafe { libc::atexit(at_the_end) };
        assert_eq!(failed, 0);
    }
}

/// A panic ends the process at once, with a failure.
extern "C" fn at_the_end() {
    // SAFETY: it only answers.
    if unsafe { libc::gettid() }.unsigned_abs() != process::id() {
        // Ended by another thread than the main one, in the midst of something.
        return;
    }
    let timers = default_timers();
    let began = Instant::now();
    loop {
        // In this order: who has ended asks for nothing more.
        let left = threads();
        let armed: usize = timers.iter().map(Timers::outstanding).sum();
        if armed == 0 && left.len() == 1 {
            return;
        }
        assert!(
            began.elapsed().as_secs() < 30,
            "{armed} armed, and {left:?}"
        );
        if left.len() > 1 {
            // Has their thread find that nothing is left.
            for timers in &timers {
                timers.run();
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The names of this process's threads.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")));
    // One that has ended meanwhile has no name.
    names.filter_map(Result::ok).collect()
}
