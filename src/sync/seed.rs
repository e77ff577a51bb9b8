//! Seeded bugs: one site, weakened in one way, chosen at run time.
//!
//! Part of every model, and of a program under `--cfg ctxtree_seeded`, which
//! takes the bug from the environment: `CTXTREE_BUG=Close.Release`. Every
//! operation reports what it could be weakened by, so that the gate knows from
//! a run of the models which bugs there are to seed.

use super::site::{Site, Weakening};
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

const NONE: u32 = u32::MAX;
/// The environment has not been asked yet.
const UNASKED: u32 = u32::MAX - 1;

static SEEDED: AtomicU32 = AtomicU32::new(UNASKED);
static SEEN: [AtomicU8; Site::ALL.len()] = [const { AtomicU8::new(0) }; Site::ALL.len()];
/// Weak compare-and-swaps at the seeded site so far.
static ATTEMPTS: AtomicU32 = AtomicU32::new(0);

/// A site, and a way to weaken it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(
    unreachable_pub,
    reason = "reached by the seam `model`, where that is built"
)]
pub struct Bug(Site, Weakening);

impl std::fmt::Debug for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}.{:?}", self.0, self.1)
    }
}

impl Bug {
    fn named(name: &str) -> Option<Bug> {
        let (site, how) = name.split_once('.')?;
        let site = Site::ALL.iter().find(|at| format!("{at:?}") == site)?;
        let how = Weakening::ALL.iter().find(|by| format!("{by:?}") == how)?;
        Some(Bug(*site, *how))
    }

    /// The bug of this name, as `Debug` writes it.
    #[cfg(feature = "internal-model")]
    pub fn parse(name: &str) -> Option<Bug> {
        Self::named(name)
    }

    /// Every bug that an operation so far could have.
    #[cfg(feature = "internal-model")]
    pub fn seen() -> Vec<Bug> {
        let all = Site::ALL.iter();
        let all = all.flat_map(|&site| Weakening::ALL.iter().map(move |&how| Bug(site, how)));
        all.filter(|bug| SEEN[bug.0 as usize].load(Relaxed) & bug.1.bit() != 0)
            .collect()
    }

    /// Plants this bug, and no other.
    #[cfg(feature = "internal-model")]
    pub fn plant(self) {
        SEEDED.store(self.word(), Relaxed);
    }

    /// Whether what is planted is no bug, but must be borne.
    #[cfg(feature = "internal-model")]
    pub fn is_borne(self) -> bool {
        self.1 == Weakening::Spurious
    }

    fn word(self) -> u32 {
        (self.0 as u32) << 8 | u32::from(self.1.bit())
    }
}

#[cold]
fn ask() -> u32 {
    let word = std::env::var("CTXTREE_BUG").map_or(NONE, |name| {
        let bug = Bug::named(&name);
        bug.unwrap_or_else(|| panic!("CTXTREE_BUG: there is no bug `{name}`"))
            .word()
    });
    SEEDED.store(word, Relaxed);
    word
}

/// Notes that `site` can be weakened so, and tells whether it is.
fn weakened(site: Site, weakening: Weakening) -> bool {
    SEEN[site as usize].fetch_or(weakening.bit(), Relaxed);
    let seeded = match SEEDED.load(Relaxed) {
        UNASKED => ask(),
        word => word,
    };
    seeded == Bug(site, weakening).word()
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

/// Whether a read by a read-modify-write is to be a load.
pub(super) fn plain_read(site: Site) -> bool {
    weakened(site, Weakening::PlainRead)
}

/// Whether a weak compare-and-swap is to fail without a reason: every other
/// one, from the first of an execution on, so that who tries again gets through.
pub(super) fn spurious(site: Site) -> bool {
    weakened(site, Weakening::Spurious) && ATTEMPTS.fetch_add(1, Relaxed) % 2 == 0
}

/// An execution of a model begins: all of them must go the same way.
#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
pub(super) fn begin() {
    ATTEMPTS.store(0, Relaxed);
}

/// Says that a protocol looks again here; false if the seeded bug leaves it out.
pub(crate) fn recheck(site: Site) -> bool {
    !weakened(site, Weakening::Skip)
}
