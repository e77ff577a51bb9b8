//! The page of a snapshot: what it holds, and what it keeps out.

use super::snapshot::named;
use super::tools::{Wakes, poll};
use super::tree_names::{breaks_text, nodes, plans, tree_of, with_each_name, with_random_trees};
use crate::Context;
use crate::Reason;
use crate::time::ManualClock;
use crate::tree::{Snapshot, State};
use std::time::Duration;

/// How far browsers nest elements.
const NESTED: usize = 512;

/// A line of the list, read back.
struct Item {
    text: String,
    bold: String,
    style: String,
    /// The line above, which has this one in its list.
    above: Option<usize>,
    /// Whether it has a list, and whether that is unfolded.
    folds: Option<bool>,
}

/// A page: all before the list, the list, all after it.
fn split(page: &str) -> [&str; 3] {
    let (head, rest) = page.split_once("<main>\n").expect("a list");
    let (list, tail) = rest.split_once("</main>\n").expect("its end");
    [head, list, tail]
}

/// Reads the little of HTML that a list is made of, and nothing else: each tag is
/// closed, in order, and each of the characters that mean something is escaped.
fn read(page: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    // The elements that are open, and the lines among them.
    let (mut open, mut path) = (Vec::new(), Vec::new());
    let [_, mut rest, _] = split(page);
    while let Some(c) = rest.chars().next() {
        let inside: &str = open.last().copied().unwrap_or("main");
        if c != '<' {
            let end = rest.find('<').unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            rest = after;
            if matches!(inside, "main" | "ul") {
                assert_eq!(text, "\n", "only lines hold text");
                continue;
            }
            if text == "\n" {
                continue;
            }
            let text = decode(text);
            let item = items.last_mut().unwrap();
            item.text += &text;
            match inside {
                "bdi" => item.bold += &text,
                "li" | "summary" => {}
                _ => panic!("{text} in {inside}"),
            }
            continue;
        }
        let (tag, after) = rest[1..].split_once('>').expect("a whole tag");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            if name == "li" {
                path.pop();
            }
            continue;
        }
        let name = tag.split(' ').next().unwrap();
        let fits: &[&str] = match name {
            "ul" => &["main", "details"],
            "li" => &["ul"],
            "details" => &["li"],
            "summary" => &["details"],
            "bdi" => &["li", "summary"],
            _ => panic!("<{tag}>"),
        };
        assert!(fits.contains(&inside), "<{tag}> in {inside}");
        match tag {
            "details" | "details open" => {
                items.last_mut().unwrap().folds = Some(tag == "details open");
            }
            "ul" | "summary" | "bdi" => {}
            _ => {
                let style = tag.strip_prefix("li class=\"").unwrap();
                items.push(Item {
                    text: String::new(),
                    bold: String::new(),
                    style: style.strip_suffix('"').unwrap().to_owned(),
                    above: path.last().copied(),
                    folds: None,
                });
                path.push(items.len() - 1);
            }
        }
        open.push(name);
        // What is around the list: html, body, main.
        assert!(open.len() + 3 < NESTED);
    }
    assert!(open.is_empty(), "{open:?}");
    items
}

fn decode(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        assert!(
            !matches!(c, '>' | '"' | '\'') && !breaks_text(c),
            "{c:?} in {text}"
        );
        if c != '&' {
            shown.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (name, after) = rest[1..].split_once(';').expect("an escape");
        rest = after;
        shown.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            _ => panic!("{name} in {text}"),
        });
    }
    shown
}

