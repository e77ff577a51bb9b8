//! What is registered: polled, stopped and dropped, on the reference and on the
//! library. None of it runs user's code.

use super::super::reference;
use super::world::World;
use ctxtree::Stop;
use std::pin::Pin;
use std::task::{self, Poll, Waker};

pub(super) fn poll(world: &mut World, wait: usize, waker: bool) {
    let waiting = &mut world.waits[wait];
    let ready = world.reference.poll(waiting.wait, waker);
    let bell = Waker::from(waiting.bells[usize::from(waker)].clone());
    let polled = Pin::new(&mut waiting.future).poll(&mut task::Context::from_waker(&bell));
    let node = world.reference.waits_for(waiting.wait);
    assert_eq!(polled.is_ready(), ready, "a wait for node {node}");
    if let Poll::Ready(error) = polled {
        world.compare_told(node, &error);
    }
}

pub(super) fn stop(world: &mut World, place: usize, join: bool) {
    let (callback, registration) = &world.registrations[place];
    let stopped = match join {
        false => registration.stop(),
        true => registration.stop_and_join(),
    };
    let stopped = match stopped {
        Stop::Prevented => reference::Stop::Prevented,
        Stop::Running => reference::Stop::Running,
        Stop::Finished => reference::Stop::Finished,
        Stop::AlreadyStopped => reference::Stop::AlreadyStopped,
    };
    let due = world.reference.stop(*callback);
    assert_eq!(stopped, due, "stop of callback {callback}");
}

pub(super) fn drop_registration(world: &mut World, place: usize) {
    let (callback, registration) = world.registrations.remove(place);
    world.reference.stop(callback);
    drop(registration);
}

pub(super) fn drop_wait(world: &mut World, wait: usize) {
    let waiting = world.waits.remove(wait);
    world.reference.drop_wait(waiting.wait);
    drop(waiting.future);
    world.given_up.extend(waiting.bells);
}

pub(super) fn drop_registered(world: &mut World, newest_first: bool) {
    while !world.waits.is_empty() {
        let place = end(world.waits.len(), newest_first);
        drop_wait(world, place);
        world.compare();
    }
    while !world.registrations.is_empty() {
        let place = end(world.registrations.len(), newest_first);
        drop_registration(world, place);
        world.compare();
    }
}

/// One end of what has this length.
pub(super) fn end(len: usize, newest_first: bool) -> usize {
    if newest_first { len - 1 } else { 0 }
}
