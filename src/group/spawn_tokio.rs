//! Tasks on a tokio runtime.

use super::spawn::{BoxTask, Refused, Spawn};
use tokio::runtime::Handle;

/// Runs tasks on a tokio runtime.
///
/// It is what [`TaskGroup::new`] uses inside a runtime. A runtime that shuts down
/// drops its tasks, which fails their groups.
///
/// # Examples
///
/// ```
/// use ctxtree::{Context, TaskGroup, spawn::Tokio};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// let tokio = Tokio::on(runtime.handle().clone());
/// let group = TaskGroup::<std::fmt::Error>::with_spawner(&Context::background(), tokio);
/// group.try_spawn(async { Ok(()) }).unwrap();
/// runtime.block_on(group.join()).unwrap();
/// ```
///
/// [`TaskGroup::new`]: crate::TaskGroup::new
#[derive(Clone, Debug)]
pub struct Tokio(Handle);

impl Tokio {
    /// The runtime this is called in.
    ///
    /// # Panics
    ///
    /// Outside of one.
    #[must_use]
    #[track_caller]
    pub fn current() -> Tokio {
        Tokio(Handle::current())
    }

    /// This runtime.
    #[must_use]
    pub fn on(handle: Handle) -> Tokio {
        Tokio(handle)
    }

    /// The runtime this is called in, if there is one.
    pub(super) fn here() -> Option<Tokio> {
        Handle::try_current().ok().map(Tokio)
    }
}

impl Spawn for Tokio {
    fn spawn(&self, task: BoxTask) -> Result<(), Refused> {
        self.0.spawn(task);
        Ok(())
    }
}