/// Reads the page of a tree, and compares: the lines of the text tree, in its
/// order, each in the list of its parent as far as lists go.
fn check(tree: &Snapshot) -> Vec<Item> {
    let page = tree.to_html();
    let items = read(&page);
    let all = nodes(tree);
    assert_eq!(items.len(), all.len());
    let mut path: Vec<usize> = Vec::new();
    for (at, (item, node)) in items.iter().zip(&all).enumerate() {
        path.truncate(node.depth());
        assert_eq!(
            item.above,
            path.get(node.depth().min(33).wrapping_sub(1)).copied()
        );
        path.push(at);
        let depth = format!("[{}] ", node.depth());
        let depth = if node.depth() > 32 { &depth } else { "" };
        assert_eq!(item.text, format!("{depth}{node}"));
        let rest = item.text.strip_prefix(depth).unwrap();
        let rest = rest.strip_prefix(&item.bold).unwrap();
        assert!(rest.starts_with(&format!(" {}", node.id())), "{rest}");
        let state = match node.state() {
            State::Live => "live",
            State::Done(Reason::Cancelled) => "cancelled",
            State::Done(Reason::DeadlineExceeded) => "expired",
        };
        let orphaned = if node.is_orphaned() { " orphaned" } else { "" };
        assert_eq!(item.style, format!("{state}{orphaned}"));
        let folds = node.children() > 0 && node.depth() <= 32;
        let unfolded = all.len() <= 1_000 || at == 0;
        assert_eq!(item.folds, folds.then_some(unfolded));
    }
    items
}

// V23: names are data.
#[test]
fn any_name_fits_into_a_page() {
    // All but the counts is the same for every name.
    let around = |tree: &Snapshot| {
        let page = tree.to_html();
        let [head, _, tail] = split(&page);
        format!("{head}{tail}")
    };
    let plain = around(&named(&named(&Context::todo(), "a").0, "b").0.tree());
    with_each_name(|tree| {
        assert_eq!(check(tree).len(), 2);
        assert_eq!(around(tree).replace("2 contexts", "1 context"), plain);
    });
    let (top, _stop) = named(&Context::todo(), "</li>\n\u{202e}&amp; \"'");
    let text = format!(
        "<li class=\"live\"><bdi>&lt;/li&gt;\\n\\u{{202e}}&amp;amp; &quot;&#39;</bdi> {}</li>\n",
        top.id()
    );
    let page = top.tree().to_html();
    assert!(page.contains(&text), "{page}");
}

// V23.
#[test]
fn random_trees_make_pages_that_say_what_they_are() {
    with_random_trees(300, |tree| drop(check(tree)));
}

// V23.
#[test]
fn a_page_tells_the_same_as_the_text() {
    let clock = ManualClock::new();
    let (top, _stop) = named(&Context::background().with_clock(&clock), "top");
    let late = top.derive().name("late").timeout(Duration::from_secs(1));
    let (late, _late) = late.build();
    clock.advance(Duration::from_secs(1));
    let (middle, cancel) = top.with_cancel();
    let (leaf, _) = named(&middle, "leaf");
    let mut wait = top.cancelled();
    assert!(poll(&mut wait, &Wakes::new().1).is_pending());
    cancel.cancel_with("a cause that is not shown");
    let ids = [top.id(), late.id(), middle.id(), leaf.id()];
    drop((middle, cancel));
    let items = check(&top.tree());
    let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
    let [a, b, c, d] = ids;
    assert_eq!(
        texts,
        [
            format!("top {a}, 1 waiter"),
            format!("late {b}, deadline exceeded"),
            format!("with_cancel {c}, cancelled, orphaned"),
            format!("leaf {d}, cancelled"),
        ]
    );
    let styles: Vec<&str> = items.iter().map(|item| item.style.as_str()).collect();
    assert_eq!(
        styles,
        ["live", "expired", "cancelled orphaned", "cancelled"]
    );
    let page = top.tree().to_html();
    assert!(page.contains("<p id=\"count\" role=\"status\">4 contexts, 3 done, 1 orphaned</p>"));
}

// V23: lists nest 33 deep, and no further.
#[test]
fn deep_contexts_are_listed_with_their_depth() {
    for (chain, wide, tail) in [
        (31, 2, 2),
        (32, 2, 2),
        (33, 2, 2),
        (40, 40, 40),
        (2_000, 0, 0),
    ] {
        check(&tree_of(&plans(chain, wide, tail, "x")));
    }
}

// V23: with many contexts, only the first is unfolded.
#[test]
fn a_page_of_many_contexts_is_folded() {
    for all in [1_000, 1_001, 5_000] {
        let items = check(&tree_of(&plans(2, all - 4, 1, "x")));
        assert_eq!(items.len(), all);
        let unfolded = items.iter().filter(|item| item.folds == Some(true));
        assert_eq!(unfolded.count() > 1, all == 1_000);
    }
}

