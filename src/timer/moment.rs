//! A point in time as one number, which an atomic can hold.
//!
//! Nanoseconds, counted so that the first use of a deadline in the process lies
//! at [`ORIGIN`]. What lies before the range counts as its start, which is past,
//! and what lies behind it as its end.

use crate::sync::clock;
use std::time::{Duration, Instant};

/// A point in time, or never.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Moment(u64);

/// Some 18 years: as far as instants go back.
const ORIGIN: u64 = 1 << 59;

/// Bit 63 is left to those who keep a moment in a word, and one number is that
/// of `NEVER`.
const LAST: u64 = (1 << 63) - 2;

fn nanos(length: Duration) -> u64 {
    let seconds = length.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(length.subsec_nanos()))
}

impl Moment {
    /// Later than all others.
    pub(crate) const NEVER: Moment = Moment(LAST + 1);

    /// The latest that comes at all.
    pub(crate) const LAST: Moment = Moment(LAST);

    pub(crate) fn of(at: Instant) -> Moment {
        let origin = clock::start();
        Moment(match at.checked_duration_since(origin) {
            Some(after) => ORIGIN.saturating_add(nanos(after)).min(LAST),
            None => ORIGIN.saturating_sub(nanos(origin.duration_since(at))),
        })
    }

    /// The instant; none for `NEVER`.
    pub(crate) fn instant(self) -> Option<Instant> {
        if self == Moment::NEVER {
            return None;
        }
        let origin = clock::start();
        Some(match self.0.checked_sub(ORIGIN) {
            Some(after) => origin
                .checked_add(Duration::from_nanos(after))
                .unwrap_or(origin),
            None => origin
                .checked_sub(Duration::from_nanos(ORIGIN - self.0))
                .unwrap_or(origin),
        })
    }

    /// So much later. None where the clock could not tell that time.
    pub(crate) fn after(self, length: Duration) -> Option<Moment> {
        let at = self.0.checked_add(nanos(length))?;
        (at <= LAST).then_some(Moment(at))
    }

    /// From `earlier` to this one; zero if it is none.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The first tick at which it has come, where a tick has `1 << shift` ns.
    pub(super) fn tick_up(self, shift: u32) -> u64 {
        let below = (1 << shift) - 1;
        (self.0 + below) >> shift
    }

    /// The tick that it lies in.
    pub(super) fn tick(self, shift: u32) -> u64 {
        self.0 >> shift
    }

    /// When a tick begins.
    pub(super) fn of_tick(tick: u64, shift: u32) -> Moment {
        let fits = tick <= LAST >> shift;
        Moment(if fits { tick << shift } else { LAST })
    }

    pub(crate) const fn bits(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn from_bits(bits: usize) -> Moment {
        Moment(bits as u64)
    }
}

#[cfg(all(test, not(any(crossbeam_loom, ctxtree_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_found_again_to_the_nanosecond() {
        let now = Instant::now();
        let year = Duration::from_secs(365 * 24 * 3600);
        for length in [Duration::ZERO, Duration::from_nanos(1), year, 100 * year] {
            let later = now + length;
            assert_eq!(Moment::of(later).instant(), Some(later));
            if let Some(earlier) = now.checked_sub(length.min(Duration::from_secs(1))) {
                assert_eq!(Moment::of(earlier).instant(), Some(earlier));
            }
        }
    }

    #[test]
    fn what_is_out_of_range_counts_as_its_end() {
        let now = Moment::of(Instant::now());
        assert_eq!(now.after(Duration::MAX), None);
        let far = Instant::now().checked_add(Duration::from_secs(1 << 40));
        if let Some(far) = far {
            assert_eq!(Moment::of(far), Moment(LAST));
            assert!(Moment::of(far) < Moment::NEVER);
        }
        assert_eq!(Moment::NEVER.instant(), None);
        assert_eq!(Moment::of_tick(u64::MAX >> 19, 19), Moment(LAST));
    }

    #[test]
    fn a_tick_never_comes_early() {
        for at in [0, 1, (1 << 19) - 1, 1 << 19, (1 << 19) + 1, LAST] {
            let at = Moment(at);
            let tick = at.tick_up(19);
            assert!(Moment::of_tick(tick, 19) >= at || at.0 > LAST - (1 << 19));
            assert!(tick.saturating_sub(1) << 19 < at.0 || at.0 == 0);
            assert_eq!(at.tick_up(0), at.tick(0));
        }
    }
}
