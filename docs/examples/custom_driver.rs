//! Deadlines without a thread of their own: a program that has an event loop
//! already, and drives the timers from it.
//!
//! ```text
//! $ cargo run --example custom_driver
//! loop: `resize` begins
//! loop: `encode` begins
//! loop: `resize` is done
//! loop: `encode` is given up (context deadline exceeded: 80ms are over)
//! loop: nothing is left
//! ```
//!
//! The loop waits for events, here on a channel; with `poll`, `epoll` or `kqueue`
//! it looks the same. It needs two things: how long it may wait, which
//! [`Timers::run`] says, and to be woken when somebody arms a deadline that is
//! earlier, for which [`Driver::wake`] is there. In return every callback of a
//! deadline runs on the loop's own thread, between two events.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ctxtree::time::{Driver, Timers};
use ctxtree::{CancelHandle, Context};

enum Event {
    /// A job was handed in, and has so long.
    Begin(&'static str, Duration),
    Done(&'static str),
    /// A job's deadline has passed.
    GivenUp(&'static str, String, ThreadId),
    /// The earliest deadline is not the one that the loop waits for.
    Timers,
}

struct LoopDriver {
    events: Sender<Event>,
}

impl Driver for LoopDriver {
    fn now(&self) -> Instant {
        Instant::now()
    }

    // Called by whoever arms the deadline, so it does no more than it must: one
    // event, as one would write to an eventfd or to the other end of a pipe.
    fn wake(&self, _timers: &Timers) {
        // The loop has ended: nobody waits for deadlines any more.
        let _ = self.events.send(Event::Timers);
    }
}

struct Job {
    name: &'static str,
    handle: CancelHandle,
}

fn main() {
    let (events, inbox) = mpsc::channel();
    let hand_in = events.clone();
    // Another part of the program, which knows the loop by its channel only.
    thread::spawn(move || {
        let hand_in = |event| hand_in.send(event).expect("the loop has two jobs to do");
        hand_in(Event::Begin("resize", Duration::from_secs(5)));
        hand_in(Event::Begin("encode", Duration::from_millis(80)));
        hand_in(Event::Done("resize"));
        // Nobody ever says that `encode` is done.
    });
    run(events, &inbox, 2, &mut |line| println!("{line}"));
}

/// The event loop, until so many jobs have ended.
fn run(
    events: Sender<Event>,
    inbox: &Receiver<Event>,
    mut to_end: usize,
    say: &mut dyn FnMut(String),
) {
    let timers = Timers::new(LoopDriver {
        events: events.clone(),
    });
    // All deadlines below this context are driven from here. To have all of the
    // program's, `time::set_default_driver(&timers)`.
    let root = Context::background().with_driver(&timers);
    let mut jobs: Vec<Job> = Vec::new();
    while to_end > 0 {
        match next(&timers, inbox) {
            Event::Begin(name, limit) => {
                say(format!("loop: `{name}` begins"));
                jobs.push(begin(&root, name, limit, events.clone()));
            }
            Event::Done(name) => {
                jobs.retain(|job| job.name != name);
                say(format!("loop: `{name}` is done"));
                to_end -= 1;
            }
            Event::GivenUp(name, error, on) => {
                assert_eq!(on, thread::current().id());
                let job = jobs.iter().position(|job| job.name == name);
                // A job may be done in the same moment: then it is done.
                if let Some(job) = job {
                    assert!(!jobs.swap_remove(job).handle.cancel());
                    say(format!("loop: `{name}` is given up ({error})"));
                    to_end -= 1;
                }
            }
            Event::Timers => {}
        }
    }
    assert_eq!(timers.outstanding(), 0);
    say("loop: nothing is left".to_owned());
}

/// Fires what is due, then waits for an event, but not past the next deadline.
fn next(timers: &Timers, inbox: &Receiver<Event>) -> Event {
    let event = match timers.run() {
        Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
        // No deadline: `wake` will end the wait when there is one.
        None => inbox.recv().map_err(RecvTimeoutError::from),
    };
    match event {
        Ok(event) => event,
        Err(RecvTimeoutError::Timeout) => Event::Timers,
        Err(RecvTimeoutError::Disconnected) => unreachable!("the driver has a sender"),
    }
}

fn begin(root: &Context, name: &'static str, limit: Duration, events: Sender<Event>) -> Job {
    let job = root.derive().name(name).timeout(limit);
    let (context, handle) = job.deadline_cause(format!("{limit:?} are over")).build();
    let given_up = context.after_cancel(move |error| {
        let here = thread::current().id();
        // As in `wake`.
        let _ = events.send(Event::GivenUp(name, error.to_string(), here));
    });
    // It goes with the job.
    given_up.detach();
    Job { name, handle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_given_up_by_the_loop_itself_and_not_before_its_time() {
        let (events, inbox) = mpsc::channel();
        let limit = Duration::from_millis(30);
        events
            .send(Event::Begin("resize", Duration::from_secs(60)))
            .unwrap();
        events.send(Event::Begin("encode", limit)).unwrap();
        events.send(Event::Done("resize")).unwrap();
        let (mut lines, start) = (Vec::new(), Instant::now());
        run(events, &inbox, 2, &mut |line| lines.push(line));
        assert!(start.elapsed() >= limit);
        assert_eq!(
            lines,
            [
                "loop: `resize` begins",
                "loop: `encode` begins",
                "loop: `resize` is done",
                "loop: `encode` is given up (context deadline exceeded: 30ms are over)",
                "loop: nothing is left",
            ]
        );
    }

    #[test]
    fn a_loop_that_sleeps_is_woken_by_a_deadline_armed_elsewhere() {
        let (events, inbox) = mpsc::channel();
        let timers = Timers::new(LoopDriver { events });
        let root = Context::background().with_driver(&timers);
        assert_eq!(timers.run(), None);
        let armed = thread::spawn(move || root.with_timeout(Duration::from_millis(10)));
        // Not in time for a loop that would wait for an hour.
        let woken = inbox.recv_timeout(Duration::from_secs(3600));
        assert!(matches!(woken, Ok(Event::Timers)));
        let (context, _handle) = armed.join().unwrap();
        while !context.is_cancelled() {
            let at = timers.run().unwrap_or_else(Instant::now);
            thread::sleep(at.saturating_duration_since(Instant::now()));
        }
        assert!(context.error().unwrap().is_timeout());
        assert_eq!(timers.outstanding(), 0);
    }
}
