//! What an operator may set: text to checked values, in one place.
//!
//! A configuration is a TOML file with the environment put over it. It is read to its end and all of its faults are
//! told at once. `deploy/rivulet.toml` shows every key with its default; a test keeps it so.
//!
//! Not here: what the values do.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rivulet_core::Limits;
use tracing_subscriber::EnvFilter;

mod access;
mod environment;
mod fault;
mod limits;
mod listener;
mod schema;
mod value;

pub use access::{
    AccessConfig, AclChoice, Authenticator, ClientIdRule, FailurePolicy, HttpConfig, JwtConfig,
    ListenerAccess, TokenPlace,
};
pub use fault::{Fault, Faults};
pub use limits::{FlappingLimits, LinkLimits, QuicConfig};
pub use listener::{Alpn, ClientCertificate, ListenerConfig, ServerFiles, TlsConfig, TlsMinimum};

use schema::{Document, Section};

/// What a file without a name is called in messages.
const NO_FILE: &str = "defaults";

const LISTENER: &str = "listener";
const DATA_DIRECTORY: &str = "./rivulet-data";
const LOG_LEVEL: &str = "info";

const LOG_EXPECTED: &str =
    "a level (error, warn, info, debug, trace) or directives such as \"info,quinn=debug\"";

/// Listeners that one broker may have.
const LISTENERS_MAX: usize = 64;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the broker keeps what it makes: its authority, its certificates, its store.
    pub data_dir: PathBuf,
    /// Where clients come in. At least one.
    pub listeners: Vec<ListenerConfig>,
    /// What clients are measured by.
    pub access: AccessConfig,
    /// The bounds of the core.
    pub limits: Limits,
    /// The bounds around it.
    pub link: LinkLimits,
    /// What QUIC does between packets.
    pub quic: QuicConfig,
    /// How often what the broker knows of itself is published below `$SYS`; `None`: never.
    pub sys_interval: Option<Duration>,
    /// What is logged: a level, or directives such as `info,quinn=debug`.
    pub log: String,
}

impl Default for Config {
    fn default() -> Self {
        let (config, _) = read(NO_FILE, "", std::iter::empty());
        config
    }
}

impl Config {
    /// Reads a file, with the environment over it; without a file, the defaults with the environment over them.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let name = file.map_or_else(|| NO_FILE.to_owned(), |path| path.display().to_string());
        let text = match file.map(std::fs::read_to_string).transpose() {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => {
                let problem = format!("cannot be read: {error}");
                return Err(Faults(vec![Fault { origin: name, key: String::new(), value: None, problem }]));
            }
        };
        // A variable that is no Unicode cannot be one of ours: names and values are plain text.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::parse(&name, &text, variables)
    }

    /// What the listeners ask of their clients, in the order of their keys.
    pub fn listener_access(&self) -> Vec<ListenerAccess> {
        self.listeners.iter().map(|listener| listener.access.clone()).collect()
    }

    /// Reads a text. `file` names it in messages.
    pub fn parse(
        file: &str,
        text: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Faults> {
        let (config, document) = read(file, text, variables);
        let faults = document.faults.into_inner();
        if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
    }
}

/// Checks a log filter that comes from elsewhere than the configuration; `origin` names where.
pub(crate) fn log_filter(origin: &str, filter: &str) -> Result<String, Faults> {
    if is_log_filter(filter) {
        return Ok(filter.to_owned());
    }
    let (origin, value) = (origin.to_owned(), Some(format!("\"{filter}\"")));
    Err(Faults(vec![Fault { origin, key: String::new(), value, problem: format!("must be {LOG_EXPECTED}") }]))
}

fn is_log_filter(text: &str) -> bool {
    // A lone word that is no level would be taken for the name of a module.
    let is_level = |word: &str| word.parse::<tracing::Level>().is_ok() || word == "off";
    text.split(',').all(|part| part.contains('=') || is_level(part.trim()))
        && EnvFilter::try_new(text).is_ok()
}

/// Reads everything, with defaults where there are faults.
fn read(file: &str, text: &str, variables: impl Iterator<Item = (String, String)>) -> (Config, Document) {
    let mut faults = syntax_faults(file, text);
    let mut table = toml::Table::new();
    if faults.is_empty() {
        match text.parse() {
            Ok(parsed) => table = parsed,
            Err(error) => faults.push(fault_of(file, text, &error)),
        }
    }
    table.entry(LISTENER).or_insert_with(listener::defaults);
    let overridden = environment::overlay(&mut table, variables, &mut faults);
    let document = Document {
        file: file.to_owned(),
        table,
        overridden,
        faults: RefCell::new(faults),
        asked: RefCell::new(Vec::new()),
    };
    let config = read_root(document.root());
    (config, document)
}

fn read_root(mut root: Section<'_>) -> Config {
    let data_dir = root.path("data_dir").unwrap_or_else(|| PathBuf::from(DATA_DIRECTORY));
    let mut log = root.section("log");
    let level = log
        .parsed("level", LOG_EXPECTED, |text| is_log_filter(text).then(|| text.to_owned()))
        .unwrap_or_else(|| LOG_LEVEL.to_owned());
    log.finish();
    let (limits, link) = limits::read(root.section("limits"));
    let quic = limits::read_quic(root.section("quic"));
    let sys_interval = limits::read_sys(root.section("sys"));
    let access = access::read(root.section("access"));
    let sections = root.list(LISTENER);
    if sections.is_empty() || sections.len() > LISTENERS_MAX {
        root.fault(LISTENER, format!("must have from 1 to {LISTENERS_MAX} elements"));
    }
    let listeners = sections.into_iter().filter_map(|section| listener::read(section, &access)).collect();
    root.finish();
    Config { data_dir, listeners, access, limits, link, quic, sys_interval, log: level }
}

/// Every place where the text is no TOML.
fn syntax_faults(file: &str, text: &str) -> Vec<Fault> {
    let (_, mut errors) = toml::de::DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    errors.iter().map(|error| fault_of(file, text, error)).collect()
}

fn fault_of(file: &str, text: &str, error: &toml::de::Error) -> Fault {
    let line =
        error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let origin = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    Fault { origin, key: String::new(), value: None, problem: error.message().to_owned() }
}

#[cfg(test)]
mod tests;
