//! Wing and Gong's search for an order that explains a history.

use super::program::{Call, Program};
use super::record::{Event, What};
use super::spec::{Part, World};
use std::collections::HashSet;

/// One moment of a history.
struct Step {
    event: usize,
    part: Part,
    began: usize,
    ended: usize,
    /// The step that must come before, of the same event.
    after: Option<usize>,
}

/// How a search ended.
#[derive(Debug)]
pub(super) enum Found {
    /// There is an order.
    Order,
    /// There is none; so many events were explained at most.
    None(usize),
    /// It took too long.
    Unknown,
}

/// States that a search looks at before it gives up.
const PATIENCE: usize = 200_000;

/// A callback that runs where it is registered.
pub(super) fn at_once(run: &Event, callback: usize, events: &[Event]) -> bool {
    events.iter().any(|event| {
        matches!(event.what, What::Call(Call::Register(_, number)) if number == callback)
            && event.thread == run.thread
            && event.began < run.began
            && run.ended < event.ended
    })
}

/// Contexts whose deadline is set while time passes: who fires it, the one that
/// lets it pass or the one that sets it, is left open.
fn set_meanwhile(passing: &Event, events: &[Event]) -> Vec<usize> {
    let sets = events.iter().filter_map(|event| match event.what {
        What::Call(Call::SetDeadline(node, _))
            if event.began < passing.ended && passing.began < event.ended =>
        {
            Some(node)
        }
        _ => None,
    });
    sets.collect()
}

/// Whether somebody lets time pass meanwhile: then the clock still reads the time of
/// what is fired, and what is set to come before the end may be left to the next.
fn time_passes(set: &Event, events: &[Event]) -> bool {
    events.iter().any(|event| {
        matches!(event.what, What::Call(Call::Advance(_)))
            && event.began < set.ended
            && set.began < event.ended
    })
}

/// A callback below a link.
fn by_link(callback: usize, program: &Program, events: &[Event]) -> bool {
    events.iter().any(|event| match event.what {
        What::Call(Call::Register(node, number)) => {
            number == callback && program.is_below_link(node)
        }
        _ => false,
    })
}

fn steps(program: &Program, events: &[Event]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let (began, ended) = (event.began, event.ended);
        let act = match event.what {
            What::Run(callback) if at_once(event, callback, events) => Part::AtOnce,
            What::Run(callback) if by_link(callback, program, events) => Part::ByLink,
            _ => Part::Act,
        };
        let back = match event.what {
            What::Call(Call::Cancel(_)) => Some(Part::Return(Vec::new())),
            What::Call(Call::SetDeadline(..)) if !time_passes(event, events) => {
                Some(Part::Return(Vec::new()))
            }
            What::Call(Call::Advance(_)) => Some(Part::Return(set_meanwhile(event, events))),
            _ => None,
        };
        let mut after = None;
        for part in [Some(act), back].into_iter().flatten() {
            steps.push(Step {
                event: number,
                part,
                began,
                ended,
                after,
            });
            after = Some(steps.len() - 1);
        }
    }
    steps
}

/// Looks for an order of the steps, within the times of their events, that the
/// specification allows.
pub(super) fn search(program: &Program, events: &[Event]) -> Found {
    let steps = steps(program, events);
    assert!(steps.len() <= 128, "too long a history");
    let mut world = World::new(program.shape.len(), program.nodes, program.callbacks);
    for (node, (parents, deadline)) in program.shape.iter().enumerate() {
        world.plant(node, parents, *deadline);
    }
    let mut seen = HashSet::new();
    // What is still to be looked at: the latest first, no matter how deep.
    let mut open = vec![(0_u128, world)];
    let mut most = 0;
    while let Some((taken, world)) = open.pop() {
        if taken.count_ones() as usize == steps.len() {
            return Found::Order;
        }
        most = most.max(taken.count_ones() as usize);
        if seen.len() > PATIENCE {
            return Found::Unknown;
        }
        let is_taken = |step: usize| taken & (1 << step) != 0;
        let left = (0..steps.len()).filter(|&step| !is_taken(step));
        let first_end = left.clone().map(|step| steps[step].ended).min();
        let mut next: Vec<usize> = left
            .filter(|&step| Some(steps[step].began) <= first_end)
            .filter(|&step| steps[step].after.is_none_or(is_taken))
            .collect();
        // The one that ends first is the likeliest, and so looked at first.
        next.sort_by_key(|&step| std::cmp::Reverse(steps[step].ended));
        for step in next {
            let Step { event, part, .. } = &steps[step];
            for after in world.after(*event, &events[*event], part) {
                let state = (taken | 1 << step, after);
                if seen.insert(state.clone()) {
                    open.push(state);
                }
            }
        }
    }
    Found::None(most)
}
