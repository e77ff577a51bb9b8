//! `docs/orderings.md` is what the sources say, and every ordering in it has a
//! seeded bug.
//!
//! `ORDERINGS=write cargo test orderings` writes the table anew.

use super::layering::{Sources, sources};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ORDERINGS: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// The atomics' methods, each with how many orderings it takes.
const METHODS: &[(&str, usize)] = &[
    ("load", 1),
    ("store", 1),
    ("swap", 1),
    ("fetch_add", 1),
    ("fetch_sub", 1),
    ("fetch_or", 1),
    ("fetch_max", 1),
    ("read_in_order", 1),
    ("compare_exchange", 2),
    ("compare_exchange_weak", 2),
];

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

/// A function that hands a site it is given to an operation.
struct Wrapper {
    name: String,
    /// Which of its parameters the site is; `self` does not count.
    parameter: usize,
    operation: Operation,
}

/// A source whose comments are blanks in `code`, so that places are the same.
struct Source<'s> {
    file: &'s str,
    text: &'s str,
    code: String,
}

/// The call in whose arguments some place lies.
struct Call<'s> {
    callee: &'s str,
    arguments: Vec<&'s str>,
    /// Which of them that is.
    number: usize,
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn last_name(text: &str) -> &str {
    let start = text.rfind(|c| !is_name(c)).map_or(0, |at| at + 1);
    &text[start..]
}

fn first_name(text: &str) -> &str {
    &text[..text.find(|c| !is_name(c)).unwrap_or(text.len())]
}

/// What lies between the bracket at `open` and its partner, at its commas.
fn arguments(code: &str, open: usize) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, open + 1, Vec::new());
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' => {}
            _ => continue,
        }
        if depth == 0 || (depth == 1 && byte == b',') {
            found.push(code[start..at].trim());
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found.retain(|argument| !argument.is_empty());
    found
}

impl<'s> Source<'s> {
    fn new(file: &'s str, text: &'s str) -> Self {
        let blank = |line: &str| match line.find("//") {
            Some(at) => format!("{}{}", &line[..at], " ".repeat(line.len() - at)),
            None => line.to_owned(),
        };
        let code: Vec<String> = text.split('\n').map(blank).collect();
        let code = code.join("\n");
        Self { file, text, code }
    }

