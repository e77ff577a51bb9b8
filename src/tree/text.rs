//! The text tree: one line a context.

use super::{Node, Snapshot, State};
use std::fmt::{self, Write};

/// How far the text tree indents, in levels; a deeper line begins with its
/// depth instead. Else a chain would print in the square of its length.
pub(super) const INDENTED: usize = 32;

impl Node {
    /// Name or kind.
    pub(super) fn title(&self, out: &mut impl Write) -> fmt::Result {
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
    pub(super) fn remarks(&self, out: &mut impl Write, between: &str) -> fmt::Result {
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

/// Whether it would break a line, or have what is around it shown in another
/// order, and so is shown by its code.
pub(super) fn is_shown_by_code(c: char) -> bool {
    let breaks_or_turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || breaks_or_turns
}

/// Escapes what is shown by its code.
pub(super) struct OneLine<'o, W>(pub(super) &'o mut W);

impl<W: Write> Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        if is_shown_by_code(c) {
            write!(self.0, "{}", c.escape_default())
        } else {
            self.0.write_char(c)
        }
    }
}
