//! The table of conformance cases is whole, and names what exists.
//!
//! `docs/conformance.md` has one row for each case: its number, what must hold,
//! and what shows it, or why nothing does. A test that a row names must carry
//! the number in the comment above it.

use super::promises::{is_a_model, names, test_source};
use std::collections::HashSet;
use std::path::Path;

const TABLE: &str = include_str!("../../docs/conformance.md");

/// Every case: its letter, and how many there are.
const CASES: [(char, usize); 8] = [
    ('G', 144),
    ('T', 39),
    ('S', 3),
    ('C', 13),
    ('K', 14),
    ('I', 6),
    ('D', 21),
    ('P', 72),
];

/// How a row begins that nothing shows; a reason follows.
const EXCUSES: [&str; 3] = ["Not built yet: ", "Not tested: ", "Does not apply: "];

/// What stands behind a name in the third column.
enum Shown {
    Nothing,
    /// A test, and the comment above it.
    Test(String),
    /// A model, a bench or another file.
    Other,
}

/// What is wrong with `table`, given what stands behind a name.
fn faults(table: &str, look_up: impl Fn(&str) -> Shown) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    let known: HashSet<String> = CASES
        .iter()
        .flat_map(|&(letter, count)| (1..=count).map(move |n| format!("{letter}{n}")))
        .collect();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let &["", case, promise, shown, ""] = &cells[..] else {
            faults.push(format!("not three cells: {row}"));
            continue;
        };
        if case == "#" {
            continue;
        }
        if !known.contains(case) {
            faults.push(format!("{case} is no case"));
        }
        if !seen.insert(case.to_owned()) {
            faults.push(format!("{case} has two rows"));
        }
        if promise.is_empty() {
            faults.push(format!("{case} promises nothing"));
        }
        let (shown_by, excused) = (names(shown), is_excuse(shown));
        if shown_by.is_empty() && !excused {
            faults.push(format!("{case} is shown by nothing, and nothing says why"));
        }
        if !shown_by.is_empty() && excused {
            faults.push(format!("{case} is excused, and shown as well"));
        }
        for name in shown_by {
            match look_up(name) {
                Shown::Nothing => faults.push(format!("{case} names `{name}`, which is not there")),
                Shown::Test(comment) if !numbers(&comment).contains(case) => {
                    faults.push(format!("`{name}` does not say that it stands for {case}"));
                }
                Shown::Test(_) | Shown::Other => {}
            }
        }
    }
    for &(letter, count) in &CASES {
        for n in 1..=count {
            let case = format!("{letter}{n}");
            if !seen.contains(&case) {
                faults.push(format!("{case} has no row"));
            }
        }
    }
    faults
}

/// Whether a cell says why nothing shows its case.
fn is_excuse(shown: &str) -> bool {
    let reason = EXCUSES.iter().find_map(|start| shown.strip_prefix(start));
    reason.is_some_and(|reason| !reason.is_empty())
}

/// The cases that a comment names, ranges such as `G77 to G85` written out.
fn numbers(comment: &str) -> HashSet<String> {
    let words: Vec<&str> = comment.split_whitespace().collect();
    let mut found = HashSet::new();
    for (at, word) in words.iter().enumerate() {
        let Some((letter, first)) = number(word) else {
            continue;
        };
        let end = match words.get(at + 1..at + 3) {
            Some(&["to", end]) => number(end).filter(|&(same, _)| same == letter),
            _ => None,
        };
        let last = end.map_or(first, |(_, last)| last);
        found.extend((first..=last).map(|n| format!("{letter}{n}")));
    }
    found
}

/// `G12`, with signs around it.
fn number(word: &str) -> Option<(char, usize)> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let letter = word.chars().next()?;
    let digits = word.strip_prefix(letter)?;
    CASES.iter().find(|&&(known, _)| known == letter)?;
    Some((letter, digits.parse().ok()?))
}

/// The comment right above the test of this name in a source.
fn comment_above(source: &str, test: &str) -> Option<String> {
    let start = source.find(&format!("#[test]\nfn {test}()"))?;
    let mut lines: Vec<&str> = source[..start]
        .lines()
        .rev()
        .take_while(|line| line.starts_with("//") || line.starts_with("#["))
        .filter_map(|line| line.strip_prefix("//"))
        .collect();
    lines.reverse();
    Some(lines.join("\n"))
}

