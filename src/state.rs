//! The state word: whether a context is done, why, and who did it.
//!
//! # How it works
//!
//! A word is a pointer with a tag in its low bits. Zero means live. The first
//! compare-and-swap away from zero decides everything there is to know about
//! the end of the context; afterwards only the SETTLED bit is ever added.
//!
//! | tag | pointer | meaning | who writes it |
//! |---|---|---|---|
//! | `LIVE` (whole word 0) | none | not done | the constructor |
//! | `PLAIN` | a `'static` [`Location`] | cancelled here, without a cause | the canceller that won |
//! | `PLAIN` | a static that stands for it | the deadline came, without a cause | the driver, or who found it past |
//! | `RECORD` | a heap [`Record`] | cancelled here, with a cause | the canceller that won |
//! | `INHERITED` | the ancestor whose word says more | an ancestor was cancelled | whoever marks: cancellers, helpers, the constructor |
//!
//! `SETTLED` beside a tag: everything below is marked too, so a late loser has
//! nothing left to do. `DEADLINE` beside `RECORD`: the reason in the record is
//! a deadline; for those who must not look into it.
//!
//! ```text
//!   LIVE ──► PLAIN | RECORD | INHERITED ──► the same + SETTLED
//! ```
//!
//! # Invariants
//!
//! - **S1** The word leaves `LIVE` once. What it then says never changes (V1).
//! - **S2** An `INHERITED` pointer names a node that is done by `PLAIN` or
//!   `RECORD`, never one that inherits itself: one hop leads to the reason.
//! - **S3** That node outlives every node that names it, as each holds its
//!   parent (list invariant L4), so the hop is safe for whoever holds a handle.
//! - **S4** A record belongs to the word that names it, and is taken out by the
//!   thread that detaches the node, when nobody who has a handle can read the
//!   word any more. A walk still can: it goes by the bits, and by the record only
//!   of a node that it keeps, itself or by holding something below it.
//! - **S5** `DEADLINE` says what the record says: both are written once, before
//!   the word is published.
//!
//! # Orderings
//!
//! The winner's compare-and-swap releases the record and all that came before
//! the cancel; every reader acquires it. A settler acquired the word before and
//! releases the marks below it, so whoever reads SETTLED sees those marks. What is
//! given to a node while it is ended, a first deadline, is seen by one of the two:
//! both go by read-modify-writes of the word.
//!
//! # Progress
//!
//! Every operation here is one atomic instruction, or tried again when the word has
//! changed, which it does twice: wait-free.
//!
//! Models: `cancel_vs_cancel`, `cancel_vs_poll`, `cancel_vs_attach`,
//! `late_deadline_vs_cancel`.

use crate::error::{Cause, Id, Reason};
use crate::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::{AtomicPtr, Site, memory};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;

const TAG: usize = 0b011;
const PLAIN: usize = 0b001;
const RECORD: usize = 0b010;
const INHERITED: usize = 0b011;
/// Set by whoever has marked everything below; others need not look again.
const SETTLED: usize = 0b100;
const BITS: usize = TAG | SETTLED;
/// Beside RECORD: a deadline ended the context. Records lie at multiples of 16,
/// as all that `memory::alloc` makes; locations need not, so beside PLAIN this
/// is a bit of the address.
const DEADLINE: usize = 0b1000;