    fn call_around(&self, at: usize) -> Option<Call<'_>> {
        let mut depth = 0;
        let open = self.code[..at].rfind(|c| {
            match c {
                ')' | ']' | '}' => depth += 1,
                '(' | '[' | '{' => depth -= 1,
                _ => {}
            }
            depth < 0
        })?;
        let before = self.code[..at].len() - open;
        let arguments = arguments(&self.code, open);
        let base = self.code.as_ptr().addr() + open;
        let starts = arguments.iter().map(|a| a.as_ptr().addr() - base);
        let number = starts.take_while(|start| *start <= before).count();
        Some(Call {
            callee: last_name(&self.code[..open]),
            number: number.checked_sub(1)?,
            arguments,
        })
    }

    /// The comment that speaks of the operation at `at`: the nearest one above
    /// that begins with one of `leads`, unless another site comes between that it
    /// does not include.
    fn why(&self, at: usize, leads: &[&str]) -> Option<String> {
        let line = self.text[..at].matches('\n').count();
        let lines: Vec<&str> = self.text.split('\n').map(str::trim).collect();
        let (mut block, mut passed) = (Vec::new(), false);
        for at in (0..line).rev().take(30) {
            let comment = lines[at].strip_prefix("//").map(str::trim);
            match comment.filter(|_| !lines[at].starts_with("///")) {
                Some(comment) => {
                    let above = at.checked_sub(1).map_or("", |above| lines[above]);
                    block.push(comment);
                    if above.starts_with("//") && !above.starts_with("///") {
                        continue;
                    }
                }
                None if ["fn ", "pub", "///", "unsafe fn "]
                    .iter()
                    .any(|start| lines[at].starts_with(start)) =>
                {
                    return None;
                }
                None => {
                    passed |= lines[at].contains("Site::");
                    continue;
                }
            }
            let text = block.drain(..).rev().collect::<Vec<_>>().join(" ");
            if !leads.contains(&first_name(&text)) {
                continue;
            }
            let lead = text.split(':').next().unwrap_or_default();
            let more = ["both", "all", "here"];
            let includes = lead.split(|c| !is_name(c)).any(|word| more.contains(&word));
            let text = text.split("SAFETY:").next().unwrap_or_default();
            return (!passed || includes).then(|| text.trim().to_owned());
        }
        None
    }

    /// Places of `Site::`, each with the name.
    fn sites(&self) -> impl Iterator<Item = (usize, &str)> {
        let found = self.code.match_indices("Site::");
        found.map(|(at, path)| (at, first_name(&self.code[at + path.len()..])))
    }

    /// What lies in the brackets of the nearest `let orders = (..)` above.
    fn orders_above(&self, at: usize) -> Vec<&str> {
        let start = "let orders = (";
        let found = self.code[..at].rfind(start);
        found.map_or(Vec::new(), |at| arguments(&self.code, at + start.len() - 1))
    }

    fn wrappers(&self) -> Vec<Wrapper> {
        let mut found = Vec::new();
        for &(method, count) in METHODS {
            for (at, _) in self.code.match_indices(&format!(".{method}(")) {
                let arguments = arguments(&self.code, at + method.len() + 1);
                let Some((site, rest)) = arguments.split_last() else {
                    continue;
                };
                if !site.chars().all(is_name) || rest.len() < count {
                    continue;
                }
                let Some(function) = self.code[..at].rfind("fn ") else {
                    continue;
                };
                let name = first_name(&self.code[function + 3..]);
                let open = function + self.code[function..].find('(').unwrap_or(0);
                let parameters = self::arguments(&self.code, open);
                let mut parameters = parameters.iter().filter(|p| !p.ends_with("self"));
                let Some(parameter) = parameters.position(|p| p.starts_with(&format!("{site}:")))
                else {
                    continue;
                };
                let orders = rest[rest.len() - count..].iter();
                found.push(Wrapper {
                    name: name.to_owned(),
                    parameter,
                    operation: Operation {
                        file: self.file.to_owned(),
                        what: method.to_owned(),
                        orders: orders.map(|order| (*order).to_owned()).collect(),
                        why: self.why(at, ORDERINGS).unwrap_or_default(),
                    },
                });
            }
        }
        found
    }

    fn operation(&self, at: usize, wrappers: &[Wrapper]) -> Option<Operation> {
        let call = self.call_around(at)?;
        let own = |what: &str, orders: &[&str], leads: &[&str]| Operation {
            file: self.file.to_owned(),
            what: what.to_owned(),
            orders: orders.iter().map(|order| (*order).to_owned()).collect(),
            why: self.why(at, leads).unwrap_or_default(),
        };
        if call.callee == "recheck" {
            return Some(own("recheck", &[], &["Again"]));
        }
        if let Some((method, count)) = METHODS.iter().find(|(name, _)| *name == call.callee) {
            let orders = call.number.checked_sub(*count);
            let orders = orders.map_or(&[][..], |from| &call.arguments[from..call.number]);
            if !orders.is_empty() && orders.iter().all(|order| ORDERINGS.contains(order)) {
                return Some(own(method, orders, &[ORDERINGS, &["On"]].concat()));
            }
        }
        let fits =
            |wrapper: &&Wrapper| wrapper.name == call.callee && wrapper.parameter == call.number;
        let here = |wrapper: &&Wrapper| wrapper.operation.file == self.file;
        let mut fitting = wrappers.iter().filter(fits);
        let wrapper = fitting.clone().find(here).or_else(|| fitting.next())?;
        let mut operation = wrapper.operation.clone();
        operation.file = self.file.to_owned();
        for order in &mut operation.orders {
            let above = self.orders_above(at);
            match order.as_str() {
                "success" => *order = (*above.first()?).to_owned(),
                "failure" => *order = (*above.get(1)?).to_owned(),
                _ => {}
            }
        }
        if wrapper.operation.orders != operation.orders || operation.why.is_empty() {
            operation.why = self
                .why(at, &[ORDERINGS, &["On"]].concat())
                .unwrap_or_default();
        }
        Some(operation)
    }
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

There are no fences and no `SeqCst`. Two things lie below the table and have no
sites: the value behind `Swap`, which is arc-swap's, and the waker slot of a wait,
which is atomic-waker's; pins and what is deferred are crossbeam-epoch's.

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
