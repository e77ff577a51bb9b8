//! The two packed words of a lane, as plain values.

use super::Link;

const _: () = assert!(
    usize::BITS == 64,
    "lanes keep a length in the top bits of a pointer: 64-bit targets only"
);

/// A value of `head`: the newest link and four bits, or none and a fifth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head(*mut Link);

impl Head {
    /// Set by a walk once the owner is done; a later pusher sees that.
    pub(crate) const CLOSED: usize = 0b0001;
    /// Set when further lanes exist; push and walk those too.
    pub(crate) const SPLIT: usize = 0b0010;
    /// Set when the owner was first waited for; a walk looks there too.
    pub(crate) const WAITED: usize = 0b0100;
    /// In a wait lane: set when the first callback comes.
    pub(crate) const CALLED: usize = Self::WAITED;
    /// Set by every push: others may point to the owner.
    pub(crate) const PARENT: usize = 0b1000;

    pub(super) const BITS: usize = Self::CLOSED | Self::SPLIT | Self::WAITED | Self::PARENT;
    /// Only where nothing is linked: set by who found that, gone with the next
    /// push.
    pub(super) const QUIET: usize = 1 << 63;

    #[inline]
    pub(super) fn from_ptr(word: *mut Link) -> Self {
        Self(word)
    }

    #[inline]
    pub(super) fn as_ptr(self) -> *mut Link {
        self.0
    }

    #[inline]
    pub(crate) fn link(self) -> *mut Link {
        self.0.map_addr(|addr| addr & !(Self::BITS | Self::QUIET))
    }

    /// Whether any of `bits` is set.
    #[inline]
    pub(crate) fn has(self, bits: usize) -> bool {
        self.0.addr() & bits != 0
    }

    #[inline]
    pub(super) fn with(self, bits: usize) -> Self {
        Self(self.0.map_addr(|addr| addr | bits))
    }

    /// The same bits but QUIET over another link.
    #[inline]
    pub(super) fn with_link(self, link: *mut Link) -> Self {
        debug_assert_eq!(link.addr() & Self::BITS, 0);
        Self(link.map_addr(|addr| addr | (self.0.addr() & Self::BITS)))
    }
}

const LEN_SHIFT: u32 = 48;
const ONE: usize = 1 << LEN_SHIFT;
const MAX_LEN: usize = (1 << 13) - 1;
const LEN: usize = MAX_LEN << LEN_SHIFT;
/// Set when somebody waits for the lane to be empty: the same.
const EAGER: usize = 1 << 61;
/// Set while somebody reaps, who looks again before leaving.
const BUSY: usize = 1 << 62;
/// Set when the owner has no handle left; every burial then wants a reaper.
const ORPHAN: usize = 1 << 63;
const FLAGS: usize = BUSY | ORPHAN | EAGER;
const ADDRESS: usize = ONE - 1;

/// A value of `dead`: the top of the stack, its length, BUSY, ORPHAN, EAGER.
#[derive(Clone, Copy)]
pub(super) struct Dead(*mut Link);

impl Dead {
    #[inline]
    pub(super) fn from_ptr(word: *mut Link) -> Self {
        Self(word)
    }

    #[inline]
    pub(super) fn as_ptr(self) -> *mut Link {
        self.0
    }

    #[inline]
    pub(super) fn link(self) -> *mut Link {
        self.0.map_addr(|addr| addr & ADDRESS)
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        (self.0.addr() & LEN) >> LEN_SHIFT
    }

    #[inline]
    pub(super) fn is_orphan(self) -> bool {
        self.0.addr() & ORPHAN != 0
    }

    #[inline]
    pub(super) fn is_eager(self) -> bool {
        self.0.addr() & EAGER != 0
    }

    /// Whether nothing may stay buried.
    #[inline]
    pub(super) fn is_impatient(self) -> bool {
        self.0.addr() & (ORPHAN | EAGER) != 0
    }

    #[inline]
    pub(super) fn is_busy(self) -> bool {
        self.0.addr() & BUSY != 0
    }

