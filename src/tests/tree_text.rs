//! The formats of a snapshot: text and DOT.

use super::snapshot::named;
use super::tools::{Wakes, poll};
use crate::{Context, Id};
use std::collections::HashMap;

// Names are data: they break neither the lines nor the quotes.
#[test]
fn any_name_fits_into_text_and_dot() {
    let (top, _stop) = named(
        &Context::todo(),
        "two\nlines\r\n\u{2028}\u{1b}[31m\u{202e} \"\u{1F980}\" \\n",
    );
    let (_child, _keep) = named(&top, "&lt; \\\"; n1 -> n2 [\\");
    let plain = top.tree().to_string();
    assert_eq!(plain.lines().count(), 2);
    assert!(
        plain.starts_with("two\\nlines\\r\\n\\u{2028}\\u{1b}[31m\\u{202e} \"\u{1F980}\" \\n #"),
        "{plain}"
    );
    let dot = top.tree().to_dot();
    check_dot(&dot, 2);
    let text = r#"label="two\nlines\\u{d}\n\\u{2028}\\u{1b}[31m\\u{202e} \"#;
    assert!(dot.contains(text), "{dot}");
    assert!(
        dot.contains(r#"label="&amp;lt; \\\"; n1 -> n2 [\\\n#"#),
        "{dot}"
    );
}

/// Reads the little of Graphviz's language that is used: each box before the
/// edge to it, each quote closed. Gives the labels.
fn check_dot(dot: &str, boxes: usize) -> Vec<String> {
    let mut lines = dot.lines();
    assert_eq!(lines.next(), Some("digraph contexts {"));
    assert_eq!(lines.next(), Some("  node [shape=box];"));
    assert_eq!(lines.next_back(), Some("}"));
    let mut labels = HashMap::new();
    let mut edges = 0;
    for line in lines {
        assert!(!line.chars().any(char::is_control), "{line}");
        let line = line.strip_prefix("  n").unwrap().strip_suffix(";").unwrap();
        if let Some((from, to)) = line.split_once(" -> n").filter(|_| !line.contains('[')) {
            assert!(
                labels.contains_key(from) && labels.contains_key(to),
                "{line}"
            );
            edges += 1;
            continue;
        }
        let (id, rest) = line.split_once(" [label=\"").unwrap();
        assert!(id.chars().all(|c| c.is_ascii_digit()), "{line}");
        let mut label = String::new();
        let mut chars = rest.chars();
        loop {
            match chars.next().expect("the quote is closed") {
                '"' => break,
                '\\' => label.extend(['\\', chars.next().expect("something is escaped")]),
                c => label.push(c),
            }
        }
        let styles = [
            "]",
            ", style=dashed]",
            ", style=filled]",
            ", style=\"filled,dashed\"]",
        ];
        assert!(styles.contains(&chars.as_str()), "{line}");
        assert!(labels.insert(id, label).is_none(), "{line}");
    }
    assert_eq!((labels.len(), edges), (boxes, boxes - 1));
    labels.into_values().collect()
}

#[test]
fn dot_tells_the_same_as_the_text() {
    let (top, _stop) = named(&Context::background(), "top");
    let (middle, cancel) = top.with_cancel();
    let (leaf, _) = named(&middle, "leaf");
    let mut wait = top.cancelled();
    assert!(poll(&mut wait, &Wakes::new().1).is_pending());
    cancel.cancel();
    let middle_id = middle.id();
    drop((middle, cancel));
    let number = |id: Id| id.to_string()[1..].to_owned();
    let [a, b, c] = [top.id(), middle_id, leaf.id()].map(number);
    assert_eq!(
        top.tree().to_dot(),
        format!(
            "digraph contexts {{\n  node [shape=box];\n  \
             n{a} [label=\"top\\n#{a}\\n1 waiter\"];\n  \
             n{b} [label=\"with_cancel\\n#{b}\\ncancelled\\norphaned\", style=\"filled,dashed\"];\n  \
             n{a} -> n{b};\n  \
             n{c} [label=\"leaf\\n#{c}\\ncancelled\", style=filled];\n  \
             n{b} -> n{c};\n}}\n"
        )
    );
    check_dot(&top.tree().to_dot(), 3);
}

// The indentation ends somewhere, the depth is told on.
#[test]
fn deep_lines_tell_their_depth_instead() {
    let (top, _stop) = named(&Context::background(), "0");
    let mut kept = vec![top.clone()];
    for depth in 1..40 {
        let next = kept[depth - 1].derive().name(depth.to_string()).build().0;
        kept.push(next);
    }
    for (depth, line) in top.tree().to_string().lines().enumerate() {
        let start = match depth {
            0..=32 => format!("{}{depth} #", "  ".repeat(depth)),
            _ => format!("{}[{depth}] {depth} #", "  ".repeat(32)),
        };
        assert!(line.starts_with(&start), "{line}");
    }
}
