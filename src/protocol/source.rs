//! A foreign source as a parent.
//!
//! The source is the node's: it lives as long as the ties. What it is given to
//! call knows the node and the source, and keeps neither, so that no cycle
//! through foreign code can keep either side alive. All foreign code runs
//! outside everything: while registering, when the ties are cut, and when it is
//! asked for the error.
//!
//! A source that fires is not deregistered by that: it may be calling under a
//! lock that its own deregistration takes. Its ties are cut when the node ends.
//!
//! Models: `source_vs_cancel`, `source_vs_drop`, `source_vs_last_child`.

use super::NodeRef;
use super::dispose::Panics;
use super::hold::Hold;
use crate::error::Cause;
use crate::node::{Away, Facets, Kind, Plan, To};
use std::sync::{Arc, Weak};

/// What this room needs of a source.
pub(crate) trait Foreign: Send + Sync + 'static {
    fn is_cancelled(&self) -> bool;
    fn error(&self) -> Option<Cause>;
    fn on_cancel(&self, notify: Box<dyn FnOnce() + Send>) -> Box<dyn Send>;
}

/// What a source is given to call.
struct Bell<S> {
    away: Arc<Away>,
    source: Weak<S>,
}

/// What ties a node to a source. The registration goes first.
struct Watch<S> {
    registration: Option<Box<dyn Send>>,
    source: Option<Arc<S>>,
}

impl<S> Drop for Watch<S> {
    fn drop(&mut self) {
        // Each may panic, which keeps the other from nothing (V14).
        let mut panics = Panics::new();
        panics.catch(|| drop(self.registration.take()));
        panics.catch(|| drop(self.source.take()));
        panics.resume();
    }
}

impl<S: Foreign> Bell<S> {
    /// The source is done.
    fn ring(&self) {
        // Kept first: the error is asked for only if somebody wants it.
        let Some(hold) = Hold::at(&self.away).filter(Hold::is_live) else {
            return;
        };
        // Gone: the node was done before.
        if let Some(source) = self.source.upgrade() {
            // It is done, also if it panics when asked why.
            let mut panics = Panics::new();
            let mut cause = None;
            panics.catch(|| cause = source.error());
            panics.catch(|| {
                hold.cancel(cause);
            });
            panics.catch(|| drop(source));
            panics.resume();
        }
    }
}

impl NodeRef {
    /// A node below this one that is also done when `source` is, with two
    /// handles.
    pub(crate) fn derive_from<S: Foreign>(
        &self,
        source: S,
        type_name: &'static str,
    ) -> (NodeRef, NodeRef) {
        let to = To::Source(type_name);
        let (one, another) = self.derive_far(Plan::of(Kind::Source, Facets::CANCELABLE), to, None);
        if one.is_done() {
            return (one, another);
        }
        let source = Arc::new(source);
        let bell = Bell {
            away: one.node().far().expect("a far node").away.clone(),
            source: Arc::downgrade(&source),
        };
        if source.is_cancelled() {
            bell.ring();
            return (one, another);
        }
        let bell = Arc::new(bell);
        let ringing = bell.clone();
        let registration = source.on_cancel(Box::new(move || ringing.ring()));
        let watch = Watch {
            registration: Some(registration),
            source: Some(source.clone()),
        };
        // A source that was done in between may have told nobody.
        if source.is_cancelled() {
            bell.ring();
        }
        drop(source);
        one.tie(Box::new(watch));
        (one, another)
    }
}
