//! The sources keep to their layers, to the facade and to the rooms where
//! `unsafe` is allowed, and every site is used once.
//!
//! Each checker is shown to fail on made-up input.

use super::source_paths::{Path, module_of, paths, tokens};
use std::collections::HashMap;
use std::fs;
use std::path::Path as FilePath;

/// Bottom up. A module may name what is in a lower layer.
const LAYERS: &[&[&str]] = &[
    &["sync"],
    &["error", "payload"],
    &["state", "list", "admission", "failures", "listener"],
    &["wait_cell", "values", "places"],
    &["timer"],
    &["node"],
    &["protocol"],
    &["time"],
    HANDLES,
    &["group"],
    &["model"],
    &["lib"],
];

/// Each of these adds its methods to `Context`: they may name each other.
const HANDLES: &[&str] = &[
    "context",
    "handle",
    "derive",
    "cancelled",
    "idle",
    "registration",
    "link",
    "source",
    "blocking",
    "run",
    "stream",
    "tree",
    "with_value",
    "deadline",
    "with_clock",
    "scope",
    "every",
    "idle_timeout",
    "monitor",
    "drain",
    "token",
];

/// Crates that only the facade names.
const FACADE_ONLY: &[&str] = &[
    "loom",
    "shuttle",
    "crossbeam_epoch",
    "arc_swap",
    "atomic_waker",
];

/// Where `unsafe` may be written.
const UNSAFE_ROOMS: &[&str] = &[
    "sync/",
    "list/",
    "state.rs",
    "wait_cell/",
    "values/",
    "places/",
    "timer/",
    "node.rs",
    "node/",
    "protocol/",
    "failures.rs",
    "run.rs",
    "stream.rs",
    "group/running.rs",
];

/// Sites in more than one place.
const SHARED_SITES: &[&str] = &[
    // Once in each back end.
    "Defer",
    // Two fields of one node, freed by one thread.
    "FreeLoad",
    // The second is the test seam that sets the count.
    "HandleClone",
    // For those who count only: a node dies with a handle or with a lane.
    "HandleZero",
    // A bare node is settled on the spot, the others after their walk.
    "Settle",
];

/// Every source but the tests: path below `src`, and text.
pub(super) type Sources = Vec<(String, String)>;

pub(super) fn sources() -> Sources {
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Sources::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap();
            let name = name.to_str().unwrap().replace('\\', "/");
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// What `lib.rs` gives out again, and the module it comes from.
fn re_exports(sources: &Sources) -> HashMap<String, String> {
    let lib = sources.iter().find(|(file, _)| file == "lib.rs");
    let paths = lib.map_or(Vec::new(), |(file, text)| paths(file, text));
    let pairs = paths.into_iter().filter(|path| path.names.len() == 2);
    pairs
        .map(|path| (path.names[1].clone(), path.names[0].clone()))
        .collect()
}

/// The top module that a path leads to, if it leads into this crate.
fn target(path: &Path, re_exports: &HashMap<String, String>) -> Option<String> {
    let mut names = path.names.iter();
    let mut from = match names.next()?.as_str() {
        "crate" => Vec::new(),
        "self" => path.inside.clone(),
        "super" => {
            let mut above = path.inside.clone();
            above.pop();
            above
        }
        _ => return None,
    };
    for name in names {
        if name == "super" {
            from.pop();
        } else {
            from.push(name.clone());
        }
    }
    let first = from.into_iter().next()?;
    if layer_of(&first).is_some() {
        return Some(first);
    }
    let behind = re_exports.get(&first).cloned();
    Some(behind.unwrap_or_else(|| "lib".to_owned()))
}

fn layer_faults(sources: &Sources) -> Vec<String> {
    let re_exports = re_exports(sources);
    let mut faults = Vec::new();
    for (file, text) in sources {
        let own = module_of(file).into_iter().next();
        let own = own.unwrap_or_else(|| "lib".to_owned());
        let Some(layer) = layer_of(&own) else {
            faults.push(format!("{file} is in no layer"));
            continue;
        };
        for path in paths(file, text) {
            let Some(target) = target(&path, &re_exports) else {
                continue;
            };
            let among_handles =
                HANDLES.contains(&own.as_str()) && HANDLES.contains(&target.as_str());
            if own != target && !among_handles && layer_of(&target) >= Some(layer) {
                let path = path.names.join("::");
                faults.push(format!("{file} names {path}, which is not below it"));
            }
        }
    }
    faults
}

fn facade_faults(sources: &Sources) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, text) in sources {
        if file.starts_with("sync/") {
            continue;
        }
        let mut named: Vec<Vec<String>> = paths(file, text).into_iter().map(|p| p.names).collect();
        let tokens = tokens(text);
        let externs = tokens
            .windows(3)
            .filter(|w| w[0] == "extern" && w[1] == "crate");
        named.extend(externs.map(|w| vec![w[2].clone(), "*".to_owned()]));
        for names in named {
            let in_std = matches!(names[0].as_str(), "std" | "core");
            let rest = &names[usize::from(in_std)..];
            let atomic = rest.len() > 1 && rest[0] == "sync" && rest[1] == "atomic";
            let foreign = names.len() > 1 && FACADE_ONLY.contains(&names[0].as_str());
            if atomic || foreign {
                faults.push(format!("{file} names {}", names.join("::")));
            }
        }
    }
    faults
}

