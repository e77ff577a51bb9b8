//! `docs/orderings.md` is what the sources say, and every ordering in it has a
//! seeded bug.
//!
//! `ORDERINGS=write cargo test orderings` writes the table anew.

mod reader;

use super::layering::{Sources, sources};
use reader::{Source, Wrapper};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ORDERINGS: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// One operation on an atomic, or one look again.
#[derive(Clone, Debug)]
struct Operation {
    file: String,
    /// A method of the atomics, or `recheck`.
    what: String,
    /// Of success, and then of failure.
    orders: Vec<String>,
    why: String,
}

impl Operation {
    /// How each bug is called that weakens it.
    fn weakenings(&self) -> Vec<&'static str> {
        let is = |at: usize, orders: &[&str]| {
            let order = self.orders.get(at);
            order.is_some_and(|order| orders.contains(&order.as_str()))
        };
        [
            ("Acquire", is(0, &["Acquire", "AcqRel"])),
            ("Release", is(0, &["Release", "AcqRel"])),
            ("FailureAcquire", is(1, &["Acquire"])),
            ("PlainRead", self.what == "read_in_order"),
            ("Skip", self.what == "recheck"),
            ("Spurious", self.what == "compare_exchange_weak"),
        ]
        .into_iter()
        .filter_map(|(name, has)| has.then_some(name))
        .collect()
    }

    /// Whom it meets, by its comment.
    fn partners(&self) -> String {
        let mut found = Vec::new();
        if self.orders.iter().all(|order| order == "Relaxed") {
            return String::new();
        }
        for meet in ["meets ", "meet ", "Meets "] {
            for (at, _) in self.why.match_indices(meet) {
                let rest = &self.why[at + meet.len()..];
                found.push(rest[..rest.find([';', '.', ',', ':']).unwrap_or(rest.len())].trim());
            }
        }
        found.dedup();
        found.join("; ")
    }

    fn order(&self) -> String {
        match &self.orders[..] {
            [] => "–".to_owned(),
            [order] => order.clone(),
            [success, failure, ..] => format!("{success}, on failure {failure}"),
        }
    }

    fn faults(&self) -> Vec<&'static str> {
        let says = |order: &str| self.why.contains(order);
        let asks = |order: &str| self.orders.iter().any(|asked| asked == order);
        let orders = self.orders.iter().any(|order| order != "Relaxed");
        [
            (
                self.why.is_empty(),
                "has no comment that begins with its ordering",
            ),
            (
                (asks("Acquire") && !says("Acquire")) || (asks("Release") && !says("Release")),
                "has a comment that does not name its ordering",
            ),
            (asks("SeqCst"), "asks for more than the models know"),
            (
                orders && self.partners().is_empty(),
                "does not say whom it meets",
            ),
        ]
        .into_iter()
        .filter_map(|(is, fault)| is.then_some(fault))
        .collect()
    }
}

/// Every operation by the name of its site, and what is wrong with them.
fn operations(sources: &Sources) -> (BTreeMap<String, Vec<Operation>>, Vec<String>) {
    let back_ends = ["sync/real/epoch.rs"];
    let explored = |file: &str| !file.starts_with("sync/") || back_ends.contains(&file);
    let sources = sources.iter().filter(|(file, _)| explored(file));
    let sources: Vec<Source<'_>> = sources.map(|(f, text)| Source::new(f, text)).collect();
    let wrappers: Vec<Wrapper> = sources.iter().flat_map(Source::wrappers).collect();
    let mut found: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    let mut faults = Vec::new();
    for source in &sources {
        for (at, site) in source.sites() {
            let Some(operation) = source.operation(at, &wrappers) else {
                faults.push(format!("`{site}` is no operation that is known here"));
                continue;
            };
            let own = operation.faults();
            faults.extend(own.into_iter().map(|fault| format!("`{site}` {fault}")));
            found.entry(site.to_owned()).or_default().push(operation);
        }
    }
    (found, faults)
}

