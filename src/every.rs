//! [`Context::every`]: a look at the context at every n-th call.

use crate::context::Context;
use crate::error::CancelError;

/// Looks at a context now and then. Made by [`Context::every`].
///
/// # Examples
///
/// ```
/// use ctxtree::Context;
///
/// let (ctx, handle) = Context::background().with_cancel();
/// let mut every = ctx.every(3);
/// assert!(every.check().is_ok());
/// handle.cancel();
/// let looks = [(); 4].map(|()| every.check().is_err());
/// assert_eq!(looks, [false, false, true, true]);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it looks only when it is asked to"]
pub struct Every<'a> {
    context: &'a Context,
    /// From one look to the next.
    calls: u32,
    /// How many more calls come before the next look.
    left: u32,
}

impl Every<'_> {
    /// Fails if this is a call that looks, and the context is done.
    ///
    /// The first call looks, then every n-th one. The others cost a decrement
    /// and a branch. Once this has failed, every call does.
    ///
    /// # Errors
    ///
    /// As [`Context::check`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::{CancelError, Context};
    ///
    /// fn checksum(ctx: &Context, data: &[u8]) -> Result<u32, CancelError> {
    ///     let mut every = ctx.every(1024);
    ///     let mut sum = 0_u32;
    ///     for byte in data {
    ///         every.check()?;
    ///         sum = sum.rotate_left(5) ^ u32::from(*byte);
    ///     }
    ///     Ok(sum)
    /// }
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// assert_eq!(checksum(&ctx, &[1, 2]).unwrap(), 34);
    /// handle.cancel();
    /// assert!(checksum(&ctx, &[1, 2]).is_err());
    /// ```
    #[inline]
    pub fn check(&mut self) -> Result<(), CancelError> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return Ok(());
        }
        // Not moved on if it fails: the next call looks again.
        self.context.check()?;
        self.left = self.calls - 1;
        Ok(())
    }
}

impl Context {
    /// For loops too tight for a look each time around: a counter that
    /// [checks](Every::check) the context once in so many `calls`.
    ///
    /// Zero counts as one, which is a look at every call.
    ///
    /// # Examples
    ///
    /// ```
    /// use ctxtree::Context;
    ///
    /// let (ctx, handle) = Context::background().with_cancel();
    /// let mut every = ctx.every(64);
    /// let mut rounds = 0;
    /// while every.check().is_ok() {
    ///     rounds += 1;
    ///     if rounds == 10 {
    ///         handle.cancel();
    ///     }
    /// }
    /// assert_eq!(rounds, 64);
    /// ```
    #[inline]
    pub fn every(&self, calls: u32) -> Every<'_> {
        Every {
            context: self,
            calls: calls.max(1),
            left: 0,
        }
    }
}