fn unsafe_faults(sources: &Sources) -> Vec<String> {
    let outside = sources
        .iter()
        .filter(|(file, _)| !UNSAFE_ROOMS.iter().any(|room| file.starts_with(room)));
    let faulty = outside.filter(|(_, text)| tokens(text).iter().any(|token| token == "unsafe"));
    faulty
        .map(|(file, _)| format!("{file} says unsafe"))
        .collect()
}

fn site_faults(sources: &Sources, shared: &[&str]) -> Vec<String> {
    let mut uses: HashMap<String, usize> = HashMap::new();
    let mut sites = Vec::new();
    for (file, text) in sources {
        if file == "sync/site.rs" {
            let tokens = tokens(text);
            let start = tokens.windows(3).position(|w| w == ["sites", "!", "{"]);
            let body = tokens.iter().skip(start.map_or(usize::MAX, |at| at + 3));
            sites.extend(
                body.take_while(|t| *t != "}")
                    .filter(|t| *t != ",")
                    .cloned(),
            );
            continue;
        }
        for path in paths(file, text) {
            let mut after = path.names.iter().skip_while(|name| *name != "Site");
            if let Some(site) = after.nth(1) {
                *uses.entry(site.clone()).or_default() += 1;
            }
        }
    }
    let mut faults = Vec::new();
    if sites.is_empty() {
        faults.push("no sites found".to_owned());
    }
    for site in &sites {
        let count = uses.get(site).copied().unwrap_or(0);
        let fits = match shared.contains(&site.as_str()) {
            true => count > 1,
            false => count == 1,
        };
        if !fits {
            faults.push(format!("Site::{site} is used {count} times"));
        }
    }
    for name in shared {
        if !sites.iter().any(|site| site == name) {
            faults.push(format!("Site::{name} does not exist"));
        }
    }
    faults
}

fn made_up(files: &[(&str, &str)]) -> Sources {
    let own = |&(file, text): &(&str, &str)| (file.to_owned(), text.to_owned());
    files.iter().map(own).collect()
}

#[test]
fn the_sources_are_found() {
    let found = sources();
    for file in ["lib.rs", "context.rs", "protocol/mod.rs", "sync/site.rs"] {
        assert!(found.iter().any(|(name, _)| name == file), "{file}");
    }
    assert!(!found.iter().any(|(name, _)| name.starts_with("tests")));
}

#[test]
fn no_module_names_its_own_or_a_higher_layer() {
    assert_eq!(layer_faults(&sources()), [""; 0]);
}

#[test]
fn only_the_facade_names_atomics_and_their_crates() {
    assert_eq!(facade_faults(&sources()), [""; 0]);
}

#[test]
fn unsafe_is_only_in_its_rooms() {
    assert_eq!(unsafe_faults(&sources()), [""; 0]);
}

#[test]
fn every_site_has_one_place() {
    assert_eq!(site_faults(&sources(), SHARED_SITES), [""; 0]);
}

#[test]
fn the_layer_checker_fails_on_what_it_is_for() {
    let lib = ("lib.rs", "pub use context::Context;\nmod context;");
    for (file, bad) in [
        ("state.rs", "use crate::list::Link;"),
        ("state.rs", "use super::list::Link;"),
        ("list/mod.rs", "fn f() { crate::wait_cell::f() }"),
        ("list/reap.rs", "use super::super::node::Node;"),
        (
            "list/reap.rs",
            "mod inner { use super::super::super::node; }",
        ),
        ("sync/real/mod.rs", "use crate::{sync::Site, error::Id};"),
        ("node.rs", "use crate::node2::X;"),
        ("error.rs", "use crate::Context;"),
        ("protocol/mod.rs", "use crate::*;"),
        (
            "protocol/mod.rs",
            "use crate::protocol::mark; use crate::context as below;",
        ),
        ("run.rs", "use crate::model::collect;"),
        ("fresh.rs", ""),
    ] {
        let faults = layer_faults(&made_up(&[lib, (file, bad)]));
        assert_eq!(faults.len(), 1, "{file}: {bad}: {faults:?}");
    }
}

