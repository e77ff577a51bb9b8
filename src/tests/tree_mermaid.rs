//! The flowchart of a snapshot: what it holds, and the limits of its viewers.

use super::snapshot::named;
use super::tools::{Wakes, poll};
use super::tree_names::{breaks_text, nodes, plans, tree_of, with_each_name, with_random_trees};
use crate::Context;
use crate::tree::{Node, Snapshot, State};
use std::collections::HashMap;

/// Of the viewers.
const EDGES: usize = 500;
const CHARS: usize = 50_000;

/// A box of a context: what it says, its style, the box above.
struct Shown {
    text: String,
    style: String,
    above: Option<usize>,
}

/// A chart, read back: its boxes, and how many more are below which.
struct Chart {
    shown: Vec<Shown>,
    more: HashMap<usize, usize>,
}

/// Reads the little of Mermaid's language that is used, and nothing else.
fn read(chart: &str) -> Chart {
    assert!(chart.chars().count() < CHARS && chart.encode_utf16().count() < CHARS);
    assert!(chart.matches(" --> ").count() < EDGES);
    let mut lines = chart.lines();
    assert_eq!(lines.next(), Some("flowchart TD"));
    for style in ["done", "orphaned", "doneOrphaned"] {
        let line = lines.next().unwrap();
        assert!(line.starts_with(&format!("  classDef {style} ")), "{line}");
        // Mermaid would take one away from such a line.
        assert!(!line.contains(';'), "{line}");
    }
    let mut read = Chart {
        shown: Vec::new(),
        more: HashMap::new(),
    };
    for line in lines {
        let line = line.strip_prefix("  n").expect("a box");
        if let Some((above, rest)) = line.split_once(" --> m") {
            let (number, rest) = rest.split_once("([\"… ").unwrap();
            assert_eq!(number, above);
            let count = rest.strip_suffix(" more below\"])").unwrap();
            let before = read
                .more
                .insert(number.parse().unwrap(), count.parse().unwrap());
            assert!(before.is_none() && count != "0", "{line}");
            continue;
        }
        assert!(read.more.is_empty(), "contexts come first: {line}");
        let (above, line) = match line.split_once(" --> n") {
            Some((above, line)) => (Some(above.parse().unwrap()), line),
            None => (None, line),
        };
        assert_eq!(above.is_none(), read.shown.is_empty(), "{line}");
        assert!(above.is_none_or(|above| above < read.shown.len()), "{line}");
        let (number, rest) = line.split_once("[\"").unwrap();
        assert_eq!(number, read.shown.len().to_string());
        let (text, style) = rest.split_once("\"]").unwrap();
        assert!(
            ["", ":::done", ":::orphaned", ":::doneOrphaned"].contains(&style),
            "{line}"
        );
        let style = style.trim_start_matches(':').to_owned();
        let text = decode(text);
        read.shown.push(Shown { text, style, above });
    }
    read
}

/// What a box shows. Fails on all that might mean something to Mermaid or to
/// HTML.
fn decode(label: &str) -> String {
    let mut text = String::new();
    let mut after_space = true;
    let mut rest = label.chars();
    while let Some(c) = rest.next() {
        assert!(c != ' ' || !after_space, "indented or wide: {label}");
        after_space = c == ' ';
        match c {
            '<' => {
                assert_eq!(rest.by_ref().take(4).collect::<String>(), "br/>");
                text.push('\n');
            }
            '#' => {
                let code: String = rest.by_ref().take_while(|c| *c != ';').collect();
                let c = code.parse().ok().and_then(char::from_u32);
                let c = c.unwrap_or_else(|| panic!("{code} in {label}"));
                assert!(c.is_ascii() && !breaks_text(c), "{c:?} in {label}");
                text.push(c);
            }
            c => {
                let plain = c == ' ' || c.is_ascii_alphanumeric() || !c.is_ascii();
                assert!(plain && !breaks_text(c), "{c:?} in {label}");
                text.push(c);
            }
        }
    }
    check_decoded(&text);
    text.chars().filter(|c| !has_no_width(*c)).collect()
}

/// Put in between; a name may have them too.
fn has_no_width(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{feff}')
}