const _: () = assert!(align_of::<Location<'static>>() > BITS);

/// Stands beside PLAIN where a deadline came: no line of the program did it.
#[repr(align(16))]
struct Expired(#[expect(dead_code, reason = "so that it has an address of its own")] u8);

static EXPIRED: Expired = Expired(0);

/// What a canceller leaves behind when it gave a cause.
pub(crate) struct Record {
    pub(crate) reason: Reason,
    pub(crate) cause: Option<Cause>,
    pub(crate) location: Option<&'static Location<'static>>,
    /// Where the cancel began, if not at the node whose word names this.
    pub(crate) origin: Option<Id>,
}

/// A record that is no word's, or no word's any more.
pub(crate) struct OwnedRecord(NonNull<Record>);

// SAFETY: what is in a record may be used and dropped on any thread.
unsafe impl Send for OwnedRecord {}

impl OwnedRecord {
    pub(crate) fn new(record: Record) -> Self {
        Self(memory::alloc(record))
    }
}

impl Drop for OwnedRecord {
    fn drop(&mut self) {
        // SAFETY: ours, and it goes.
        unsafe { memory::free(self.0) };
    }
}

/// A value of the state word. `N` is the node type.
pub(crate) struct Word<N> {
    bits: *mut (),
    _names: PhantomData<*const N>,
}

impl<N> Clone for Word<N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Word<N> {}

/// What a word says.
pub(crate) enum View<N> {
    Live,
    Plain(&'static Location<'static>),
    /// A deadline came, to which no cause was given.
    Expired,
    Record(NonNull<Record>),
    Inherited(NonNull<N>),
}

impl<N> Word<N> {
    /// The tags need three low bits of a node's address.
    const ALIGNED: () = assert!(align_of::<N>() > BITS);

    const fn from_bits(bits: *mut ()) -> Self {
        Self {
            bits,
            _names: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn plain(location: &'static Location<'static>) -> Self {
        let bits = std::ptr::from_ref(location).cast_mut().cast::<()>();
        Self::from_bits(bits.map_addr(|addr| addr | PLAIN))
    }

    #[inline]
    pub(crate) fn expired() -> Self {
        let bits = (&raw const EXPIRED).cast_mut().cast::<()>();
        Self::from_bits(bits.map_addr(|addr| addr | PLAIN))
    }

    /// Owns `record` from now on, until [`AtomicState::take_record`].
    #[inline]
    pub(crate) fn record(record: OwnedRecord) -> Self {
        let at = ManuallyDrop::new(record).0;
        // SAFETY: an owned record is valid, and not published yet.
        let reason = unsafe { memory::look(at) }.reason;
        let tag = match reason {
            Reason::Cancelled => RECORD,
            Reason::DeadlineExceeded => RECORD | DEADLINE,
        };
        let bits = at.as_ptr().cast::<()>();
        Self::from_bits(bits.map_addr(|addr| addr | tag))
    }

    #[inline]
    pub(crate) fn inherited(from: NonNull<N>) -> Self {
        let () = Self::ALIGNED;
        let bits = from.as_ptr().cast::<()>();
        Self::from_bits(bits.map_addr(|addr| addr | INHERITED))
    }

    #[inline]
    pub(crate) fn settled(self) -> Self {
        Self::from_bits(self.bits.map_addr(|addr| addr | SETTLED))
    }

    #[inline]
    pub(crate) fn is_live(self) -> bool {
        self.bits.is_null()
    }

    #[inline]
    pub(crate) fn is_settled(self) -> bool {
        self.bits.addr() & SETTLED != 0
    }

    #[inline]
    pub(crate) fn view(self) -> View<N> {
        let tag = self.bits.addr() & TAG;
        let low = if tag == RECORD { BITS | DEADLINE } else { BITS };
        let Some(at) = NonNull::new(self.bits.map_addr(|addr| addr & !low)) else {
            return View::Live;
        };
        match tag {
            PLAIN if at.addr().get() == (&raw const EXPIRED).addr() => View::Expired,
            // SAFETY: by S1 the pointer beside PLAIN is the one `plain` put
            // there, a `'static` location.
            PLAIN => View::Plain(unsafe { at.cast().as_ref() }),
            RECORD => View::Record(at.cast()),
            _ => View::Inherited(at.cast()),
        }
    }

    /// Why the context is done, if this very word says so: none for a live one
    /// and for one that inherits. Looks at nothing but the word (S4).
    pub(crate) fn own_reason(self) -> Option<Reason> {
        let addr = self.bits.addr();
        match addr & TAG {
            PLAIN if addr & !BITS == (&raw const EXPIRED).addr() => Some(Reason::DeadlineExceeded),
            PLAIN => Some(Reason::Cancelled),
            RECORD if addr & DEADLINE != 0 => Some(Reason::DeadlineExceeded),
            RECORD => Some(Reason::Cancelled),
            _ => None,
        }
    }

    /// Frees the record of a word that was never published.
    #[inline]
    pub(crate) fn into_record(self) -> Option<OwnedRecord> {
        match self.view() {
            // The word owns what `record` put into it (S4).
            View::Record(at) => Some(OwnedRecord(at)),
            _ => None,
        }
    }
}

/// The state word of a node.
pub(crate) struct AtomicState<N> {
    word: AtomicPtr<()>,
    _names: PhantomData<*const N>,
}

impl<N> AtomicState<N> {
    crate::sync::const_fn! {
        pub(crate) fn live() -> Self {
            Self { word: AtomicPtr::new(std::ptr::null_mut()), _names: PhantomData }
        }
    }

    /// The word, with all that its writer published.
    #[inline(always)]
    pub(crate) fn load(&self, site: Site) -> Word<N> {
        // Acquire: shows the record and the ancestor's word; meets the Release
        // in `finish` and `settle`.
        Word::from_bits(self.word.load(Acquire, site))
    }

    /// The word, for a thread that goes by nothing but the word itself, or has
    /// acquired it before.
    #[inline]
    pub(crate) fn load_known(&self, site: Site) -> Word<N> {
        // Relaxed: nothing behind the word is read because of this load.
        Word::from_bits(self.word.load(Relaxed, site))
    }

    /// Ends the life of this context, if nobody has yet (S1). The loser gets
    /// the winner's word.
    #[inline]
    pub(crate) fn finish(&self, word: Word<N>, site: Site) -> Result<(), Word<N>> {
        // Release: publishes the record, and the ancestor's word for an
        // inherited one; meets the Acquire in `load`. On failure Acquire: the
        // loser goes by what the winner published; meets the same Release.
        match self
            .word
            .compare_exchange(std::ptr::null_mut(), word.bits, Release, Acquire, site)
        {
            Ok(_) => Ok(()),
            Err(bits) => Err(Word::from_bits(bits)),
        }
    }

    /// The same for a node that may be given something meanwhile which goes when
    /// it is done: who gives it [looks](Self::look_in_order) afterwards.
    #[inline]
    pub(crate) fn finish_in_order(&self, word: Word<N>, site: Site) -> Result<(), Word<N>> {
        // Release, and Acquire on failure: as in `finish`. Acquire: shows what
        // was given by who still found the node live; meets the Release in
        // `look_in_order`.
        match self
            .word
            .compare_exchange(std::ptr::null_mut(), word.bits, AcqRel, Acquire, site)
        {
            Ok(_) => Ok(()),
            Err(bits) => Err(Word::from_bits(bits)),
        }
    }

    /// Whether the node is live, for who has given it something: if so, whoever
    /// ends it later [sees](Self::finish_in_order) that.
    pub(crate) fn look_in_order(&self, site: Site) -> bool {
        // Release, by a read-modify-write: what was given; meets the Acquire in
        // `finish_in_order`.
        Word::<N>::from_bits(self.word.read_in_order(Release, site)).is_live()
    }

    /// The same by the constructor of the node, which nobody else has a handle
    /// to yet. False if somebody was faster, as a walk may be.
    pub(crate) fn finish_new(&self, word: Word<N>, site: Site) -> bool {
        // Release: publishes the record, and the ancestor's word, which this
        // thread acquired, to a snapshot that has no handle; meets the Acquire
        // in `load`. On failure Relaxed: whoever gets a handle comes after the
        // constructor.
        self.word
            .compare_exchange(std::ptr::null_mut(), word.bits, Release, Relaxed, site)
            .is_ok()
    }

    /// Says that everything below is marked. `word` is what was read here.
    #[inline]
    pub(crate) fn settle(&self, word: Word<N>, site: Site) {
        debug_assert!(!word.is_live());
        // Release: publishes the marks below to those who skip on seeing
        // SETTLED; meets the Acquire in `load` and `finish`. A store, as all
        // who write here write this same value (S1).
        self.word.store(word.settled().bits, Release, site);
    }

    /// Whether there is a record here to take out in the end.
    #[inline]
    pub(crate) fn owns_record(&self) -> bool {
        // Relaxed: the last handle's drop acquired all earlier writes, and a
        // walk that is still to mark this node leaves no record.
        let word = self.word.load(Relaxed, Site::StateOwns);
        word.addr() & TAG == RECORD
    }

    /// Takes the record out, when the node is being detached.
    ///
    /// # Safety
    ///
    /// Nobody reads the record of this word now or later (S4), and this is
    /// called once.
    pub(crate) unsafe fn take_record(&self) -> Option<OwnedRecord> {
        // Relaxed: the last handle's drop acquired all earlier writes.
        Word::<N>::from_bits(self.word.load(Relaxed, Site::StateTake)).into_record()
    }
}

#[cfg(all(test, not(any(crossbeam_loom, ctxtree_shuttle))))]
mod tests {
    use super::*;
    use std::sync::OnceLock;

    /// Stands for a node; records and nodes lie at multiples of 16.
    #[repr(align(16))]
    struct Named;

    fn record(reason: Reason) -> Word<Named> {
        Word::record(OwnedRecord::new(Record {
            reason,
            cause: Some(Cause::from("why")),
            location: None,
            origin: None,
        }))
    }

    #[test]
    fn the_word_repeats_the_reason_of_its_record() {
        for reason in [Reason::Cancelled, Reason::DeadlineExceeded] {
            for word in [record(reason), record(reason).settled()] {
                assert_eq!(word.own_reason(), Some(reason));
                let View::Record(at) = word.view() else {
                    panic!("it is a record");
                };
                assert_eq!(at.addr().get() % 16, 0);
                let record = word.into_record().unwrap();
                assert_eq!(record.0, at);
                // SAFETY: owned, so valid.
                assert_eq!(unsafe { at.as_ref() }.reason, reason);
            }
        }
    }

    #[test]
    fn a_location_at_any_multiple_of_eight_is_found_again() {
        let here = Location::caller();
        let places = [*here, *here];
        assert_eq!(size_of::<Location<'static>>() % 16, 8, "both parities");
        static PLACES: OnceLock<[Location<'static>; 2]> = OnceLock::new();
        let places = PLACES.get_or_init(|| places);
        for place in places {
            for word in [Word::<Named>::plain(place), Word::plain(place).settled()] {
                assert_eq!(word.own_reason(), Some(Reason::Cancelled));
                assert!(matches!(word.view(), View::Plain(at) if std::ptr::eq(at, place)));
            }
        }
    }

    #[test]
    fn a_deadline_without_a_cause_needs_no_record() {
        for word in [Word::<Named>::expired(), Word::expired().settled()] {
            assert_eq!(word.own_reason(), Some(Reason::DeadlineExceeded));
            assert!(matches!(word.view(), View::Expired));
            assert!(word.into_record().is_none());
        }
    }

    #[test]
    fn an_inherited_word_names_the_node_and_no_reason() {
        let named = NonNull::from(&Named);
        let word = Word::inherited(named).settled();
        assert_eq!(word.own_reason(), None);
        assert!(matches!(word.view(), View::Inherited(at) if at == named));
        assert_eq!(
            Word::<Named>::from_bits(std::ptr::null_mut()).own_reason(),
            None
        );
    }
}
