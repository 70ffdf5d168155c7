//! Rules over the text of single files. Each takes a file and gives its faults.

use crate::source::{Fault, Source, has_word};

/// Lines that a file may have, tests included.
const FILE_LINES_MAX: usize = 600;
/// Lines that a function may have, from its name to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that are longer than allowed, with the length that they may not exceed. This list only shrinks.
const LONG_FILES: [(&str, usize); 0] = [];
/// Functions that are longer than allowed, by file and name. This list only shrinks.
const LONG_FUNCTIONS: [(&str, &str); 0] = [];
/// Files that may use `unsafe`: the socket options of the sharded endpoint.
const UNSAFE_FILES: [&str; 0] = [];
/// Files of the core that may hold what its lints ban: the map that cannot be iterated wraps one that can.
const CORE_EXCEPTIONS: [&str; 1] = ["broker/core/src/lookup.rs"];
/// Files that may read the clock of the machine.
const CLOCK_FILES: [&str; 3] = ["broker/src/clock.rs", "client/src/clock.rs", "loadtest/src/clock.rs"];

pub(crate) fn opens_with_its_purpose(file: &Source) -> Vec<Fault> {
    if file.path.ends_with("/tests.rs") {
        return Vec::new(); // the tests of the file above it, and of nothing else
    }
    let opening = file.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!"));
    match opening {
        Some(line) if line.starts_with("//!") => Vec::new(),
        _ => vec![file.fault(1, "does not open with `//!`: what it is for, and what not")],
    }
}

pub(crate) fn is_short(file: &Source) -> Vec<Fault> {
    let lines = file.text.lines().count();
    let allowed =
        LONG_FILES.iter().find(|(path, _)| *path == file.path).map_or(FILE_LINES_MAX, |(_, max)| *max);
    if lines > allowed {
        vec![file.fault(lines, &format!("{lines} lines, we allow {allowed}"))]
    } else {
        Vec::new()
    }
}

pub(crate) fn has_short_functions(file: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for function in functions(&file.code) {
        let is_excepted = LONG_FUNCTIONS.contains(&(file.path.as_str(), function.name));
        if function.lines > FUNCTION_LINES_MAX && !is_excepted {
            let Function { name, line, lines } = function;
            faults.push(
                file.fault(line, &format!("`{name}` has {lines} lines, we allow {FUNCTION_LINES_MAX}")),
            );
        }
    }
    faults
}

/// The exceptions above that nothing needs: they must go, or the lists would not shrink.
pub(crate) fn idle_exceptions(files: &[Source]) -> Vec<Fault> {
    let text = |path: &str| files.iter().find(|file| file.path == path);
    let mut faults = Vec::new();
    for (path, _) in LONG_FILES {
        if text(path).is_none_or(|file| file.text.lines().count() <= FILE_LINES_MAX) {
            faults.push(Fault(format!("{path} is no longer than others and needs no exception")));
        }
    }
    for (path, name) in LONG_FUNCTIONS {
        let is_long = |file: &Source| {
            functions(&file.code).any(|function| function.name == name && function.lines > FUNCTION_LINES_MAX)
        };
        if !text(path).is_some_and(is_long) {
            faults.push(Fault(format!("{path}: `{name}` needs no exception")));
        }
    }
    faults
}

pub(crate) fn is_safe(file: &Source) -> Vec<Fault> {
    if UNSAFE_FILES.contains(&file.path.as_str()) {
        return Vec::new();
    }
    file.lines_with(&["unsafe"], "only the socket options of the sharded endpoint may use it")
}

pub(crate) fn has_bounded_channels(file: &Source) -> Vec<Fault> {
    let words = ["unbounded_channel", "unbounded", "UnboundedSender", "UnboundedReceiver"];
    file.lines_with(&words, "every channel is bounded and says who waits")
}

pub(crate) fn is_finished(file: &Source) -> Vec<Fault> {
    file.lines_with(&["todo!", "unimplemented!", "dbg!"], "has no place in what is committed")
}

pub(crate) fn leaves_the_clock_alone(file: &Source) -> Vec<Fault> {
    if !file.is_product() || CLOCK_FILES.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let words = ["Instant::now", "SystemTime::now", "now_utc", "now_local"];
    // The clients' clock is their runtime's, which a test can stop.
    let is_of_runtime =
        ["tokio::time::Instant", "tokio::time::{Instant"].iter().any(|path| file.code.contains(path));
    let words = if file.path.starts_with("client/") && is_of_runtime { &words[1..] } else { &words };
    file.product_lines_with(words, "the clock of the machine is read in `clock.rs` alone")
}

/// Bytes, packets and flows are all that a transport knows.
pub(crate) fn transport_knows_no_mqtt_state(file: &Source) -> Vec<Fault> {
    if !file.path.starts_with("broker/src/transport") {
        return Vec::new();
    }
    names_from(file, &["Session", "Router", "Topic", "Message"], "a transport moves bytes, packets and flows")
}

/// One owner of the broker's value.
pub(crate) fn only_the_engine_owns_a_broker(file: &Source) -> Vec<Fault> {
    let is_engine = file.path == "broker/src/engine.rs" || file.path.starts_with("broker/src/engine/");
    if !file.path.starts_with("broker/src/") || is_engine {
        return Vec::new();
    }
    names_from(file, &["Broker"], "the engine alone owns one")
}

/// A fault for each use of one of these names of core or protocol.
fn names_from(file: &Source, names: &[&str], why: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for package in ["rivulet_core::", "rivulet_protocol::"] {
        for (at, _) in file.code.match_indices(package) {
            let path = file.code[at..].split([';', '(', '=']).next().unwrap_or_default();
            let line = file.code[..at].lines().count();
            for name in names.iter().filter(|name| has_word(path, name)) {
                faults.push(file.fault(line, &format!("{package}{name}: {why}")));
            }
        }
    }
    faults
}

/// The lints of the core are what keeps it a value.
pub(crate) fn core_makes_no_exceptions(file: &Source) -> Vec<Fault> {
    if !file.path.starts_with("broker/core/") || CORE_EXCEPTIONS.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let words = ["clippy::disallowed_methods", "clippy::disallowed_types", "async fn", "await"];
    file.lines_with(&words, "the core has no clock, chance, thread, wait or random order")
}

/// A path of the machine that somebody worked on.
pub(crate) fn names_no_machine(file: &Source) -> Vec<Fault> {
    const PATHS: [&str; 5] = [
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/tm", "p/target"),
    ];
    let mut faults = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for path in PATHS.iter().filter(|path| line.contains(**path)) {
            faults.push(file.fault(number + 1, &format!("{path} is a path of one machine")));
        }
    }
    faults
}

struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

/// The functions in code without comments and literals. Functions inside others count for themselves and for them.
fn functions(code: &str) -> impl Iterator<Item = Function<'_>> {
    code.match_indices("fn ").filter_map(|(at, _)| {
        let is_word = code[..at].chars().next_back().is_none_or(|c| !(c.is_alphanumeric() || c == '_'));
        let name = code[at + 3..].split(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
        if !is_word || name.is_empty() {
            return None;
        }
        let end = at + body_end(&code[at..])?;
        let lines = code[at..end].lines().count();
        Some(Function { name, line: code[..at].lines().count().max(1), lines })
    })
}

/// Where the body ends of the function that `code` begins with. `None`: it has none.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 {
                    return Some(at + 1);
                }
            }
            ';' if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}
