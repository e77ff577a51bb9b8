//! Fake time: a login that ends after a quarter of an hour without a sign of
//! life, and after eight hours whatever happens, tested in no time at all.
//!
//! ```text
//! $ cargo run --example manual_clock
//!   0:00:00  ada logs in
//!   0:10:00  ada does something, may be idle until 0:25:00
//!   0:20:00  ada does something, may be idle until 0:35:00
//!   0:35:00  ada is logged out (context deadline exceeded: idle for too long)
//!   0:35:00  brian logs in
//!   8:35:00  brian is logged out (context deadline exceeded: the day is over)
//! ```
//!
//! `Session` knows nothing of clocks: it derives from the context it is given,
//! and takes the time from whoever calls it. A program gives it a context of
//! real time and `Instant::now()`; a test, a context of a clock it moves itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ctxtree::time::ManualClock;
use ctxtree::{CancelHandle, Context};

const MINUTE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(8 * 60 * 60);

struct Session {
    context: Context,
    handle: CancelHandle,
}

impl Session {
    fn begin(root: &Context) -> Session {
        // The outer deadline bounds the inner one, wherever that is moved.
        let (day, _) = root.with_timeout_cause(DAY, "the day is over");
        let (context, handle) = day.with_timeout_cause(IDLE, "idle for too long");
        Session { context, handle }
    }

    /// A sign of life. False: the session is over.
    fn touch(&self, now: Instant) -> bool {
        self.handle.set_deadline(now + IDLE)
    }
}

fn main() {
    for line in a_day() {
        println!("{line}");
    }
}

/// Eight hours and more, as lines of a log.
fn a_day() -> Vec<String> {
    let clock = ManualClock::new();
    let start = clock.now();
    let root = Context::background().with_clock(&clock);
    let log = Log(Arc::default());

    log.write(clock.now() - start, "ada logs in");
    let ada = Session::begin(&root);
    let _told = tell(&ada, "ada", &clock, start, &log);
    for _ in 0..2 {
        clock.advance(10 * MINUTE);
        assert!(ada.touch(clock.now()));
        let until = ada.context.deadline().expect("it has two") - start;
        let line = format!("ada does something, may be idle until {}", time(until));
        log.write(clock.now() - start, &line);
    }
    // To the very instant of the deadline: not before it, and not after.
    clock.advance(IDLE - Duration::from_nanos(1));
    assert!(!ada.context.is_cancelled());
    clock.advance(Duration::from_nanos(1));
    assert!(ada.context.is_cancelled() && !ada.touch(clock.now()));

    log.write(clock.now() - start, "brian logs in");
    let brian = Session::begin(&root);
    let _told = tell(&brian, "brian", &clock, start, &log);
    // Far more than a day: what is due on the way happens when it is due.
    while brian.touch(clock.now()) {
        clock.advance(14 * MINUTE);
    }
    assert_eq!(clock.outstanding(), 0);
    log.lines()
}

/// Logs the session's end. A callback runs at the instant of the deadline,
/// however far the step goes that passes it.
fn tell(
    session: &Session,
    name: &'static str,
    clock: &ManualClock,
    start: Instant,
    log: &Log,
) -> ctxtree::Registration {
    let (clock, log) = (clock.clone(), log.clone());
    session.context.after_cancel(move |error| {
        let line = format!("{name} is logged out ({error})");
        log.write(clock.now() - start, &line);
    })
}

#[derive(Clone)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn write(&self, at: Duration, line: &str) {
        let line = format!("{:>9}  {line}", time(at));
        self.0.lock().expect("no writer panics").push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no writer panics").clone()
    }
}

fn time(at: Duration) -> String {
    let seconds = at.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_goes_as_the_text_above_says() {
        let text = include_str!("manual_clock.rs");
        let said: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.starts_with("//! $ cargo run"))
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.strip_prefix("//! ").unwrap())
            .collect();
        assert_eq!(a_day(), said);
        assert_eq!(said.len(), 6);
    }

    #[test]
    fn an_idle_session_ends_to_the_nanosecond() {
        let clock = ManualClock::new();
        let session = Session::begin(&Context::background().with_clock(&clock));
        clock.advance(IDLE - Duration::from_nanos(1));
        assert_eq!(session.context.remaining(), Some(Duration::from_nanos(1)));
        assert!(!session.context.is_cancelled());
        clock.advance(Duration::from_nanos(1));
        let error = session.context.error().unwrap();
        assert!(error.is_timeout());
        assert_eq!(error.cause().unwrap().to_string(), "idle for too long");
    }

    #[test]
    fn a_log_out_leaves_nothing_to_fire() {
        let clock = ManualClock::new();
        let session = Session::begin(&Context::background().with_clock(&clock));
        assert_eq!(clock.outstanding(), 2);
        assert!(session.handle.cancel());
        drop(session);
        assert_eq!(clock.outstanding(), 0);
        clock.advance(DAY);
    }
}
