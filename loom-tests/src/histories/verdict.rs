//! What is wrong with a history, if anything.

use super::program::{Call, Program};
use super::record::{Answer, Cause, Event, What};
use super::search::{self, Found};
use ctxtree::Stop;

/// Why no plain tree behaves like that.
pub(super) fn fault(program: &Program, events: &[Event]) -> Option<String> {
    callback_fault(program, events).or_else(|| match search::search(program, events) {
        Found::Order => None,
        Found::None(most) => Some(format!(
            "no order explains this history, at most {most} moments of it"
        )),
        Found::Unknown => Some("the search for an order took too long".to_owned()),
    })
}

fn callback_fault(program: &Program, events: &[Event]) -> Option<String> {
    for event in events {
        let What::Call(Call::Register(node, callback)) = event.what else {
            continue;
        };
        let ran: Vec<&Event> = events
            .iter()
            .filter(|event| event.what == What::Run(callback))
            .collect();
        let prevented = events.iter().any(|event| {
            event.what == What::Call(Call::Stop(callback))
                && event.answer == Answer::Stop(Stop::Prevented)
        });
        let thread = &program.threads[event.thread];
        let held = thread.keeps && !thread.calls.contains(&Call::Drop(node));
        if ran.len() > 1 || held && ran.is_empty() && !prevented {
            return Some(format!("callback {callback} ran {} times", ran.len()));
        }
        let Some(run) = ran.first() else { continue };
        let Answer::Why(Some(why)) = run.answer else {
            return Some(format!("callback {callback} was told nothing"));
        };
        if let Cause::Cancel(cancel) = why.cause {
            let by = [event.thread, events[cancel].thread];
            let at_once = search::at_once(run, callback, events);
            // Of a link, whoever decides it delivers.
            if !program.is_below_link(node) && run.thread != by[usize::from(!at_once)] {
                return Some(format!("callback {callback} ran on another thread"));
            }
        }
    }
    None
}