fn look_up(name: &str) -> Shown {
    let comment = match name.rsplit_once("::") {
        Some((module, test)) => comment_above(&test_source(module), test),
        None => None,
    };
    let is_file = || Path::new(env!("CARGO_MANIFEST_DIR")).join(name).is_file();
    match comment {
        Some(comment) => Shown::Test(comment),
        None if is_a_model(name) || is_file() => Shown::Other,
        None => Shown::Nothing,
    }
}

// P72: nothing is left out, and nothing is claimed that is not there.
#[test]
fn every_case_is_shown_by_something_that_exists_or_excused() {
    assert_eq!(faults(TABLE, look_up), Vec::<String>::new());
}

/// The real table, with one text in place of another.
fn spoilt(old: &str, new: &str) -> Vec<String> {
    assert!(TABLE.contains(old), "{old}");
    faults(&TABLE.replacen(old, new, 1), look_up)
}

#[test]
fn a_table_that_is_not_whole_is_found_out() {
    let row = |case: &str| {
        let start = format!("| {case} |");
        let row = TABLE.lines().find(|line| line.starts_with(&start));
        format!("{}\n", row.unwrap())
    };
    let (g1, p72) = (row("G1"), row("P72"));
    for (old, new, fault) in [
        (g1.as_str(), "", "G1 has no row"),
        (&p72, "", "P72 has no row"),
        (&g1, &format!("{g1}{g1}"), "G1 has two rows"),
        (&g1, &g1.replace("G1", "G145"), "G145 is no case"),
        (&g1, &g1.replace("G1", "X1"), "X1 is no case"),
        (&g1, &g1.replacen(" | `", " `", 1), "not three cells"),
        (&g1, &g1.replace('`', ""), "G1 is shown by nothing"),
        (&g1, "| G1 | | `src/lib.rs` |\n", "G1 promises nothing"),
        (
            &g1,
            "| G1 | so | Not built yet: |\n",
            "G1 is shown by nothing",
        ),
        (
            &g1,
            "| G1 | so | Does not apply: see `src/lib.rs` |\n",
            "G1 is excused, and shown as well",
        ),
    ] {
        let found = spoilt(old, new);
        assert!(
            found.iter().any(|found| found.starts_with(fault)),
            "{fault}: {found:?}"
        );
    }
}

#[test]
fn a_table_that_names_what_is_not_there_is_found_out() {
    for gone in [
        "cancel::no_such_test",
        "no_such_module::cancel_is_seen_at_once_and_for_ever",
        "cancel::root",
        "no_such_model",
        "benches/no_such_bench.rs",
        "src/tests",
    ] {
        let table = format!("| S1 | so | `{gone}` |\n");
        let found = faults(&table, look_up);
        let fault = format!("S1 names `{gone}`, which is not there");
        assert!(found.contains(&fault), "{found:?}");
    }
    // One that is there, and does not stand for the case.
    let test = "conformance_table::a_table_that_names_what_is_not_there_is_found_out";
    let found = faults(&format!("| S1 | so | `{test}` |\n"), look_up);
    let fault = format!("`{test}` does not say that it stands for S1");
    assert!(found.contains(&fault), "{found:?}");
}

#[test]
fn numbers_are_read_from_comments() {
    let read = |comment| {
        let mut found: Vec<_> = numbers(comment).into_iter().collect();
        found.sort();
        found
    };
    assert_eq!(
        read(" V6, G77 to G79, G99: P10. V5"),
        ["G77", "G78", "G79", "G99", "P10"]
    );
    assert_eq!(read("(T1);\nK12 to what D5"), ["D5", "K12", "T1"]);
    assert_eq!(read("P-free, G, GG1, 7, to G2"), ["G2"]);
    let source =
        "// G1\n\n// G2,\n// G3.\n#[cfg(unix)]\n#[test]\nfn this() {\n}\n#[test]\nfn that()";
    assert_eq!(comment_above(source, "this").unwrap(), " G2,\n G3.");
    assert_eq!(comment_above(source, "that").unwrap(), "");
    assert!(comment_above(source, "other").is_none());
}
