//! The table of promises, and the modules, name tests and models that exist.

use super::layering;

const TABLE: &str = include_str!("../../docs/promises.md");
const MODELS: &str = include_str!("../../loom-tests/src/models/mod.rs");

/// The names in backquotes of one cell.
pub(super) fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// What is wrong with `table`, given where tests and models are looked up.
fn faults(
    table: &str,
    test_exists: impl Fn(&str) -> bool,
    model_exists: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    for number in 1..=25 {
        let start = format!("| V{number} |");
        let Some(row) = table.lines().find(|line| line.starts_with(&start)) else {
            faults.push(format!("V{number} has no row"));
            continue;
        };
        let cells: Vec<&str> = row.split('|').collect();
        let (tests, models) = (names(cells[2]), names(cells[3]));
        if tests.is_empty() {
            faults.push(format!("V{number} is shown by no test"));
        }
        for name in tests.into_iter().filter(|name| !test_exists(name)) {
            faults.push(format!(
                "V{number} names the test `{name}`, which is not there"
            ));
        }
        for name in models.into_iter().filter(|name| !model_exists(name)) {
            faults.push(format!(
                "V{number} names the model `{name}`, which is not there"
            ));
        }
    }
    faults
}

/// The source of a module of tests, `stress::forest` say; nothing if there is none.
pub(super) fn test_source(module: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root
        .join("src/tests")
        .join(module.replace("::", "/") + ".rs");
    std::fs::read_to_string(file).unwrap_or_default()
}

fn is_in_the_sources(name: &str) -> bool {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    match name.rsplit_once("::") {
        Some((module, test)) => test_source(module).contains(&format!("#[test]\nfn {test}()")),
        None => root.join(name).exists(),
    }
}

pub(super) fn is_a_model(name: &str) -> bool {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    (name.contains('/') && root.join(name).is_file()) || MODELS.contains(&format!("::{name}, "))
}

// V24.
#[test]
fn every_promise_is_shown_by_something_that_exists() {
    assert_eq!(
        faults(TABLE, is_in_the_sources, is_a_model),
        Vec::<String>::new()
    );
}

/// The models that a module's own documentation says check it.
fn models_of(source: &str) -> Vec<&str> {
    let Some((_, after)) = source.split_once("\n//! Models: ") else {
        return Vec::new();
    };
    let end = after.find(".\n").unwrap_or(after.len());
    let mut named = names(&after[..end]);
    // One module leaves it to the table of all of them.
    named.retain(|name| *name != "loom-tests/README.md");
    named
}

// V24.
#[test]
fn every_model_that_a_module_names_exists() {
    let mut named = 0;
    for (file, text) in layering::sources() {
        for model in models_of(&text) {
            assert!(is_a_model(model), "{file} names the model `{model}`");
            named += 1;
        }
    }
    assert!(named > 50, "only {named} were found");
    let two_lines = "//! What.\n//!\n//! Models: `a`, `b`,\n//! `c`.\n\nuse d::`e`;";
    assert_eq!(models_of(two_lines), ["a", "b", "c"]);
}

#[test]
fn a_table_with_gaps_is_found_out() {
    let table = "| V1 | `a::b` | `c` |\n| V2 | | |\n";
    let found = faults(table, |_| false, |_| false);
    assert!(found[0].contains("the test `a::b`"), "{found:?}");
    assert!(found[1].contains("the model `c`"), "{found:?}");
    assert!(found[2].contains("V2 is shown by no test"), "{found:?}");
    assert!(found[3].contains("V3 has no row"), "{found:?}");
}
