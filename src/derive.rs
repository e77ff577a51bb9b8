//! [`Derive`]: several facets, one node.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::error::Cause;
use crate::handle::{CancelHandle, pair};
use crate::node::{Facets, Given, Kind, Plan};
use crate::protocol::Planned;
use crate::time;
use crate::values::Key;

/// Builds a child with several facets as one context.
///
/// Made by [`Context::derive`]. Nothing is derived before
/// [`build`](Derive::build).
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (server, stop) = Context::background().derive().name("server").build();
/// assert_eq!(server.name(), Some("server"));
/// assert_eq!(server.to_string(), "background.server");
/// assert!(stop.cancel());
/// ```
#[must_use = "nothing is derived before `build`"]
pub struct Derive<'a> {
    parent: &'a Context,
    name: Option<Cow<'static, str>>,
    facets: Facets,
    others: Vec<Context>,
    values: Vec<Given>,
    time: Option<When>,
    cause: Option<Cause>,
}

/// When the context is to be done.
#[derive(Clone, Copy)]
enum When {
    At(Instant),
    After(Duration),
}

impl Derive<'_> {
    /// Names the context, for `Display`, `Debug` and reports.
    ///
    /// A second call replaces the name. Names need not be unique.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let number = 7;
    /// let (job, _handle) = Context::todo().derive().name(format!("job-{number}")).build();
    /// assert_eq!(job.to_string(), "todo.job-7");
    /// ```
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Gives the context a value, found by its type.
    ///
    /// As [`Context::with_value`] otherwise. A second value of the same type
    /// replaces the first.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// struct User(&'static str);
    ///
    /// let (request, _handle) = Context::background()
    ///     .derive()
    ///     .name("request")
    ///     .value(User("ada"))
    ///     .build();
    /// assert_eq!(request.value::<User>().unwrap().0, "ada");
    /// assert_eq!(request.to_string(), "background.request");
    /// ```
    #[doc(alias = "WithValue")]
    pub fn value<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.give(Given::new(None, value))
    }

    /// Gives the context a value, found by `key`.
    ///
    /// As [`Context::with_key`] otherwise. A second value under the same key
    /// replaces the first.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Key};
    ///
    /// static TENANT: Key<&str> = Key::new("tenant");
    /// static RETRIES: Key<u32> = Key::new("retries");
    ///
    /// let (ctx, _handle) = Context::background()
    ///     .derive()
    ///     .key(&TENANT, "acme")
    ///     .key(&RETRIES, 3)
    ///     .build();
    /// assert_eq!(ctx.get(&TENANT), Some(&"acme"));
    /// assert_eq!(ctx.get(&RETRIES), Some(&3));
    /// ```
    pub fn key<T: Send + Sync + 'static>(self, key: &'static Key<T>, value: T) -> Self {
        self.give(Given::new(Some(key), value))
    }

    fn give(mut self, new: Given) -> Self {
        match self.values.iter_mut().find(|given| given.meets(&new)) {
            Some(given) => *given = new,
            None => self.values.push(new),
        }
        self
    }

    /// Keeps cancels from above out: as
    /// [`without_cancel`](Context::without_cancel), with a handle of its own.
    ///
    /// Names and values go through; cancel, reason and cause do not, whatever
    /// the parent does. What is derived from the new context starts clean.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (request, handle) = Context::background().with_cancel();
    /// let (flush, stop_flush) = request.derive().name("flush").shield().build();
    /// handle.cancel();
    /// assert!(!flush.is_cancelled());
    /// stop_flush.cancel();
    /// assert!(flush.is_cancelled());
    /// ```
    #[doc(alias = "without_cancel")]
    pub fn shield(mut self) -> Self {
        self.facets = self.facets.and(Facets::SHIELDED);
        self
    }

    /// Makes the context done also when `other` is: see [`Context::link`]. May
    /// be called several times.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (server, _stop) = Context::background().with_cancel();
    /// let (request, gone) = Context::background().with_cancel();
    /// let (job, _handle) = server.derive().name("job").link(&request).build();
    /// gone.cancel();
    /// assert!(job.is_cancelled() && !server.is_cancelled());
    /// ```
    pub fn link(mut self, other: &Context) -> Self {
        self.others.push(other.clone());
        self
    }

    /// Gives the context a deadline: see [`Context::with_deadline`].
    ///
    /// Of several calls of this and of [`timeout`](Derive::timeout) the last one
    /// counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::{Duration, Instant};
    ///
    /// let at = Instant::now() + Duration::from_secs(60);
    /// let (job, _handle) = Context::background().derive().name("job").deadline(at).build();
    /// assert_eq!(job.deadline(), Some(at));
    /// ```
    #[doc(alias = "WithDeadline")]
    pub fn deadline(mut self, at: Instant) -> Self {
        self.time = Some(When::At(at));
        self
    }

    /// Gives the context so much time, from [`build`](Derive::build) on: see
    /// [`Context::with_timeout`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// let (job, _handle) = Context::background().derive().timeout(minute).build();
    /// assert!(job.remaining().unwrap() <= minute);
    /// ```
    #[doc(alias = "WithTimeout")]
    pub fn timeout(mut self, after: Duration) -> Self {
        self.time = Some(When::After(after));
        self
    }

    /// What the context reports as its cause if its own deadline comes.
    ///
    /// Used for nothing else: if a deadline above comes first, or if somebody
    /// cancels, it is dropped with the context; without a deadline of its own at
    /// once.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::time::Duration;
    ///
    /// let root = Context::background();
    /// let job = root.derive().timeout(Duration::ZERO);
    /// let (job, _handle) = job.deadline_cause("no time at all").build();
    /// assert_eq!(job.cause().unwrap().to_string(), "no time at all");
    /// ```
    pub fn deadline_cause(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Derives the context, with the right to cancel it.
    ///
    /// As [`Context::with_cancel`] otherwise. If it has a name, the line of this
    /// call and the time are noted, for [`Context::tree`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().derive().build();
    /// assert_eq!(ctx.to_string(), "background.derive");
    /// assert!(handle.cancel());
    /// ```
    #[track_caller]
    pub fn build(self) -> (Context, CancelHandle) {
        let parent = self.parent.node();
        // Not within the closure, which has a caller of its own.
        let location = Location::caller();
        let birth = self.name.is_some().then(|| parent.birth(location));
        let plan = Plan {
            name: self.name,
            values: self.values,
            cause: self.cause,
            birth,
            ..Plan::of(Kind::Derived, self.facets)
        };
        let others = self.others.iter().map(Context::node);
        let derive = |time: Option<Planned<'_>>| {
            if self.others.is_empty() {
                parent.derive_plan(plan, time)
            } else {
                parent.derive_linked(plan, time, others)
            }
        };
        pair(match self.time {
            None => derive(None),
            Some(When::At(at)) => {
                time::with(parent, |clockwork| derive(Some(Planned::at(at, clockwork))))
            }
            Some(When::After(length)) => time::with(parent, |clockwork| {
                derive(Planned::after(length, clockwork))
            }),
        })
    }
}

/// Prints the names of keys and types, not the values.
impl fmt::Debug for Derive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Derive");
        out.field("parent", &format_args!("{}", self.parent.id()));
        if let Some(name) = &self.name {
            out.field("name", name);
        }
        if !self.values.is_empty() {
            let labels: Vec<&str> = self.values.iter().map(Given::label).collect();
            out.field("values", &labels);
        }
        match self.time {
            None => {}
            Some(When::At(at)) => {
                out.field("deadline", &at);
            }
            Some(When::After(length)) => {
                out.field("timeout", &length);
            }
        }
        out.finish()
    }
}

impl Context {
    /// Starts a builder for a child with several facets.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (root, handle) = Context::background().with_cancel();
    /// let (ctx, _keep) = root.derive().name("worker").build();
    /// handle.cancel();
    /// assert!(ctx.is_cancelled());
    /// ```
    pub fn derive(&self) -> Derive<'_> {
        Derive {
            parent: self,
            name: None,
            facets: Facets::CANCELABLE,
            others: Vec::new(),
            values: Vec::new(),
            time: None,
            cause: None,
        }
    }
}
