//! Reads operations on atomics out of a source: which method, which orderings,
//! and the comment that says why.

use super::{ORDERINGS, Operation};

/// The atomics' methods, each with how many orderings it takes.
const METHODS: &[(&str, usize)] = &[
    ("load", 1),
    ("store", 1),
    ("swap", 1),
    ("fetch_add", 1),
    ("fetch_sub", 1),
    ("fetch_or", 1),
    ("fetch_max", 1),
    ("read_in_order", 1),
    ("compare_exchange", 2),
    ("compare_exchange_weak", 2),
];

/// A function that hands a site it is given to an operation.
pub(super) struct Wrapper {
    name: String,
    /// Which of its parameters the site is; `self` does not count.
    parameter: usize,
    operation: Operation,
}

/// A source whose comments are blanks in `code`, so that places are the same.
pub(super) struct Source<'s> {
    file: &'s str,
    text: &'s str,
    code: String,
}

/// The call in whose arguments some place lies.
struct Call<'s> {
    callee: &'s str,
    arguments: Vec<&'s str>,
    /// Which of them that is.
    number: usize,
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn last_name(text: &str) -> &str {
    let start = text.rfind(|c| !is_name(c)).map_or(0, |at| at + 1);
    &text[start..]
}

fn first_name(text: &str) -> &str {
    &text[..text.find(|c| !is_name(c)).unwrap_or(text.len())]
}

/// What lies between the bracket at `open` and its partner, at its commas.
fn arguments(code: &str, open: usize) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, open + 1, Vec::new());
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' => {}
            _ => continue,
        }
        if depth == 0 || (depth == 1 && byte == b',') {
            found.push(code[start..at].trim());
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found.retain(|argument| !argument.is_empty());
    found
}

impl<'s> Source<'s> {
    pub(super) fn new(file: &'s str, text: &'s str) -> Self {
        let blank = |line: &str| match line.find("//") {
            Some(at) => format!("{}{}", &line[..at], " ".repeat(line.len() - at)),
            None => line.to_owned(),
        };
        let code: Vec<String> = text.split('\n').map(blank).collect();
        let code = code.join("\n");
        Self { file, text, code }
    }