fn bugs(operations: &BTreeMap<String, Vec<Operation>>) -> BTreeSet<String> {
    let all = operations.iter();
    let all = all.flat_map(|(site, all)| all.iter().map(move |operation| (site, operation)));
    all.flat_map(|(site, operation)| {
        let all = operation.weakenings().into_iter();
        all.map(move |how| format!("{site}.{how}"))
    })
    .collect()
}

/// The seeded bugs of `loom-tests/mutants.txt`, and the model for each.
fn listed(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

fn bug_faults(needed: &BTreeSet<String>, listed: &BTreeMap<&str, &str>) -> Vec<String> {
    let has = |bug: &&String| !listed.contains_key(bug.as_str());
    let missing = needed.iter().filter(has);
    let missing = missing.map(|bug| format!("no model is listed for {bug}"));
    let stale = listed.keys().filter(|bug| !needed.contains(**bug));
    let stale = stale.map(|bug| format!("{bug} is listed and weakens nothing"));
    missing.chain(stale).collect()
}

const HEAD: &str = "\
# Every atomic operation

Each operation on an atomic has a site, a name that it hands to the facade
(`src/sync/`). This table is made of the sources, and a test keeps it so. The last
column names what is seeded there, one at a time, and the model that turns red: the
ordering lost, a look again left out, a read by a read-modify-write done by a load.
`Spurious` is no bug: the weak compare-and-swap fails without a reason, and the
model must stay green. Relaxed asks for nothing, so nothing can be taken from it.

There are no fences and no `SeqCst`. Three things lie below the table and have no
sites: the value behind `Swap`, which is arc-swap's, the waker slot of a wait, which
is atomic-waker's, and the lock of a listener, which is std's; pins and what is
deferred are crossbeam-epoch's.

`cargo mutants-gate` plants all that is listed. `ORDERINGS=write cargo test
orderings` writes the table anew, and `cargo mutants-gate --find` finds the models.
";

fn table(operations: &BTreeMap<String, Vec<Operation>>, listed: &BTreeMap<&str, &str>) -> String {
    let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (site, all) in operations {
        for operation in all {
            let shown = operation.weakenings().into_iter().map(|how| {
                let model = listed.get(format!("{site}.{how}").as_str());
                format!("{how}: `{}`", model.unwrap_or(&"none"))
            });
            let shown: Vec<String> = shown.collect();
            files.entry(&operation.file).or_default().push(format!(
                "| `{site}` | `{}` | {} | {} | {} | {} |\n",
                operation.what,
                operation.order(),
                operation.partners(),
                operation.why.replace('|', "\\|"),
                shown.join("<br>"),
            ));
        }
    }
    let mut text = HEAD.to_owned();
    for (file, rows) in files {
        text += &format!("\n## `src/{file}`\n\n");
        text +=
            "| site | operation | ordering | meets | why | shown by |\n|---|---|---|---|---|---|\n";
        text += &rows.concat();
    }
    text
}

fn beside_src(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn list() -> String {
    fs::read_to_string(beside_src("loom-tests/mutants.txt")).unwrap()
}

#[test]
fn every_operation_says_why_and_whom_it_meets() {
    let (operations, faults) = operations(&sources());
    assert!(operations.len() > 200, "{}", operations.len());
    assert_eq!(faults, [""; 0]);
}

// V24
#[test]
fn every_ordering_and_every_look_again_has_a_seeded_bug() {
    let (operations, _) = operations(&sources());
    assert_eq!(bug_faults(&bugs(&operations), &listed(&list())), [""; 0]);
}

#[test]
fn the_table_of_orderings_is_what_the_sources_say() {
    let (operations, _) = operations(&sources());
    let table = table(&operations, &listed(&list()));
    let path = beside_src("docs/orderings.md");
    if std::env::var_os("ORDERINGS").is_some_and(|what| what == "write") {
        fs::write(&path, &table).unwrap();
    }
    let there = fs::read_to_string(path).unwrap();
    let mut lines = there.lines().zip(table.lines());
    let differs = lines.find(|(old, new)| old != new);
    assert_eq!(differs, None, "`ORDERINGS=write cargo test orderings`");
    assert_eq!(there.len(), table.len());
}

fn made_up(text: &str) -> (BTreeMap<String, Vec<Operation>>, Vec<String>) {
    operations(&vec![("node.rs".to_owned(), text.to_owned())])
}

#[test]
fn the_reader_of_orderings_reads_them() {
    let (found, faults) = made_up(
        "fn f() {
            // Release: what was done; meets the Acquire in `g`. On failure
            // Relaxed.
            self.word.compare_exchange_weak(old(1, 2), new, Release, Relaxed, Site::One);
        }
        fn ask(&self, more: u8, site: Site) {
            // Acquire: what was done; meets the Release in `f`.
            self.word.load(Acquire, site)
        }
        fn g() {
            // Again: f may be there.
            self.ask(0, Site::Two).is_none() && recheck(Site::Three)
        }
        fn update(&self, site: Site, orders: (Ordering, Ordering)) {
            self.word.compare_exchange(old, new, success, failure, site)
        }
        fn h() {
            // AcqRel: they meet each other. On failure Acquire.
            let orders = (AcqRel, Acquire);
            self.update(Site::Four, orders)
        }",
    );
    assert_eq!(faults, [""; 0]);
    let orders = |site: &str| found[site][0].order();
    assert_eq!(orders("One"), "Release, on failure Relaxed");
    assert_eq!(orders("Two"), "Acquire");
    assert_eq!(orders("Four"), "AcqRel, on failure Acquire");
    assert_eq!(found["Two"][0].partners(), "the Release in `f`");
    let bugs: Vec<String> = bugs(&found).into_iter().collect();
    let all = "Four.Acquire Four.FailureAcquire Four.Release One.Release One.Spurious \
               Three.Skip Two.Acquire";
    assert_eq!(bugs, all.split(' ').collect::<Vec<_>>());
    let listed = listed("# text\nOne.Release a\nOther.Skip b\n");
    let faults = bug_faults(&bugs.into_iter().collect(), &listed);
    assert_eq!(faults.len(), 7, "{faults:?}");
}

#[test]
fn the_reader_of_orderings_fails_on_what_it_is_for() {
    for bad in [
        "fn f() { self.word.load(Relaxed, Site::One) }",
        "fn f() {\n// Acquire: because.\nself.word.load(Acquire, Site::One) }",
        "fn f() {\n// Relaxed: a guess; meets all.\nself.word.load(Acquire, Site::One) }",
        "fn f() {\n// SAFETY: ours.\nself.word.load(Relaxed, Site::One) }",
        "fn f() {\n// Relaxed: a guess.\n}\nfn g() {\nself.word.load(Relaxed, Site::One) }",
        "fn f() {\n// SeqCst: meets all.\nself.word.load(SeqCst, Site::One) }",
        "fn f() { recheck(Site::One) }",
        "fn f() { unheard_of(Site::One) }",
    ] {
        let (_, faults) = made_up(bad);
        assert_eq!(faults.len(), 1, "{bad}: {faults:?}");
    }
    let (_, faults) = made_up(
        "fn f() {
            // Relaxed: a guess.
            self.word.load(Relaxed, Site::One);
            self.word.load(Relaxed, Site::Two);
        }",
    );
    assert_eq!(faults.len(), 1, "{faults:?}");
    let (_, faults) = made_up(
        "fn f() {
            // Relaxed, both: guesses.
            self.word.load(Relaxed, Site::One);
            self.word.load(Relaxed, Site::Two);
        }",
    );
    assert_eq!(faults, [""; 0]);
}
