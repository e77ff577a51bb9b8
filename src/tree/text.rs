//! The formats of a snapshot: one line a context, and Graphviz.

use super::{Node, Snapshot, State};
use std::fmt::{self, Write};

/// How far the text tree indents, in levels; a deeper line begins with its
/// depth instead. Else a chain would print in the square of its length.
const INDENTED: usize = 32;

impl Node {
    /// Name or kind.
    fn title(&self, out: &mut impl Write) -> fmt::Result {
        match self.name() {
            Some(name) => out.write_str(name),
            None => write!(out, "{}", self.label),
        }
    }

    /// Name or kind, and the identity, on one line.
    pub(crate) fn fmt_title(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.title(&mut OneLine(f))?;
        write!(f, " {}", self.id)
    }

    /// Writes what there is to say beside the label, `between` before each.
    fn remarks(&self, out: &mut impl Write, between: &str) -> fmt::Result {
        if self.state != State::Live {
            write!(out, "{between}{}", self.state)?;
        }
        if self.orphaned {
            write!(out, "{between}orphaned")?;
        }
        for (count, what) in [
            (self.links, "link"),
            (self.waiters, "waiter"),
            (self.callbacks, "callback"),
        ] {
            match count {
                0 => {}
                1 => write!(out, "{between}1 {what}")?,
                n => write!(out, "{between}{n} {what}s")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_title(f)?;
        self.remarks(f, ", ")
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let levels = node.depth.min(INDENTED);
            write!(f, "{:1$}", "", 2 * levels)?;
            if node.depth > INDENTED {
                write!(f, "[{}] ", node.depth)?;
            }
            writeln!(f, "{node}")?;
        }
        Ok(())
    }
}

/// Writes the whole graph.
pub(super) fn dot(nodes: &[Node], out: &mut String) -> fmt::Result {
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

/// Escapes what would break a line.
struct OneLine<'o, W>(&'o mut W);

impl<W: Write> Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            write!(self.0, "{}", c.escape_default())
        } else {
            self.0.write_char(c)
        }
    }
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
            c if c.is_control() => write!(self.0, "\\\\u{{{:x}}}", u32::from(c)),
            c => self.0.write_char(c),
        }
    }
}
