//! Reads the paths in a source file.
//!
//! From tokens, with `use` trees written out, so comments and strings do not
//! count. Made for sources as this crate writes them, not for all of Rust.

/// Words, `::`, and single signs; no comments, literals or lifetimes.
pub(super) fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word_end = |mut i: usize| {
        while is_word(at(i)) {
            i += 1;
        }
        i
    };
    let find = |mut i: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        while i < text.len() && !text[i..].starts_with(&end) {
            i += 1;
        }
        i + end.len()
    };
    let mut found = Vec::new();
    let mut i = 0;
    while i < text.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => i = find(i, "\n"),
            '/' if at(i + 1) == '*' => i = find(i, "*/"),
            '"' => {
                i += 1;
                while i < text.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            '\'' if at(i + 1) == '\\' => i = find(i + 3, "'"),
            '\'' if at(i + 2) == '\'' => i += 3,
            '\'' => i = word_end(i + 1),
            ':' if at(i + 1) == ':' => {
                i += 2;
                found.push("::".to_owned());
            }
            c if is_word(c) => {
                i = word_end(i);
                let word: String = text[start..i].iter().collect();
                let hashes = text[i..].iter().take_while(|&&c| c == '#').count();
                if word.ends_with('r') && word.len() < 3 && at(i + hashes) == '"' {
                    i = find(i + hashes + 1, &format!("\"{}", "#".repeat(hashes)));
                } else {
                    found.push(word);
                }
            }
            c => {
                i += 1;
                if !c.is_whitespace() {
                    found.push(c.to_string());
                }
            }
        }
    }
    found
}

/// A path as it is written, and the module it is written in.
pub(super) struct Path {
    pub(super) names: Vec<String>,
    pub(super) inside: Vec<String>,
}

/// Every path in a file; `use` trees one path a leaf.
pub(super) fn paths(file: &str, source: &str) -> Vec<Path> {
    let tokens = tokens(source);
    let at = |i: usize| tokens.get(i).map_or("", |token| token.as_str());
    let is_name = |i: usize| at(i).starts_with(|c: char| c.is_alphabetic() || c == '_');
    let mut inside = module_of(file);
    let mut found: Vec<Path> = Vec::new();
    // For every open brace, whether it is that of a module.
    let mut braces = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        match at(i) {
            "use" if at(i + 1) != "<" => {
                let mut leaves = Vec::new();
                i = use_tree(&tokens, i + 1, &[], &mut leaves);
                found.extend(leaves.into_iter().map(|names| Path {
                    names,
                    inside: inside.clone(),
                }));
                continue;
            }
            "mod" if at(i + 2) == "{" => {
                inside.push(at(i + 1).to_owned());
                braces.push(true);
                i += 3;
                continue;
            }
            "{" => braces.push(false),
            "}" if braces.pop() == Some(true) => {
                inside.pop();
            }
            _ if is_name(i) => {
                let mut names = vec![at(i).to_owned()];
                while at(i + 1) == "::" && is_name(i + 2) {
                    i += 2;
                    names.push(at(i).to_owned());
                }
                found.push(Path {
                    names,
                    inside: inside.clone(),
                });
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Writes out the `use` tree at `i`; returns where it ends.
fn use_tree(
    tokens: &[String],
    mut i: usize,
    prefix: &[String],
    leaves: &mut Vec<Vec<String>>,
) -> usize {
    let mut names = prefix.to_vec();
    loop {
        match tokens.get(i).map_or(";", |token| token.as_str()) {
            "::" => i += 1,
            "as" => i += 2,
            "{" => {
                i += 1;
                while tokens[i] != "}" {
                    i = use_tree(tokens, i, &names, leaves);
                    if tokens[i] == "," {
                        i += 1;
                    }
                }
                return i + 1;
            }
            "," | ";" | "}" => {
                leaves.push(names);
                return i;
            }
            // `use a::b::{self}` names `a::b`.
            "self" if !names.is_empty() => i += 1,
            name => {
                names.push(name.to_owned());
                i += 1;
            }
        }
    }
}

/// `tree/mark.rs` is `tree::mark`, `tree/mod.rs` is `tree`, `lib.rs` nothing.
pub(super) fn module_of(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".rs").unwrap();
    let mut names: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|last| last == "mod") || stem == "lib" {
        names.pop();
    }
    names
}
