//! No seeded bugs: every operation is what its site asks for.

use super::Site;
use std::sync::atomic::Ordering;

#[inline(always)]
pub(super) fn order(order: Ordering, _site: Site) -> Ordering {
    order
}

#[inline(always)]
pub(super) fn failure(order: Ordering, _site: Site) -> Ordering {
    order
}

#[inline(always)]
pub(super) fn plain_read(_site: Site) -> bool {
    false
}

#[inline(always)]
pub(super) fn spurious(_site: Site) -> bool {
    false
}

/// Says that a protocol looks again here. A seeded bug can leave the look out.
#[inline(always)]
pub(crate) fn recheck(_site: Site) -> bool {
    true
}
