//! The list of seeded bugs, `mutants.txt`.

use std::collections::BTreeMap;
use std::path::PathBuf;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("mutants.txt")
}

/// Each bug of the list, and the model that finds it, or `- ` and why none can.
pub fn read() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(bug, model)| (bug.to_owned(), model.trim().to_owned()))
        .collect()
}

/// Replaces the list.
///
/// # Panics
///
/// If it cannot be written.
pub fn write(list: &BTreeMap<String, String>) {
    let mut text =
        String::from("# Each seeded bug, and the model that finds it. See src/bin/mutants.rs.\n");
    for (bug, model) in list {
        text += &format!("{bug} {model}\n");
    }
    std::fs::write(path(), text).expect("the list can be written");
}

/// Checks that the list names every bug which the models run so far could have.
#[cfg(any(crossbeam_loom, ctxtree_shuttle))]
pub(crate) fn check() {
    let list = read();
    for bug in ctxtree::model::harness::Bug::seen() {
        assert!(
            list.contains_key(&format!("{bug:?}")),
            "{bug:?} is in no list: run `cargo mutants-gate --find`"
        );
    }
}
