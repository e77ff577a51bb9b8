//! A source that fires when the program wants it to.

use super::Fires;
use super::counted::{Counted, Tally};
use ctxtree::{CancelSource, Cause};
use std::any::type_name;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Notify = Box<dyn FnOnce() + Send>;

/// What the sources of a program have in common.
#[derive(Clone, Default)]
pub(super) struct Sources {
    pub(super) objects: Tally,
    pub(super) registrations: Tally,
    notify: Arc<Mutex<BTreeMap<u32, Notify>>>,
}

impl Sources {
    /// Those that can still be made to fire.
    pub(super) fn armed(&self) -> Vec<u32> {
        self.notify.lock().unwrap().keys().copied().collect()
    }

    /// What makes a source fire.
    pub(super) fn take(&self, source: u32) -> Notify {
        self.notify.lock().unwrap().remove(&source).unwrap()
    }

    pub(super) fn make(
        &self,
        number: u32,
        fires: Fires,
        sticky: bool,
        cause: Option<(u32, Tally)>,
    ) -> Script {
        Script {
            object: self.objects.make(number),
            done: Mutex::new(fires == Fires::Before),
            fires,
            sticky,
            cause,
            sources: self.clone(),
        }
    }
}

pub(super) struct Script {
    object: Counted,
    done: Mutex<bool>,
    fires: Fires,
    /// Whether it may fire although it was deregistered.
    sticky: bool,
    cause: Option<(u32, Tally)>,
    sources: Sources,
}

/// The name of the type, as it is displayed.
pub(super) fn label() -> &'static str {
    type_name::<Script>()
}

impl CancelSource for Script {
    fn is_cancelled(&self) -> bool {
        *self.done.lock().unwrap()
    }

    fn error(&self) -> Option<Cause> {
        let (number, causes) = self.cause.as_ref()?;
        Some(Cause::new(causes.make(*number)))
    }

    fn on_cancel(&self, notify: Notify) -> Box<dyn Send> {
        let number = self.object.number;
        match self.fires {
            Fires::Before => unreachable!("it was asked before"),
            Fires::Meanwhile => {
                *self.done.lock().unwrap() = true;
                notify();
            }
            Fires::Silently => *self.done.lock().unwrap() = true,
            Fires::Later => {
                self.sources.notify.lock().unwrap().insert(number, notify);
            }
        }
        Box::new(Registered {
            _object: self.sources.registrations.make(number),
            number,
            sticky: self.sticky,
            sources: self.sources.clone(),
        })
    }
}

/// Deregisters when dropped.
struct Registered {
    _object: Counted,
    number: u32,
    sticky: bool,
    sources: Sources,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if !self.sticky {
            let notify = self.sources.notify.lock().unwrap().remove(&self.number);
            drop(notify);
        }
    }
}
