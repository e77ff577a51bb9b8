//! The command line.

use std::ffi::OsString;
use std::time::Duration;

pub(crate) const HELP: &str = "\
An HTTP server on 127.0.0.1 over a context tree, with its own load generator.

    cargo run --release --example gateway -- [OPTIONS]

    --for LENGTH      stop after this long: 500ms, 5s, 2m        [10s]
    --timeout LENGTH  what a request may take, up to 60m         [100ms]
    --drain LENGTH    what is under way at the end may go on, before it is
                      cancelled, up to 60m           [1s]
    --stubborn LENGTH now and then a request has work that ignores its cancel
                      this long, up to 60m           [there is none]
    --clients N       clients of the load generator, 0 to 10000  [48]
    --port N          listen on this port; 0 lets the system choose  [0]
    --help            print this

Ctrl-C stops it earlier. Progress goes to stderr, the report to stdout.
Exit code: 0 clean, 1 cannot run or a check of the report failed, 2 bad options.
";

const MOST_CLIENTS: u32 = 10_000;
const LONGEST: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) length: Duration,
    pub(crate) timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) stubborn: Option<Duration>,
    pub(crate) clients: u32,
    pub(crate) port: u16,
}

impl Options {
    /// `None` means that help was asked for.
    pub(crate) fn parse(
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Options>, String> {
        let mut options = Options {
            length: Duration::from_secs(10),
            timeout: Duration::from_millis(100),
            drain: Duration::from_secs(1),
            stubborn: None,
            clients: 48,
            port: 0,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let word = text(word)?;
            // Both `--for 5s` and `--for=5s`.
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let mut value = || match joined.clone() {
                Some(value) => Ok(value),
                None => words
                    .next()
                    .ok_or_else(|| format!("{name} needs a value"))
                    .and_then(text),
            };
            match name {
                "--for" => options.length = length(name, &value()?)?,
                "--timeout" => options.timeout = limited(name, &value()?)?,
                "--drain" => options.drain = limited(name, &value()?)?,
                "--stubborn" => options.stubborn = Some(limited(name, &value()?)?),
                "--clients" => options.clients = clients(&value()?)?,
                "--port" => options.port = port(&value()?)?,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown option `{word}`")),
            }
        }
        Ok(Some(options))
    }
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string()
        .map_err(|word| format!("not valid UTF-8: {word:?}"))
}

fn length(name: &str, value: &str) -> Result<Duration, String> {
    let bad = || format!("{name} {value}: expected a length such as 500ms, 5s or 2m");
    let digits = value.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let length = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60).ok_or_else(bad)?),
        _ => return Err(bad()),
    };
    if length.is_zero() {
        return Err(format!("{name} {value}: must be longer than zero"));
    }
    Ok(length)
}

fn limited(name: &str, value: &str) -> Result<Duration, String> {
    match length(name, value)? {
        length if length <= LONGEST => Ok(length),
        _ => Err(format!("{name} {value}: expected at most 60m")),
    }
}

fn clients(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(number) if number <= MOST_CLIENTS => Ok(number),
        _ => Err(format!(
            "--clients {value}: expected a number from 0 to {MOST_CLIENTS}"
        )),
    }
}

fn port(value: &str) -> Result<u16, String> {
    value
        .parse()
        .map_err(|_| format!("--port {value}: expected a number from 0 to 65535"))
}
