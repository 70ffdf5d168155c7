//! Reads typed values out of TOML and collects every fault on the way.
//!
//! A [`Section`] is asked for each key that it may hold; what it holds beyond that is unknown, and said so with the
//! nearest key that was asked for. A value that is missing or wrong yields the default, so that reading goes on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use super::fault::Fault;
use super::value::{DURATION_EXAMPLE, SIZE_EXAMPLE, duration_text, parse_duration, parse_size, size_text};

/// How far a key may be from a known one to be taken for it: as `strsim` counts, 1 is equal.
const NEAREST_MIN: f64 = 0.75;

/// A document with what the environment put over it, and the faults found in it.
pub(super) struct Document {
    /// The name of the file, for messages.
    pub(super) file: String,
    /// All values.
    pub(super) table: Table,
    /// Dotted keys that came from the environment, and the variables that set them.
    pub(super) overridden: BTreeMap<String, String>,
    /// What was wrong so far.
    pub(super) faults: RefCell<Vec<Fault>>,
    /// Every key that was asked for.
    pub(super) asked: RefCell<Vec<String>>,
}

impl Document {
    /// The section of everything.
    pub(super) fn root(&self) -> Section<'_> {
        Section { document: self, path: String::new(), table: Some(&self.table), known: Vec::new() }
    }
}

