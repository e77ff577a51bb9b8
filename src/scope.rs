//! [`Context::scope`]: threads that may borrow, and end together.
//!
//! `std::thread::scope` with a context: the first failure cancels it, and is
//! what the scope ends with. No panic gets through to the standard library's
//! scope, which would see it only after all threads are joined.

mod shared;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::thread;

use crate::context::{Context, debug_as};
use crate::node::{Facets, Kind, Plan};
use shared::{Part, Shared};

/// Starts the threads of one scope. Made by [`Context::scope`].
///
/// Clones start threads of the same scope: a thread that is to start further
/// ones takes a clone with it.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, Scope};
/// use std::fmt::Error;
///
/// /// One thread for each level.
/// fn descend(scope: &Scope<'_, '_, Error>, levels: usize) {
///     let deeper = scope.clone();
///     scope.spawn(move |ctx| {
///         if levels > 0 && !ctx.is_cancelled() {
///             descend(&deeper, levels - 1);
///         }
///         Ok(())
///     });
/// }
///
/// let done = Context::background().scope(|scope| {
///     descend(scope, 3);
///     Ok(())
/// });
/// assert_eq!(done, Ok(()));
/// ```
///
/// What a thread borrows must outlive the scope:
///
/// ```compile_fail,E0373
/// use ctxtree::{Context, Scope};
///
/// let _: Result<(), std::fmt::Error> = Context::background().scope(|scope| {
///     let inside = 1;
///     scope.spawn(|_| {
///         assert_eq!(inside, 1);
///         Ok(())
///     });
///     Ok(())
/// });
/// ```
///
/// and nothing that starts threads leaves it:
///
/// ```compile_fail
/// use ctxtree::{Context, Scope};
///
/// let left: Result<Scope<'_, '_, std::fmt::Error>, _> =
///     Context::background().scope(|scope| Ok(scope.clone()));
/// ```
pub struct Scope<'scope, 'env: 'scope, E> {
    threads: &'scope thread::Scope<'scope, 'env>,
    shared: Arc<Shared<E>>,
}

impl<'scope, E: Error + Send + Sync + Clone + 'static> Scope<'scope, '_, E> {
    /// Starts a thread, and gives it a context below that of the scope.
    ///
    /// Should it fail, or panic, the scope does: see [`Context::scope`]. The
    /// thread is started also when the context is done already; it finds that
    /// out by the first look at its own.
    ///
    /// # Panics
    ///
    /// If the system cannot start a thread, as
    /// [`std::thread::Scope::spawn`]; [`try_spawn`](Scope::try_spawn) tells
    /// instead.
    ///
    /// # Memory ordering
    ///
    /// `f` sees what this thread did before, and what `f` did is visible when
    /// the scope has returned.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let mut halves = [0; 2];
    /// let [left, right] = &mut halves;
    /// let done = Context::background().scope(|scope| {
    ///     scope.spawn(|_| Ok(*left = (1..=50).sum()));
    ///     scope.spawn(|_| Ok(*right = (51..=100).sum()));
    ///     Ok::<_, std::fmt::Error>(())
    /// });
    /// assert!(done.is_ok());
    /// assert_eq!(halves[0] + halves[1], 5050);
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, f: F)
    where
        F: FnOnce(&Context) -> Result<(), E> + Send + 'scope,
    {
        self.start(None, f).expect("failed to spawn thread");
    }

    /// As [`spawn`](Scope::spawn), with a name for the thread and its context,
    /// and with an error where `spawn` panics.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot start a thread, or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a name with a zero
    /// byte in it. `f` is dropped then, before this returns; the scope goes on
    /// as if there had been no call.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    /// use std::io;
    /// use std::sync::Arc;
    ///
    /// let ctx = Context::background();
    /// let done = ctx.scope(|scope| {
    ///     scope.try_spawn("reader", |ctx| {
    ///         assert_eq!(ctx.name(), Some("reader"));
    ///         assert_eq!(std::thread::current().name(), Some("reader"));
    ///         Ok(())
    ///     })?;
    ///     Ok::<_, Arc<io::Error>>(())
    /// });
    /// assert!(done.is_ok());
    /// ```
    #[track_caller]
    pub fn try_spawn<F>(&self, name: impl Into<Cow<'static, str>>, f: F) -> io::Result<()>
    where
        F: FnOnce(&Context) -> Result<(), E> + Send + 'scope,
    {
        self.start(Some(name.into()), f)
    }

    #[track_caller]
    fn start<F>(&self, name: Option<Cow<'static, str>>, f: F) -> io::Result<()>
    where
        F: FnOnce(&Context) -> Result<(), E> + Send + 'scope,
    {
        let mut builder = thread::Builder::new();
        let mut derive = self.context().derive();
        if let Some(name) = &name {
            if name.contains('\0') {
                let text = "the name of a thread may not contain a zero byte";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            builder = builder.name(name.clone().into_owned());
            derive = derive.name(name.clone());
        }
        let (context, _) = derive.build();
        let part = Part {
            thread: Some(name),
            location: Location::caller(),
        };
        let shared = self.shared.clone();
        let body = move || {
            // The context goes with the work: closures that it drops may panic.
            shared.watch(&part, move || f(&{ context }));
        };
        builder.spawn_scoped(self.threads, body).map(drop)
    }

    /// The context of the scope: what its threads' are derived from.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let done = Context::background().scope(|scope| {
    ///     assert_eq!(scope.context().to_string(), "background.scope");
    ///     Ok::<_, std::fmt::Error>(())
    /// });
    /// assert!(done.is_ok());
    /// ```
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.shared.context
    }
}

impl<E> Clone for Scope<'_, '_, E> {
    fn clone(&self) -> Self {
        Self {
            threads: self.threads,
            shared: self.shared.clone(),
        }
    }
}

// Starting a thread leaves nothing half changed, should it panic.
impl<E> UnwindSafe for Scope<'_, '_, E> {}
impl<E> RefUnwindSafe for Scope<'_, '_, E> {}

/// Prints the context. Never blocks.
impl<E> fmt::Debug for Scope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as("Scope", &self.shared.context, f)
    }
}