/// Mermaid reads a label once more when its escapes are undone: for Markdown, for
/// formulas, for icons, and for what stands for escapes.
fn check_decoded(text: &str) {
    let title = text.split('\n').next().unwrap();
    let first = title.chars().next();
    assert!(
        first.is_none_or(|c| c.is_alphabetic() || c == '\u{200b}'),
        "{title}"
    );
    let chars: Vec<char> = title.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        let next = chars.get(at + 1);
        let begins = match c {
            '`' => panic!("{title}"),
            '*' | '~' | '$' | '\\' | ':' | '@' | ']' => true,
            '_' => at == 0 || !chars[at - 1].is_alphanumeric(),
            _ => false,
        };
        assert!(!begins || next == Some(&'\u{feff}'), "{c} in {title}");
    }
    let lower = title.to_lowercase();
    for bad in [
        "http:/",
        "fa:fa-",
        "$$",
        "\\n",
        "\u{fb02}\u{b0}",
        "\u{b6}\u{df}",
    ] {
        assert!(!lower.contains(bad), "{bad} in {title}");
    }
    for after in lower.split("www.").skip(1) {
        let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '-';
        assert!(!after.starts_with(goes_on), "{title}");
    }
}

/// The text of a box, from the line of the text tree.
fn expected(node: &Node) -> String {
    let mut line = node.to_string();
    let name = node.name().unwrap_or("");
    if name.chars().count() > 60 {
        let cut: String = name.chars().take(60).collect();
        let (short, _handle) = Context::todo().derive().name(cut).build();
        let short = short.tree().to_string();
        // The name may look like an id, what is after the id does not.
        let title = &short[..short.rfind(" #").unwrap()];
        line = format!("{title}…{}", &line[line.rfind(" #").unwrap()..]);
    }
    line = line.replace('`', "\\u{60}");
    line.chars().filter(|c| !has_no_width(*c)).collect()
}

/// Reads the chart of a tree, and compares: the first levels are shown, each
/// below its parent, and the rest counted where it is.
fn check(tree: &Snapshot) -> Chart {
    let chart = read(&tree.to_mermaid());
    let all = nodes(tree);
    let mut by_level = all.clone();
    by_level.sort_by_key(|node| node.depth());
    let numbers: HashMap<_, _> = by_level
        .iter()
        .take(chart.shown.len())
        .enumerate()
        .map(|(number, node)| (node.id(), number))
        .collect();
    for (shown, node) in chart.shown.iter().zip(&by_level) {
        let mut parts = shown.text.split('\n');
        let mut line = format!("{} {}", parts.next().unwrap(), parts.next().unwrap());
        parts.for_each(|part| line.extend([", ", part]));
        assert_eq!(line, expected(node));
        assert_eq!(shown.above, node.parent().map(|id| numbers[&id]));
        let style = match (node.state(), node.is_orphaned()) {
            (State::Live, false) => "",
            (State::Live, true) => "orphaned",
            (_, false) => "done",
            (_, true) => "doneOrphaned",
        };
        assert_eq!(shown.style, style);
    }
    let parents: HashMap<_, _> = all.iter().map(|node| (node.id(), node.parent())).collect();
    let mut more = HashMap::new();
    for node in &by_level[chart.shown.len()..] {
        let mut above = node.parent().unwrap();
        while !numbers.contains_key(&above) {
            above = parents[&above].unwrap();
        }
        *more.entry(numbers[&above]).or_default() += 1;
    }
    assert_eq!(chart.more, more);
    chart
}

// V23: names are data, for Mermaid, for Markdown and for HTML.
#[test]
fn any_name_fits_into_a_chart() {
    with_each_name(|tree| assert_eq!(check(tree).shown.len(), 2));
    let (top, _stop) = named(&Context::todo(), "a\"]\n\u{202e} *b_  `");
    let id = &top.id().to_string()[1..];
    let text = format!(
        "  n0[\"a#34;#93;~#92;~n#92;~u#123;202e#125; #42;~b#95; #32;#92;~u#123;60#125;\
         <br/>#35;{id}\"]\n"
    );
    let text = text.replace('~', "\u{feff}");
    let chart = top.tree().to_mermaid();
    assert!(chart.ends_with(&text), "{chart}");
}

// V23.
#[test]
fn random_trees_are_charted_as_they_are() {
    with_random_trees(300, |tree| {
        assert_eq!(check(tree).shown.len(), tree.nodes().len());
    });
}