    fn call_around(&self, at: usize) -> Option<Call<'_>> {
        let mut depth = 0;
        let open = self.code[..at].rfind(|c| {
            match c {
                ')' | ']' | '}' => depth += 1,
                '(' | '[' | '{' => depth -= 1,
                _ => {}
            }
            depth < 0
        })?;
        let before = self.code[..at].len() - open;
        let arguments = arguments(&self.code, open);
        let base = self.code.as_ptr().addr() + open;
        let starts = arguments.iter().map(|a| a.as_ptr().addr() - base);
        let number = starts.take_while(|start| *start <= before).count();
        Some(Call {
            callee: last_name(&self.code[..open]),
            number: number.checked_sub(1)?,
            arguments,
        })
    }

    /// The comment that speaks of the operation at `at`: the nearest one above
    /// that begins with one of `leads`, unless another site comes between that it
    /// does not include.
    fn why(&self, at: usize, leads: &[&str]) -> Option<String> {
        let line = self.text[..at].matches('\n').count();
        let lines: Vec<&str> = self.text.split('\n').map(str::trim).collect();
        let (mut block, mut passed) = (Vec::new(), false);
        for at in (0..line).rev().take(30) {
            let comment = lines[at].strip_prefix("//").map(str::trim);
            match comment.filter(|_| !lines[at].starts_with("///")) {
                Some(comment) => {
                    let above = at.checked_sub(1).map_or("", |above| lines[above]);
                    block.push(comment);
                    if above.starts_with("//") && !above.starts_with("///") {
                        continue;
                    }
                }
                None if ["fn ", "pub", "///", "unsafe fn "]
                    .iter()
                    .any(|start| lines[at].starts_with(start)) =>
                {
                    return None;
                }
                None => {
                    passed |= lines[at].contains("Site::");
                    continue;
                }
            }
            let text = block.drain(..).rev().collect::<Vec<_>>().join(" ");
            if !leads.contains(&first_name(&text)) {
                continue;
            }
            let lead = text.split(':').next().unwrap_or_default();
            let more = ["both", "all", "here"];
            let includes = lead.split(|c| !is_name(c)).any(|word| more.contains(&word));
            let text = text.split("SAFETY:").next().unwrap_or_default();
            return (!passed || includes).then(|| text.trim().to_owned());
        }
        None
    }

    /// Places of `Site::`, each with the name.
    pub(super) fn sites(&self) -> impl Iterator<Item = (usize, &str)> {
        let found = self.code.match_indices("Site::");
        found.map(|(at, path)| (at, first_name(&self.code[at + path.len()..])))
    }

    /// What lies in the brackets of the nearest `let orders = (..)` above.
    fn orders_above(&self, at: usize) -> Vec<&str> {
        let start = "let orders = (";
        let found = self.code[..at].rfind(start);
        found.map_or(Vec::new(), |at| arguments(&self.code, at + start.len() - 1))
    }

    pub(super) fn wrappers(&self) -> Vec<Wrapper> {
        let mut found = Vec::new();
        for &(method, count) in METHODS {
            for (at, _) in self.code.match_indices(&format!(".{method}(")) {
                let arguments = arguments(&self.code, at + method.len() + 1);
                let Some((site, rest)) = arguments.split_last() else {
                    continue;
                };
                if !site.chars().all(is_name) || rest.len() < count {
                    continue;
                }
                let Some(function) = self.code[..at].rfind("fn ") else {
                    continue;
                };
                let name = first_name(&self.code[function + 3..]);
                let open = function + self.code[function..].find('(').unwrap_or(0);
                let parameters = self::arguments(&self.code, open);
                let mut parameters = parameters.iter().filter(|p| !p.ends_with("self"));
                let Some(parameter) = parameters.position(|p| p.starts_with(&format!("{site}:")))
                else {
                    continue;
                };
                let orders = rest[rest.len() - count..].iter();
                found.push(Wrapper {
                    name: name.to_owned(),
                    parameter,
                    operation: Operation {
                        file: self.file.to_owned(),
                        what: method.to_owned(),
                        orders: orders.map(|order| (*order).to_owned()).collect(),
                        why: self.why(at, ORDERINGS).unwrap_or_default(),
                    },
                });
            }
        }
        found
    }

    pub(super) fn operation(&self, at: usize, wrappers: &[Wrapper]) -> Option<Operation> {
        let call = self.call_around(at)?;
        let own = |what: &str, orders: &[&str], leads: &[&str]| Operation {
            file: self.file.to_owned(),
            what: what.to_owned(),
            orders: orders.iter().map(|order| (*order).to_owned()).collect(),
            why: self.why(at, leads).unwrap_or_default(),
        };
        if call.callee == "recheck" {
            return Some(own("recheck", &[], &["Again"]));
        }
        if let Some((method, count)) = METHODS.iter().find(|(name, _)| *name == call.callee) {
            let orders = call.number.checked_sub(*count);
            let orders = orders.map_or(&[][..], |from| &call.arguments[from..call.number]);
            if !orders.is_empty() && orders.iter().all(|order| ORDERINGS.contains(order)) {
                return Some(own(method, orders, &[ORDERINGS, &["On"]].concat()));
            }
        }
        let fits =
            |wrapper: &&Wrapper| wrapper.name == call.callee && wrapper.parameter == call.number;
        let here = |wrapper: &&Wrapper| wrapper.operation.file == self.file;
        let mut fitting = wrappers.iter().filter(fits);
        let wrapper = fitting.clone().find(here).or_else(|| fitting.next())?;
        let mut operation = wrapper.operation.clone();
        operation.file = self.file.to_owned();
        for order in &mut operation.orders {
            let above = self.orders_above(at);
            match order.as_str() {
                "success" => *order = (*above.first()?).to_owned(),
                "failure" => *order = (*above.get(1)?).to_owned(),
                _ => {}
            }
        }
        if wrapper.operation.orders != operation.orders || operation.why.is_empty() {
            operation.why = self
                .why(at, &[ORDERINGS, &["On"]].concat())
                .unwrap_or_default();
        }
        Some(operation)
    }
}