impl Context {
    /// Runs `f`, which may start threads that borrow from here, and returns when
    /// all of them have ended.
    ///
    /// The threads get contexts below one that is made for the scope, a child of
    /// this one. The first of them that fails, `f` included, cancels it, with
    /// its error as the cause: the others see that on their contexts, and stop
    /// when they look. The scope waits for them, and fails with that first
    /// error. Later errors are dropped. If none fails, the scope gives what `f`
    /// gave, also if it was cancelled from above meanwhile: what to make of that
    /// is for `f` and the threads to say.
    ///
    /// Threads may start further ones, also after `f` has returned, and scopes
    /// may be nested. The [location](crate::CancelError::location) of the cancel
    /// is the line that started the thread which failed, or the one that called
    /// this. When this returns, the context of the scope is done in any case; if
    /// nothing else was, [`Finished`](crate::Finished) is the cause.
    ///
    /// This blocks the thread as long as the threads run. It is not for async
    /// code.
    ///
    /// # Errors
    ///
    /// The first error of a thread or of `f`.
    ///
    /// # Panics
    ///
    /// If a thread or `f` panics, the others are cancelled with a cause that
    /// says so, and the first panic goes on from here when all have ended; it
    /// goes before errors. A panic of who listens to the cancel counts as one of
    /// the thread that failed.
    ///
    /// # Memory ordering
    ///
    /// What the threads did is visible when this returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{Context, Scope};
    /// use std::num::ParseIntError;
    ///
    /// fn sum(ctx: &Context, lines: &[&str]) -> Result<u64, ParseIntError> {
    ///     let (left, right) = lines.split_at(lines.len() / 2);
    ///     let mut sums = [0; 2];
    ///     let [first, second] = &mut sums;
    ///     ctx.scope(|scope: &Scope<'_, '_, ParseIntError>| {
    ///         for (lines, sum) in [(left, first), (right, second)] {
    ///             scope.spawn(move |ctx| {
    ///                 for line in lines {
    ///                     if ctx.is_cancelled() {
    ///                         // The other half is no number.
    ///                         return Ok(());
    ///                     }
    ///                     *sum += line.parse::<u64>()?;
    ///                 }
    ///                 Ok(())
    ///             });
    ///         }
    ///         Ok(())
    ///     })?;
    ///     Ok(sums.iter().sum())
    /// }
    ///
    /// let ctx = Context::background();
    /// assert_eq!(sum(&ctx, &["1", "2", "3"]), Ok(6));
    /// assert!(sum(&ctx, &["1", "2", "three"]).is_err());
    /// ```
    #[track_caller]
    #[doc(alias = "thread_scope")]
    #[doc(alias = "errgroup")]
    pub fn scope<'env, T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: for<'scope> FnOnce(&Scope<'scope, 'env, E>) -> Result<T, E>,
        E: Error + Send + Sync + Clone + 'static,
    {
        let location = Location::caller();
        let plan = Plan {
            birth: Some(self.node().birth(location)),
            ..Plan::of(Kind::Scope, Facets::CANCELABLE)
        };
        let context = Context::from_node(self.node().derive(plan));
        let shared = Arc::new(Shared::new(context));
        let part = Part {
            thread: None,
            location,
        };
        let given = thread::scope(|threads| {
            let scope = Scope {
                threads,
                shared: shared.clone(),
            };
            shared.watch(&part, || f(&scope))
        });
        shared.end(given, location)
    }
}