// V23.
#[test]
fn a_chart_tells_the_same_as_the_text() {
    let (top, _stop) = named(&Context::background(), "top");
    let (middle, cancel) = top.with_cancel();
    let (leaf, _keep) = named(&middle, "leaf");
    let (above, _keep_above) = named(&top, "above");
    let (below, _keep_below) = named(&above, "below");
    let mut wait = top.cancelled();
    assert!(poll(&mut wait, &Wakes::new().1).is_pending());
    cancel.cancel_with("a cause that is not shown");
    let ids =
        [&top, &middle, &above, &leaf, &below].map(|ctx| ctx.id().to_string()[1..].to_owned());
    drop((middle, cancel, above, _keep_above));
    let [a, b, c, d, e] = ids;
    let chart = top.tree().to_mermaid();
    let boxes: Vec<&str> = chart.lines().skip(4).collect();
    assert_eq!(
        boxes,
        [
            format!("  n0[\"top<br/>#35;{a}<br/>1 waiter\"]"),
            format!(
                "  n0 --> n1[\"with#95;cancel<br/>#35;{b}<br/>cancelled<br/>orphaned\"]:::doneOrphaned"
            ),
            format!("  n0 --> n2[\"above<br/>#35;{c}<br/>orphaned\"]:::orphaned"),
            format!("  n1 --> n3[\"leaf<br/>#35;{d}<br/>cancelled\"]:::done"),
            format!("  n2 --> n4[\"below<br/>#35;{e}\"]"),
        ]
    );
    check(&top.tree());
}

// V23: at the limit of 500 edges nothing is lost.
#[test]
fn what_a_viewer_would_refuse_is_counted() {
    for all in [1, 2, 498, 499, 500, 501, 502, 2_000] {
        // Side by side, then one below the other.
        for (chain, wide) in [(0, all - 1), (all - 1, 0)] {
            let chart = check(&tree_of(&plans(chain, wide, 0, "x")));
            let (shown, rest) = (chart.shown.len(), chart.more.values().sum::<usize>());
            assert_eq!(shown + rest, all);
            assert_eq!(shown, if all <= 500 { all } else { 499 });
            assert_eq!(chart.more.len(), usize::from(all > 500));
        }
    }
    // Every one of a level has more below it: each needs a box of its own.
    for (chain, wide, tail) in [(3, 300, 400), (250, 249, 2), (100, 600, 600)] {
        check(&tree_of(&plans(chain, wide, tail, "x")));
    }
    // The first 300 are below the root, each of them has three of its own.
    let above = |at| if at < 300 { at } else { at % 300 };
    let fan: Vec<_> = (0..1_200)
        .map(|at| ("fan".to_owned(), above(at), 1))
        .collect();
    let chart = check(&tree_of(&fan));
    assert!(chart.more.len() > 100, "{}", chart.more.len());
    assert!(chart.shown.len() + chart.more.len() >= 499);
}

// V23: names of any length and kind leave a chart within 50,000 characters.
#[test]
fn long_names_are_cut_and_leave_a_chart_small_enough() {
    for (name, fits) in [
        ("a".repeat(59), 59),
        ("a".repeat(60), 60),
        ("a".repeat(61), 61),
        ("\u{65e5}".repeat(60), 60),
        ("\u{1F980}".repeat(61), 61),
        ("\u{1F980}".repeat(100_000), 61),
    ] {
        let (top, _stop) = Context::todo().derive().name(name).build();
        let chart = check(&top.tree());
        let title = chart.shown[0].text.split('\n').next().unwrap().to_owned();
        assert_eq!(title.chars().count(), fits);
        assert_eq!(title.ends_with('…'), fits == 61);
    }
    for name in ["\u{202e}", "\u{1F980}", "\"", "a"].map(|c| c.repeat(1_000)) {
        for (chain, wide, tail) in [(0, 600, 0), (600, 0, 0), (5, 400, 400), (20, 20, 600)] {
            let tree = tree_of(&plans(chain, wide, tail, &name));
            let bytes = tree.to_mermaid().len();
            let chart = check(&tree);
            assert!(!chart.more.is_empty());
            // No box more would have fitted.
            let edges = chart.shown.len() - 1 + chart.more.len();
            let full = bytes > CHARS - 2_000 - 64 * chart.more.len();
            assert!(full || edges == EDGES - 1, "{bytes}, {edges}");
        }
    }
}