#[test]
fn the_layer_checker_passes_what_is_right() {
    let lib = ("lib.rs", "pub use context::Context;\nmod context;");
    for (file, good) in [
        ("list/reap.rs", "use super::{Lane, word::{Head, Dead}};"),
        ("list/word.rs", "mod tests { use super::*; }"),
        (
            "protocol/mark.rs",
            "use super::cancel::Claimed; use crate::list;",
        ),
        ("wait_cell.rs", "use crate::list::{self, Link};"),
        (
            "handle.rs",
            "use crate::context::Context; use crate::run::X;",
        ),
        ("model.rs", "use crate::Context;"),
        (
            "state.rs",
            "// use crate::node::Node;\nconst S: &str = \"crate::node::X\";",
        ),
        (
            "state.rs",
            "/* crate::tree */ fn f<'a>(c: char) -> bool { c == '\"' }",
        ),
        (
            "state.rs",
            "const S: &str = r#\"a \" crate::protocol::X\"#; const Q: char = '\\'';",
        ),
        (
            "state.rs",
            "pub(crate) struct S; fn f() -> impl Sized + use<> {}",
        ),
    ] {
        let faults = layer_faults(&made_up(&[lib, (file, good)]));
        assert_eq!(faults, [""; 0], "{file}: {good}");
    }
}

#[test]
fn the_facade_checker_fails_on_what_it_is_for() {
    for bad in [
        "use std::sync::atomic::AtomicBool;",
        "use std::{fmt, sync::{Arc, atomic::{self, AtomicBool}}};",
        "fn f() { core::sync::atomic::fence(x) }",
        "use std::sync; fn f() { sync::atomic::fence(x) }",
        "fn f() { loom::thread::yield_now() }",
        "use crossbeam_epoch::{self as epoch};use ::loom::model;",
        "extern crate arc_swap;",
        "struct S(atomic_waker::AtomicWaker);",
    ] {
        assert!(
            !facade_faults(&made_up(&[("protocol/mod.rs", bad)])).is_empty(),
            "{bad}"
        );
        let inside = made_up(&[("sync/mod.rs", bad)]);
        assert_eq!(facade_faults(&inside), [""; 0]);
    }
    let good = "#[cfg(crossbeam_loom)] use std::sync::Arc; // std::sync::atomic\nuse crate::sync::AtomicPtr;";
    assert_eq!(
        facade_faults(&made_up(&[("protocol/mod.rs", good)])),
        [""; 0]
    );
}

#[test]
fn the_unsafe_checker_fails_on_what_it_is_for() {
    let bad = "fn f(p: *const u8) -> u8 { unsafe { *p } }";
    assert_eq!(unsafe_faults(&made_up(&[("context.rs", bad)])).len(), 1);
    assert_eq!(
        unsafe_faults(&made_up(&[("protocol/ask.rs", bad)])),
        [""; 0]
    );
    let good = "// unsafe\n#![deny(unsafe_op_in_unsafe_fn)] const S: &str = \"unsafe\";";
    assert_eq!(unsafe_faults(&made_up(&[("context.rs", good)])), [""; 0]);
}

#[test]
fn the_site_checker_fails_on_what_it_is_for() {
    let site = ("sync/site.rs", "sites! { One, Two, }");
    let one = ("node.rs", "fn f() { g(Site::One); }");
    let two = ("state.rs", "fn f() { g(crate::sync::Site::Two); }");
    assert_eq!(site_faults(&made_up(&[site, one, two]), &[]), [""; 0]);
    assert_eq!(site_faults(&made_up(&[site, one, two]), &["Two"]).len(), 1);
    assert_eq!(site_faults(&made_up(&[site, one, two]), &["Old"]).len(), 1);
    assert_eq!(site_faults(&made_up(&[site, one]), &[]).len(), 1);
    let again = (
        "list/mod.rs",
        "use crate::sync::Site; const S: Site = Site::One;",
    );
    assert_eq!(
        site_faults(&made_up(&[site, one, two, again]), &[]).len(),
        1
    );
    let shared = &["One"];
    assert_eq!(
        site_faults(&made_up(&[site, one, two, again]), shared),
        [""; 0]
    );
    assert_eq!(site_faults(&made_up(&[one, two]), &[]).len(), 1);
}
