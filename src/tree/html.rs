//! The page of HTML.
//!
//! It loads nothing, and a content security policy says so: it allows the one
//! style and the one script that it brings, by their hashes. Without the script
//! it can be read, folded and searched by the browser's own means.

use super::text::{INDENTED, OneLine};
use super::{Node, State};
use crate::error::Reason;
use std::fmt::{self, Write};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The hashes of the two, base64 of SHA-256.
const STYLE_HASH: &str = "mUWICv0mlfHUETeL4O2bbMuVFzdnz48TLRt4yGjqKtw=";
const SCRIPT_HASH: &str = "Aek9gdBaiHVAZZhHKE1dNKFrf46EMNXomPR0u/Uv/hw=";

/// Up to how many contexts all is unfolded.
const UNFOLDED: usize = 1_000;

/// Writes the whole page.
///
/// Browsers stop to nest somewhere, at about 512 elements, and each level takes
/// three: so what is far down is in one flat list.
pub(super) fn page(nodes: &[Node], out: &mut String) -> fmt::Result {
    write_head(nodes, out)?;
    // How many lists are open.
    let mut lists = 1;
    for node in nodes {
        let level = node.depth.min(INDENTED + 1);
        close_lists(&mut lists, level + 1, out)?;
        write_start(node, out)?;
        let folds = node.children > 0 && node.depth <= INDENTED;
        if folds {
            let open = nodes.len() <= UNFOLDED || node.depth == 0;
            out.write_str(if open { "<details open>" } else { "<details>" })?;
            out.write_str("<summary>")?;
        }
        write_line(node, out)?;
        if folds {
            out.write_str("</summary><ul>\n")?;
            lists += 1;
        } else {
            out.write_str("</li>\n")?;
        }
    }
    close_lists(&mut lists, 1, out)?;
    write!(
        out,
        "</ul>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// Closes lists until so many are open.
fn close_lists(lists: &mut usize, down_to: usize, out: &mut String) -> fmt::Result {
    while *lists > down_to {
        out.write_str("</ul></details></li>\n")?;
        *lists -= 1;
    }
    Ok(())
}

/// Writes all before the first context.
fn write_head(nodes: &[Node], out: &mut String) -> fmt::Result {
    let count = |of: fn(&Node) -> bool| nodes.iter().filter(|node| of(node)).count();
    let done = count(|node| node.state != State::Live);
    let orphaned = count(|node| node.orphaned);
    let contexts = match nodes.len() {
        1 => "1 context".to_owned(),
        n => format!("{n} contexts"),
    };
    write!(
        out,
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'sha256-{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Contexts</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Contexts</h1>
<div id="tools" role="search" hidden>
<label>Find <input id="find" type="search"></label>
<label>Show <select id="only">
<option value="li">all</option>
<option value=".live">live</option>
<option value=".cancelled, .expired">done</option>
<option value=".orphaned">orphaned</option>
</select></label>
<button type="button" id="unfold">Unfold all</button>
<button type="button" id="fold">Fold all</button>
</div>
<p id="count" role="status">{contexts}, {done} done, {orphaned} orphaned</p>
<main>
<ul>
"#
    )
}

fn write_start(node: &Node, out: &mut String) -> fmt::Result {
    let state = match node.state {
        State::Live => "live",
        State::Done(Reason::Cancelled) => "cancelled",
        State::Done(Reason::DeadlineExceeded) => "expired",
    };
    let orphaned = if node.orphaned { " orphaned" } else { "" };
    write!(out, "<li class=\"{state}{orphaned}\">")
}

/// The line of the text tree, the name marked.
fn write_line(node: &Node, out: &mut String) -> fmt::Result {
    if node.depth > INDENTED {
        write!(out, "[{}] ", node.depth)?;
    }
    out.write_str("<bdi>")?;
    node.title(&mut OneLine(&mut HtmlText(out)))?;
    write!(out, "</bdi> {}", node.id)?;
    node.remarks(out, ", ")
}

/// Escapes what has a meaning in HTML.
struct HtmlText<'o>(&'o mut String);

impl Write for HtmlText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            c => self.0.write_char(c),
        }
    }
}
