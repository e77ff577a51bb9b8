//! Seeded bugs: one site, weakened in one way, chosen at run time.
//!
//! Every operation reports what it could be weakened by, so that the gate
//! knows from a run of the models which bugs there are to seed.

use super::super::site::{Site, Weakening};
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

const NONE: u32 = u32::MAX;

static SEEDED: AtomicU32 = AtomicU32::new(NONE);
static SEEN: [AtomicU8; Site::ALL.len()] = [const { AtomicU8::new(0) }; Site::ALL.len()];

/// From now on, `site` is weakened by `weakening`; `None` heals it.
pub(crate) fn seed(bug: Option<(Site, Weakening)>) {
    let word = bug.map_or(NONE, |(site, weakening)| {
        (site as u32) << 8 | u32::from(weakening.bit())
    });
    SEEDED.store(word, Relaxed);
}

/// All that operations so far could be weakened by.
pub(crate) fn seen() -> Vec<(Site, Weakening)> {
    let mut all = Vec::new();
    for &site in Site::ALL {
        for &weakening in Weakening::ALL {
            if SEEN[site as usize].load(Relaxed) & weakening.bit() != 0 {
                all.push((site, weakening));
            }
        }
    }
    all
}

/// Notes that `site` can be weakened so, and tells whether it is.
pub(super) fn weakened(site: Site, weakening: Weakening) -> bool {
    SEEN[site as usize].fetch_or(weakening.bit(), Relaxed);
    SEEDED.load(Relaxed) == ((site as u32) << 8 | u32::from(weakening.bit()))
}

/// `order` as the seeded bug leaves it.
pub(super) fn order(order: Ordering, site: Site) -> Ordering {
    let acquires = matches!(order, Acquire | AcqRel | SeqCst);
    let releases = matches!(order, Release | AcqRel | SeqCst);
    let acquires = acquires && !weakened(site, Weakening::Acquire);
    let releases = releases && !weakened(site, Weakening::Release);
    match (acquires, releases) {
        (true, true) => AcqRel,
        (true, false) => Acquire,
        (false, true) => Release,
        (false, false) => Relaxed,
    }
}

/// The same for the ordering of a compare-and-swap that fails.
pub(super) fn failure(order: Ordering, site: Site) -> Ordering {
    if order == Acquire && weakened(site, Weakening::FailureAcquire) {
        Relaxed
    } else {
        order
    }
}

/// Says that a protocol looks again here; false if the seeded bug leaves it out.
pub(crate) fn recheck(site: Site) -> bool {
    !weakened(site, Weakening::Skip)
}
