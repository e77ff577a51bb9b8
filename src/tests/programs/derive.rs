//! Derives, on the reference and on the library.

use super::super::reference::{Facets, Kind, Node};
use super::world::{Handle, World};
use super::{Fires, How, keys, script};
use ctxtree::{CancelHandle, Context};

pub(super) fn derive(world: &mut World, from: u8, how: &How) {
    let (parent, context) = world.slot_or_root(from);
    match how {
        How::Plain => {
            let node = world.reference.derive(parent, Facets::of(Kind::Cancel));
            put_pair(world, node, context.with_cancel());
        }
        How::Shielded => {
            let node = world.reference.derive(parent, Facets::of(Kind::Shield));
            world.put(node, Handle::Observe(context.without_cancel()));
        }
        How::Values { first, times } => {
            let (mut node, mut context) = (parent, context);
            for key in 0..1 + times % 20 {
                let (key, value) = world.value(usize::from(*first) + usize::from(key));
                let mut facets = Facets::of(Kind::Value);
                facets.give(keys::key(key), value.number);
                node = world.reference.derive(node, facets);
                context = keys::derive(&context, key, value);
            }
            world.put(node, Handle::Observe(context));
        }
        How::Link { others } => {
            let mut facets = Facets::of(Kind::Link);
            let others = world.slots_or_roots(others);
            for (other, _) in &others {
                facets.link(*other);
            }
            let node = world.reference.derive(parent, facets);
            put_pair(
                world,
                node,
                context.link(others.iter().map(|(_, other)| other)),
            );
        }
        How::Source {
            fires,
            sticky,
            cause,
        } => {
            let cause = cause.then(|| (world.number(), world.causes.clone()));
            let number = cause.as_ref().map(|(number, _)| *number);
            let facets = Facets::of(Kind::Source(script::label()));
            let is_done = *fires != Fires::Later;
            let (node, source) = world.reference.derive_from(parent, facets, number, is_done);
            let source = world.sources.make(source as u32, *fires, *sticky, cause);
            put_pair(world, node, context.from_source(source));
        }
        How::Built {
            named,
            shielded,
            keys,
            others,
        } => {
            let mut facets = Facets::of(Kind::Derived);
            let mut builder = context.derive();
            if *named {
                let name = format!("n{}", world.number());
                facets.name = Some(name.clone());
                builder = builder.name(name);
            }
            if *shielded {
                facets.shielded = true;
                builder = builder.shield();
            }
            for key in &keys.0 {
                let (key, value) = world.value(usize::from(*key));
                facets.give(keys::key(key), value.number);
                builder = keys::give(builder, key, value);
            }
            for (node, other) in world.slots_or_roots(others) {
                facets.link(node);
                builder = builder.link(&other);
            }
            let node = world.reference.derive(parent, facets);
            put_pair(world, node, builder.build());
        }
    }
}

fn put_pair(world: &mut World, node: Node, (child, handle): (Context, CancelHandle)) {
    world.put(node, Handle::Observe(child));
    world.put(node, Handle::Cancel(handle));
}