// V23: the page loads nothing, and allows the style and the script it has, by
// their hashes, and no others.
#[test]
fn a_page_loads_nothing_and_forbids_to() {
    let page = named(&Context::todo(), "x").0.tree().to_html();
    let charset = page.find("<meta charset=\"utf-8\">");
    assert!(charset.unwrap() < 1_024 && page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n"));
    for bad in [
        "http:",
        "https:",
        "//",
        "src=",
        "href=",
        "url(",
        "@import",
        "import(",
        "fetch(",
        "XMLHttp",
        "WebSocket",
        "style=",
        "innerHTML",
        "eval(",
        " onload",
        " onclick",
    ] {
        let (code, _) = page.match_indices(bad).next().unwrap_or((0, ""));
        let comment = bad == "//" && page[code..].starts_with("// ");
        assert!(code == 0 || comment, "{bad}");
    }
    let within = |name: &str| {
        assert_eq!(page.matches(&format!("<{name}")).count(), 1);
        let (_, rest) = page.split_once(&format!("<{name}>")).unwrap();
        rest.split_once(&format!("</{name}>")).unwrap().0
    };
    let [style, script] = ["style", "script"].map(|name| base64(&sha256(within(name).as_bytes())));
    let policy = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; \
         form-action 'none'\">\n"
    );
    let at = page.find(&policy).unwrap_or_else(|| panic!("{policy}"));
    assert!(at < page.find("<style>").unwrap());
}

fn sha256(data: &[u8]) -> Vec<u8> {
    // The first bits of the fractions of roots of primes.
    let primes = (2_u32..).filter(|n| (2..*n).all(|d| n % d != 0)).take(64);
    let fraction = |root: f64| (root.fract() * f64::from(2.0_f32.powi(32))) as u32;
    let primes: Vec<f64> = primes.map(f64::from).collect();
    let k: Vec<u32> = primes.iter().map(|p| fraction(p.cbrt())).collect();
    let mut hash: Vec<u32> = primes[..8].iter().map(|p| fraction(p.sqrt())).collect();
    let mut padded = data.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - data.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let end = padded.len() - 8;
    padded[end..].copy_from_slice(&(8 * data.len() as u64).to_be_bytes());
    for block in padded.chunks(64) {
        let words = block
            .chunks(4)
            .map(|w| u32::from_be_bytes(w.try_into().unwrap()));
        let mut w: Vec<u32> = words.collect();
        for i in 16..64 {
            let (a, b) = (w[i - 15], w[i - 2]);
            let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            w.push(
                w[i - 16]
                    .wrapping_add(s0)
                    .wrapping_add(w[i - 7])
                    .wrapping_add(s1),
            );
        }
        let mut v: [u32; 8] = hash[..].try_into().unwrap();
        for i in 0..64 {
            let [a, b, c, _, e, f, g, h] = v;
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let one = [s1, choice, k[i], w[i]]
                .into_iter()
                .fold(h, u32::wrapping_add);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let two = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(one);
            v[0] = one.wrapping_add(two);
        }
        for (sum, v) in hash.iter_mut().zip(v) {
            *sum = sum.wrapping_add(v);
        }
    }
    hash.into_iter().flat_map(u32::to_be_bytes).collect()
}

fn base64(data: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in data.chunks(3) {
        let bits = three
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for digit in 0..4 {
            let at = bits >> (18 - 6 * digit) & 63;
            text.push(if digit > three.len() {
                '='
            } else {
                DIGITS[at as usize].into()
            });
        }
    }
    text
}

// The hashes of the test itself.
#[test]
fn the_hash_that_pages_are_checked_by_is_right() {
    let known = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    assert_eq!(base64(&sha256(b"abc")), known);
    let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(base64(&sha256(b"")), empty);
    // The padding takes a block of its own, or just fits.
    let long = [56, 119].map(|n| base64(&sha256(&vec![b'a'; n])));
    let known = [
        "s1Q5pKxvCUi21vnjxq8PX1kM4g8b3nCQ73lwaG7Gc4o=",
        "MeulHDE6XAgiat8Y1KNZz9/Y0ugWsT9K+VL36mWE3Ps=",
    ];
    assert_eq!(long, known);
}
