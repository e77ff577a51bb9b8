//! Names that try to break the pictures of a snapshot, and trees of them.

use super::snapshot::named;
use crate::tree::{Node, Snapshot};
use crate::{CancelHandle, Context};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What has a meaning somewhere, each also as a part of random names.
pub(super) const NAMES: &[&str] = &[
    "",
    " ",
    "   indented  ",
    "end",
    "\"",
    "\"]",
    "\"]; click n0 href \"javascript:alert(1)\"",
    "\"]:::done",
    "#",
    "#35;",
    "#quot;",
    "&quot;",
    "&#34;",
    "&amp;lt;",
    ";",
    ":::done",
    "style:#",
    "classDef x:#a;",
    "%% comment",
    "%%{init: {\"theme\": \"dark\"}}%%",
    "---\ntitle: x\n---",
    "**bold** *em*",
    "_em_ __init__ a_b_",
    "~~gone~~ ~gone~",
    "`code` ``",
    "[a](b) ![a](b)",
    "```",
    "~~~",
    "1. one",
    "2) two",
    "* item",
    "+ item",
    "    code",
    "\u{feff}- item",
    "| a |",
    "===",
    "- item",
    "# heading",
    "> quote",
    "a | b",
    "$$x^2$$",
    "fa:fa-car",
    "http://example.com/?a=1&b=2",
    "www.example.com WWW.example.com",
    "mailto:me@example.com",
    "ftp://example.com",
    "me@example.com",
    "n0 --> n1",
    "subgraph x",
    "\u{fb02}\u{b0}\u{b0}34\u{b6}\u{df}",
    "fl\u{b0}34\u{b6}\u{df}",
    "\\",
    "a\\",
    "\\*",
    "\\n\\\\n",
    "\\u{202e}",
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</li></ul></main>",
    "<!-- ",
    "]]>",
    "<br/>",
    "<img src=x onerror=alert(1)>",
    "' onload='alert(1)",
    "</style>",
    "a\nb\r\nc\td",
    "\0\u{1}\u{1b}[31m\u{7f}\u{85}\u{9b}",
    "\u{2028}\u{2029}",
    "\u{202e}txt.exe\u{202c}",
    "\u{2066}a\u{2069}\u{200e}\u{200f}\u{61c}",
    "\u{feff}\u{fffe}\u{fffd}\u{10ffff}",
    "\u{5d0}\u{5d1} 12",
    "e\u{301}\u{1F469}\u{200d}\u{1F52C}\u{65e5}\u{672c}",
];

/// What no picture may hold: it breaks lines, or turns the text around it.
pub(super) fn breaks_text(c: char) -> bool {
    let turns = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}',
        '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    c < ' ' || ('\u{7f}'..'\u{a0}').contains(&c) || turns.contains(&c)
}

/// One context: name, a number that picks its parent, another its fate.
type Plan = (String, usize, u8);

/// A tree of these, some of it cancelled, some dropped.
pub(super) fn tree_of(plans: &[Plan]) -> Snapshot {
    let (top, _stop) = Context::background().derive().name("top").build();
    let mut made: Vec<(Context, CancelHandle)> = Vec::new();
    for (name, above, _) in plans {
        let above = above % (made.len() + 1);
        let parent = made.get(above).map_or(&top, |(ctx, _)| ctx);
        let child = parent.derive().name(name.clone()).build();
        made.push(child);
    }
    for ((_, handle), (_, _, fate)) in made.iter().zip(plans) {
        if fate % 4 == 0 {
            handle.cancel();
        }
    }
    let mut fates = plans.iter().map(|(_, _, fate)| fate);
    made.retain(|_| fates.next().is_some_and(|fate| fate % 3 != 0));
    top.tree()
}

/// A chain below a wide level below a chain, so many of each.
pub(super) fn plans(chain: usize, wide: usize, tail: usize, name: &str) -> Vec<Plan> {
    // A parent that is past all that were made is the root.
    let above = |at: usize| at.checked_sub(1);
    let chained = (0..chain).map(above);
    let broad = (0..wide).map(|_| above(chain));
    let tailed = (chain + wide..chain + wide + tail).map(above);
    let parents = chained.chain(broad).chain(tailed).enumerate();
    parents
        .map(|(at, above)| (name.to_owned(), above.unwrap_or(at), 1))
        .collect()
}

/// Runs `check` on random trees of random names, always the same ones.
pub(super) fn with_random_trees(cases: u32, check: impl Fn(&Snapshot)) {
    let wild = vec(any::<char>(), 0..90).prop_map(String::from_iter);
    let pieces = vec(select(NAMES), 0..9).prop_map(|pieces| pieces.concat());
    let plan = (prop_oneof![wild, pieces], any::<usize>(), any::<u8>());
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    let run = TestRunner::new_with_rng(config, rng).run(&vec(plan, 0..30), |plans| {
        check(&tree_of(&plans));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

/// Each name of the table alone, and as a child.
pub(super) fn with_each_name(check: impl Fn(&Snapshot)) {
    for name in NAMES {
        let (top, _stop) = named(&Context::todo(), name);
        let _child = named(&top, name);
        check(&top.tree());
    }
}

/// The contexts of a snapshot.
pub(super) fn nodes(tree: &Snapshot) -> Vec<&Node> {
    tree.nodes().collect()
}
