//! The graph for Graphviz.

use super::text::is_shown_by_code;
use super::{Node, State};
use std::fmt::{self, Write};

/// Writes the whole graph.
pub(super) fn graph(nodes: &[Node], out: &mut String) -> fmt::Result {
    out.write_str("digraph contexts {\n  node [shape=box];\n")?;
    for node in nodes {
        let id = node.id.number();
        write!(out, "  n{id} [label=\"")?;
        node.title(&mut DotText(out))?;
        write!(out, "\\n{}", node.id)?;
        node.remarks(out, "\\n")?;
        out.write_char('"')?;
        match (node.state, node.orphaned) {
            (State::Live, false) => {}
            (State::Live, true) => out.write_str(", style=dashed")?,
            (State::Done(_), false) => out.write_str(", style=filled")?,
            (State::Done(_), true) => out.write_str(", style=\"filled,dashed\"")?,
        }
        out.write_str("];\n")?;
        if let Some(parent) = node.parent {
            writeln!(out, "  n{} -> n{id};", parent.number())?;
        }
    }
    out.write_str("}\n")
}

/// Escapes what has a meaning between double quotes in a label of Graphviz,
/// which also reads HTML's entities.
struct DotText<'o, W>(&'o mut W);

impl<W: Write> Write for DotText<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '"' => self.0.write_str("\\\""),
            '\\' => self.0.write_str("\\\\"),
            '\n' => self.0.write_str("\\n"),
            '&' => self.0.write_str("&amp;"),
            c if is_shown_by_code(c) => write!(self.0, "\\\\u{{{:x}}}", u32::from(c)),
            c => self.0.write_char(c),
        }
    }
}