    /// Whether whoever makes it this has to reap.
    #[inline]
    pub(super) fn wants_reaper(self, batch: usize) -> bool {
        !self.is_busy() && (self.is_impatient() || self.len() >= batch)
    }

    /// One more on the stack. The length stops at its maximum, which is more
    /// than any batch.
    #[inline]
    pub(super) fn pushed(self, link: *mut Link) -> Self {
        debug_assert_eq!(link.addr() & !ADDRESS, 0, "checked when it was allocated");
        let len = (self.len() + 1).min(MAX_LEN);
        let flags = self.0.addr() & FLAGS;
        Self(link.map_addr(|addr| addr | (len << LEN_SHIFT) | flags))
    }

    #[inline]
    pub(super) fn orphaned(self) -> Self {
        Self(self.0.map_addr(|addr| addr | ORPHAN))
    }

    #[inline]
    pub(super) fn eager(self) -> Self {
        Self(self.0.map_addr(|addr| addr | EAGER))
    }

    /// An empty stack after this one was taken, by the one who now reaps.
    #[inline]
    pub(super) fn taken(self) -> Self {
        let kept = self.0.addr() & (ORPHAN | EAGER);
        Self(std::ptr::without_provenance_mut(kept | BUSY))
    }

    /// The same after the reaper has left.
    #[inline]
    pub(super) fn left(self) -> Self {
        Self(self.0.map_addr(|addr| addr & !BUSY))
    }
}

/// Whether a link may lie at this address: the top 16 bits and the low four
/// are the lane's.
#[inline(always)]
pub(super) fn address_fits(addr: usize) -> bool {
    addr & (!ADDRESS | Head::BITS) == 0
}

#[cfg(all(test, not(any(crossbeam_loom, ctxtree_shuttle))))]
mod tests {
    use super::*;

    #[repr(align(16))]
    struct Aligned(Link);

    #[test]
    fn head_keeps_link_and_bits_apart() {
        let link = Aligned(Link::new());
        let at = std::ptr::from_ref(&link.0).cast_mut();
        for bits in 0..16 {
            let head = Head::from_ptr(std::ptr::null_mut())
                .with(bits)
                .with_link(at);
            assert_eq!(head.link(), at);
            for bit in [Head::CLOSED, Head::SPLIT, Head::WAITED, Head::PARENT] {
                assert_eq!(head.has(bit), bits & bit != 0);
            }
            let quiet = Head::from_ptr(std::ptr::null_mut())
                .with(bits)
                .with(Head::QUIET);
            assert!(quiet.link().is_null() && quiet.has(Head::QUIET));
            assert!(quiet.with_link(at) == head, "a push ends the quiet");
        }
    }

    #[test]
    fn dead_counts_and_saturates() {
        let link = Link::new();
        let at = std::ptr::from_ref(&link).cast_mut();
        let mut dead = Dead::from_ptr(std::ptr::null_mut());
        for n in 1..=MAX_LEN + 3 {
            dead = dead.pushed(at);
            assert_eq!(dead.len(), n.min(MAX_LEN));
            assert_eq!(dead.link(), at);
            assert!(!dead.is_orphan());
        }
        let dead = dead.orphaned();
        assert!(dead.is_orphan());
        assert_eq!((dead.link(), dead.len()), (at, MAX_LEN));
        assert!(!dead.is_busy() && dead.wants_reaper(usize::MAX));
        assert!(dead.taken().is_busy() && dead.taken().is_orphan());
        assert!(!dead.taken().wants_reaper(0), "somebody is at it");
        assert!(!dead.taken().left().is_busy() && dead.taken().left().is_orphan());
        assert_eq!(
            (dead.taken().link(), dead.taken().len()),
            (std::ptr::null_mut(), 0)
        );
        assert!(dead.taken().pushed(at).is_orphan());
        assert!(!dead.is_eager());

        let eager = Dead::from_ptr(std::ptr::null_mut()).eager();
        assert!(eager.is_eager() && !eager.is_orphan());
        assert!(eager.is_impatient() && eager.wants_reaper(usize::MAX));
        assert!(eager.taken().is_eager() && eager.taken().pushed(at).is_eager());
        assert_eq!(eager.pushed(at).link(), at);
    }
}
