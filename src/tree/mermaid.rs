//! The flowchart for Mermaid.
//!
//! A viewer shows an error instead of a chart with more than 500 edges or 50,000
//! characters. So what does not fit is left out, from the lowest levels up, and
//! counted in a box below the context that it is below: for every context that
//! has children, such a box is reckoned with until they are all in.

use super::text::OneLine;
use super::{Node, State};
use crate::error::Id;
use std::collections::HashMap;
use std::fmt::{self, Write};

/// Below the limit of viewers, `maxEdges`.
const EDGES: usize = 499;

/// Below the limit of viewers, `maxTextSize`. They count UTF-16, of which there
/// is never more than of the bytes counted here.
const BYTES: usize = 49_999;

/// How long the line of a box that counts may be: with the number of the box
/// twice, which has up to three digits, and a count, which has up to twenty.
const MORE: usize = "  n --> m([\"…  more below\"])\n".len() + 2 * 3 + 20;

/// How many characters of a name are shown.
const NAME: usize = 60;

/// Of no width, and not a space for what reads Markdown.
const NOTHING: char = '\u{200b}';

/// Of no width, and a space for what reads Markdown.
const SPACE: char = '\u{feff}';

const START: &str = "\
flowchart TD
  classDef done fill:#d9d9d9,stroke:#757575,color:#1a1a1a
  classDef orphaned stroke-dasharray:4 3
  classDef doneOrphaned fill:#d9d9d9,stroke:#757575,color:#1a1a1a,stroke-dasharray:4 3
";

/// Writes as much of the chart as viewers take.
pub(super) fn flowchart(nodes: &[Node], out: &mut String) -> fmt::Result {
    out.write_str(START)?;
    // The boxes that are in, and how many children of each are not.
    let mut boxes = HashMap::<Id, usize>::new();
    let mut missing = Vec::<usize>::new();
    // How many boxes have children that are not in.
    let mut open = 0;
    let mut line = String::new();
    for node in by_level(nodes) {
        let number = missing.len();
        let parent = node.parent.map(|id| boxes[&id]);
        let last = parent.is_some_and(|parent| missing[parent] == 1);
        let open_then = open + usize::from(node.children > 0) - usize::from(last);
        line.clear();
        write_box(node, number, parent, &mut line)?;
        // Each box but the first has an edge to it.
        let edges = number + open_then;
        if edges > EDGES || out.len() + line.len() + open_then * MORE > BYTES {
            break;
        }
        out.write_str(&line)?;
        if let Some(parent) = parent {
            missing[parent] -= 1;
        }
        boxes.insert(node.id, number);
        missing.push(node.children);
        open = open_then;
    }
    for (number, below) in left_out(nodes, &boxes).into_iter().enumerate() {
        if below > 0 {
            writeln!(out, "  n{number} --> m{number}([\"… {below} more below\"])")?;
        }
    }
    Ok(())
}

/// All that may fit, parents before children, level by level.
fn by_level(nodes: &[Node]) -> impl Iterator<Item = &Node> {
    const BOXES: usize = EDGES + 1;
    let mut levels = Vec::<Vec<&Node>>::new();
    for node in nodes.iter().filter(|node| node.depth < BOXES) {
        if node.depth == levels.len() {
            levels.push(Vec::new());
        }
        let level = &mut levels[node.depth];
        if level.len() < BOXES {
            level.push(node);
        }
    }
    levels.into_iter().flatten().take(BOXES)
}

/// How many contexts have no box, for each box, the lowest above them.
fn left_out(nodes: &[Node], boxes: &HashMap<Id, usize>) -> Vec<usize> {
    let mut below = vec![0; boxes.len()];
    if boxes.len() == nodes.len() {
        return below;
    }
    // The boxes from the first one down, each with its depth.
    let mut path = Vec::<(usize, usize)>::new();
    for node in nodes {
        while path.last().is_some_and(|&(depth, _)| depth >= node.depth) {
            path.pop();
        }
        match boxes.get(&node.id) {
            Some(&number) => path.push((node.depth, number)),
            None => below[path.last().expect("the first box fits").1] += 1,
        }
    }
    below
}

fn write_box(node: &Node, number: usize, parent: Option<usize>, out: &mut String) -> fmt::Result {
    out.write_str("  ")?;
    if let Some(parent) = parent {
        write!(out, "n{parent} --> ")?;
    }
    write!(out, "n{number}[\"")?;
    let mut text = MermaidText::new(out);
    node.title(&mut Cut(Some(NAME), OneLine(&mut text)))?;
    write!(out, "<br/>#35;{}", node.id.number())?;
    node.remarks(out, "<br/>")?;
    out.write_str("\"]")?;
    out.write_str(match (node.state, node.orphaned) {
        (State::Live, false) => "\n",
        (State::Live, true) => ":::orphaned\n",
        (State::Done(_), false) => ":::done\n",
        (State::Done(_), true) => ":::doneOrphaned\n",
    })
}

/// Passes on so many characters, and an ellipsis for the rest; `None`: for
/// which it stands already.
struct Cut<W>(Option<usize>, W);

impl<W: Write> Write for Cut<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match self.0 {
                None => return Ok(()),
                Some(0) => self.1.write_char('…')?,
                Some(_) => self.1.write_char(c)?,
            }
            self.0 = self.0.and_then(|left| left.checked_sub(1));
        }
        Ok(())
    }
}

/// Escapes what has a meaning in a label of Mermaid.
///
/// Mermaid's escapes keep the quotes closed and markup out of the HTML. But they
/// are undone before a label is read for Markdown (in some versions), formulas,
/// icons and Mermaid's own signs for escapes. So what begins one of those is kept
/// from what follows by a space of no width, and a backtick is shown by its code.
struct MermaidText<'o> {
    out: &'o mut String,
    /// What came before.
    last: Option<char>,
}

impl<'o> MermaidText<'o> {
    fn new(out: &'o mut String) -> MermaidText<'o> {
        MermaidText { out, last: None }
    }
}

impl Write for MermaidText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        let last = self.last;
        let within = |of: fn(char) -> bool| last.is_some_and(of);
        let begins = match c {
            '`' => return self.write_str("\\u{60}"),
            '*' | '~' | '$' | '\\' | ':' | '@' | ']' | 'ﬂ' | '¶' => true,
            '_' => !within(char::is_alphanumeric),
            // The end of `www.`.
            '.' => within(|last| matches!(last, 'w' | 'W')),
            _ => false,
        };
        // Lists, headings, indentation.
        if last.is_none() && !c.is_alphabetic() {
            self.out.write_char(NOTHING)?;
        }
        self.last = Some(c);
        match c {
            ' ' if within(|last| last != ' ') => self.out.write_char(c)?,
            c if c.is_ascii_alphanumeric() || !c.is_ascii() => self.out.write_char(c)?,
            c => write!(self.out, "#{};", u32::from(c))?,
        }
        if begins {
            self.out.write_char(SPACE)
        } else {
            Ok(())
        }
    }
}
