//! What values are found by, and how they are set.

use super::super::reference::Key;
use super::counted::Counted;
use ctxtree::{Context, Derive};
use std::any::type_name;

/// A value.
struct Plain(Counted);

/// A value of another type, which needs more room than a node is aligned to.
#[repr(align(64))]
struct Wide(Counted);

/// More than fit into the first size of an index. They all have one name.
static NAMED: [ctxtree::Key<Plain>; 30] = [const { ctxtree::Key::new("named") }; 30];
static WIDE: ctxtree::Key<Wide> = ctxtree::Key::new("wide");

pub(super) const KEYS: usize = 3 + NAMED.len();

pub(super) fn key(number: usize) -> Key {
    let label = match number {
        0 => type_name::<Plain>(),
        1 => type_name::<Wide>(),
        2 => WIDE.name(),
        _ => NAMED[number - 3].name(),
    };
    Key {
        number,
        is_type: number < 2,
        label,
    }
}

pub(super) fn derive(context: &Context, key: usize, value: Counted) -> Context {
    match key {
        0 => context.with_value(Plain(value)),
        1 => context.with_value(Wide(value)),
        2 => context.with_key(&WIDE, Wide(value)),
        _ => context.with_key(&NAMED[key - 3], Plain(value)),
    }
}

pub(super) fn give<'a>(builder: Derive<'a>, key: usize, value: Counted) -> Derive<'a> {
    match key {
        0 => builder.value(Plain(value)),
        1 => builder.value(Wide(value)),
        2 => builder.key(&WIDE, Wide(value)),
        _ => builder.key(&NAMED[key - 3], Plain(value)),
    }
}

/// The number of the value that is found.
pub(super) fn find(context: &Context, key: usize) -> Option<u32> {
    let found = match key {
        0 => context.value().map(|Plain(value)| value),
        1 => context.value().map(|Wide(value)| value),
        2 => context.get(&WIDE).map(|Wide(value)| value),
        _ => context.get(&NAMED[key - 3]).map(|Plain(value)| value),
    };
    found.map(|value| value.number)
}