/// One table of the document, or one that is not there.
pub(super) struct Section<'a> {
    document: &'a Document,
    path: String,
    table: Option<&'a Table>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// A table inside this one.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let path = self.path_of(key);
        let table = match self.value(key) {
            Some(Value::Table(table)) => Some(table),
            Some(_) => {
                self.fault(key, format!("must be a table: [{path}]"));
                None
            }
            None => None,
        };
        Section { document: self.document, path, table, known: Vec::new() }
    }

    /// The tables of an array of tables, `[[key]]`.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let path = self.path_of(key);
        let elements = match self.value(key) {
            Some(Value::Array(elements)) if elements.iter().all(Value::is_table) => elements.as_slice(),
            Some(_) => {
                self.fault(key, format!("must be a list of tables: [[{path}]]"));
                &[]
            }
            None => &[],
        };
        let section = |(index, element): (usize, &'a Value)| Section {
            document: self.document,
            path: format!("{path}[{index}]"),
            table: element.as_table(),
            known: Vec::new(),
        };
        elements.iter().enumerate().map(section).collect()
    }

    /// A text; `None` where there is none.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        let text = self.value(key)?.as_str();
        if text.is_none() {
            self.fault(key, "must be a text in quotes");
        }
        text
    }

    /// A text that `parse` understands; `expected` says what that is.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(self.text(key)?);
        if parsed.is_none() {
            self.fault(key, format!("must be {expected}"));
        }
        parsed
    }

    /// An address with its port.
    pub(super) fn address(&mut self, key: &'static str) -> Option<SocketAddr> {
        self.parsed(key, "an IP address and a port, such as \"127.0.0.1:1883\" or \"[::]:1883\"", |text| {
            text.parse().ok()
        })
    }

    /// A path. Relative ones start at the working directory.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// The path of a file that is there.
    pub(super) fn file(&mut self, key: &'static str) -> Option<PathBuf> {
        let path = self.path(key)?;
        if !Path::new(&path).is_file() {
            self.fault(key, "not found, or not a file");
        }
        Some(path)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let find = |text: &str| choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        self.parsed(key, &format!("one of {}", words.join(", ")), find)
    }

    /// A list of some of a few words, each at most once; `None` where there is none.
    pub(super) fn choices<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<Vec<T>> {
        let value = self.value(key)?;
        let texts: Option<Vec<&str>> = match value.as_array() {
            Some(elements) => elements.iter().map(Value::as_str).collect(),
            // From the environment, where there are no lists.
            None => value.as_str().map(|text| text.split(',').map(str::trim).collect()),
        };
        let find = |text: &&str| choices.iter().find(|(word, _)| word == text).map(|(_, choice)| *choice);
        let chosen = texts.and_then(|texts| {
            let repeated = texts.iter().enumerate().any(|(index, text)| texts[..index].contains(text));
            texts.iter().map(find).collect::<Option<Vec<T>>>().filter(|_| !repeated)
        });
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.fault(key, format!("must be a list of some of {}, each at most once", words.join(", ")));
        }
        chosen
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else {
            return default;
        };
        let from_environment = value.as_str().filter(|_| self.is_overridden(key));
        let boolean = value.as_bool().or_else(|| from_environment?.parse().ok());
        boolean.unwrap_or_else(|| {
            self.fault(key, "must be true or false");
            default
        })
    }

    /// A whole number within bounds.
    pub(super) fn number<N>(&mut self, key: &'static str, bounds: RangeInclusive<N>, default: N) -> N
    where
        N: Copy + Display + PartialOrd + TryFrom<i64>,
    {
        let Some(value) = self.value(key) else {
            return default;
        };
        let from_environment = value.as_str().filter(|_| self.is_overridden(key));
        let number = value.as_integer().or_else(|| from_environment?.parse().ok());
        let number = number.and_then(|number| N::try_from(number).ok());
        self.bounded(key, number, bounds, default, |number| number.to_string(), "a whole number")
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        match self.parsed(key, DURATION_EXAMPLE, parse_duration) {
            None => default,
            duration => self.bounded(key, duration, bounds, default, duration_text, DURATION_EXAMPLE),
        }
    }

    /// A size in bytes within bounds.
    pub(super) fn size(&mut self, key: &'static str, bounds: RangeInclusive<u64>, default: u64) -> u64 {
        match self.parsed(key, SIZE_EXAMPLE, parse_size) {
            None => default,
            size => self.bounded(key, size, bounds, default, size_text, SIZE_EXAMPLE),
        }
    }

    /// Whether the key holds anything.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Notes what is wrong with the value of a key.
    pub(super) fn fault(&self, key: &str, problem: impl Into<String>) {
        let path = self.path_of(key);
        let value = self.table.and_then(|table| table.get(key)).map(ToString::to_string);
        self.push(path, value, problem.into());
    }

    /// Ends the reading: keys that nobody asked for are faults.
    pub(super) fn finish(self) {
        let Some(table) = self.table else {
            return;
        };
        for key in table.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let nearest = self
                .known
                .iter()
                .map(|known| (strsim::jaro_winkler(known, key), *known))
                .max_by(|(near, _), (nearer, _)| near.total_cmp(nearer));
            let problem = match nearest {
                Some((likeness, known)) if likeness >= NEAREST_MIN => {
                    format!("unknown key; did you mean {known}?")
                }
                Some(_) | None => format!("unknown key; known are {}", self.known.join(", ")),
            };
            self.push(self.path_of(key), None, problem);
        }
    }

    fn bounded<N: Copy + PartialOrd>(
        &self,
        key: &'static str,
        number: Option<N>,
        bounds: RangeInclusive<N>,
        default: N,
        text: impl Fn(N) -> String,
        kind: &str,
    ) -> N {
        match number {
            Some(number) if bounds.contains(&number) => number,
            Some(_) | None => {
                let (low, high) = (text(*bounds.start()), text(*bounds.end()));
                let kind = kind.split(" (").next().unwrap_or(kind);
                self.fault(key, format!("must be {kind} from {low} to {high}"));
                default
            }
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.document.asked.borrow_mut().push(self.path_of(key));
        self.table?.get(key)
    }

    fn is_overridden(&self, key: &str) -> bool {
        self.document.overridden.contains_key(&self.path_of(key))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn push(&self, key: String, value: Option<String>, problem: String) {
        let origin = self.document.overridden.get(&key).unwrap_or(&self.document.file).clone();
        self.document.faults.borrow_mut().push(Fault { origin, key, value, problem });
    }
}
