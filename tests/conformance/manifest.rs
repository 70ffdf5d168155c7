//! Checks the manifest: every statement once, every test that it names there, every exception with a reason, and never
//! more open statements than before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const MANIFEST: &str = include_str!("manifest.toml");

/// Statements without a test. These numbers may only fall.
const OPEN_MAX_V5: usize = 0;
const OPEN_MAX_V311: usize = 0;

/// Normative statements of MQTT 5.0 (appendix B): section, first and last number.
const STATEMENTS_V5: [(&str, RangeInclusive<u16>); 56] = [
    ("1.5.4", 1..=3),
    ("1.5.5", 1..=1),
    ("1.5.7", 1..=1),
    ("2.1.3", 1..=1),
    ("2.2.1", 2..=6),
    ("2.2.2", 1..=1),
    ("3.1.0", 1..=2),
    ("3.1.2", 1..=30),
    ("3.1.3", 1..=12),
    ("3.1.4", 1..=6),
    ("3.2.0", 1..=2),
    ("3.2.2", 1..=22),
    ("3.3.1", 1..=13),
    ("3.3.2", 1..=20),
    ("3.3.4", 1..=10),
    ("3.4.2", 1..=3),
    ("3.5.2", 1..=3),
    ("3.6.1", 1..=1),
    ("3.6.2", 1..=3),
    ("3.7.2", 1..=3),
    ("3.8.1", 1..=1),
    ("3.8.3", 1..=5),
    ("3.8.4", 1..=8),
    ("3.9.2", 1..=2),
    ("3.9.3", 1..=2),
    ("3.10.1", 1..=1),
    ("3.10.3", 1..=2),
    ("3.10.4", 1..=6),
    ("3.11.2", 1..=2),
    ("3.11.3", 1..=2),
    ("3.12.4", 1..=1),
    ("3.14.0", 1..=1),
    ("3.14.1", 1..=1),
    ("3.14.2", 1..=4),
    ("3.14.4", 1..=3),
    ("3.15.1", 1..=1),
    ("3.15.2", 1..=3),
    ("4.1.0", 1..=2),
    ("4.2", 1..=1),
    ("4.3.1", 1..=1),
    ("4.3.2", 1..=5),
    ("4.3.3", 1..=13),
    ("4.4.0", 1..=2),
    ("4.5.0", 1..=2),
    ("4.6.0", 1..=6),
    ("4.7.0", 1..=1),
    ("4.7.1", 1..=2),
    ("4.7.2", 1..=1),
    ("4.7.3", 1..=4),
    ("4.8.2", 1..=6),
    ("4.9.0", 1..=3),
    ("4.12.0", 1..=7),
    ("4.12.1", 1..=2),
    ("4.13.1", 1..=1),
    ("4.13.2", 1..=1),
    ("6.0.0", 1..=4),
];

/// Normative statements of MQTT 3.1.1 (appendix B).
const STATEMENTS_V311: [(&str, RangeInclusive<u16>); 39] = [
    ("1.5.3", 1..=3),
    ("2.2.2", 1..=2),
    ("2.3.1", 1..=7),
    ("3.1.0", 1..=2),
    ("3.1.2", 1..=24),
    ("3.1.3", 1..=11),
    ("3.1.4", 1..=5),
    ("3.2.0", 1..=1),
    ("3.2.2", 1..=6),
    ("3.3.1", 1..=12),
    ("3.3.2", 1..=3),
    ("3.3.4", 1..=1),
    ("3.3.5", 1..=2),
    ("3.6.1", 1..=1),
    ("3.8.1", 1..=1),
    ("3.8.3", 1..=4),
    ("3.8.4", 1..=6),
    ("3.9.3", 1..=2),
    ("3.10.1", 1..=1),
    ("3.10.3", 1..=2),
    ("3.10.4", 1..=6),
    ("3.12.4", 1..=1),
    ("3.14.1", 1..=1),
    ("3.14.4", 1..=3),
    ("4.1.0", 1..=2),
    ("4.3.1", 1..=1),
    ("4.3.2", 1..=2),
    ("4.3.3", 1..=2),
    ("4.4.0", 1..=1),
    ("4.5.0", 1..=2),
    ("4.6.0", 1..=6),
    ("4.7.1", 1..=3),
    ("4.7.2", 1..=1),
    ("4.7.3", 1..=4),
    ("4.8.0", 1..=2),
    ("6.0.0", 1..=4),
    ("7.0.0", 1..=2),
    ("7.1.1", 1..=1),
    ("7.1.2", 1..=1),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(rename = "5.0")]
    v5: Vec<Statement>,
    #[serde(rename = "3.1.1")]
    v311: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    id: String,
    says: String,
    status: Status,
    #[serde(default)]
    tests: Vec<String>,
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// The tests prove it.
    Tested,
    /// It binds clients alone.
    NotOurs,
    /// Nothing proves it.
    Open,
}

fn manifest() -> Manifest {
    toml::from_str(MANIFEST).expect("manifest.toml is as this file describes it")
}

impl Manifest {
    fn versions(&self) -> [(&'static str, &[Statement]); 2] {
        [("5.0", &self.v5), ("3.1.1", &self.v311)]
    }
}

fn numbered(sections: &[(&str, RangeInclusive<u16>)]) -> Vec<String> {
    let all = |(section, numbers): &(&str, RangeInclusive<u16>)| -> Vec<String> {
        numbers.clone().map(|number| format!("MQTT-{section}-{number}")).collect()
    };
    sections.iter().flat_map(all).collect()
}

#[test]
fn the_manifest_lists_every_statement_once_and_in_order() {
    let manifest = manifest();
    let listed = |statements: &[Statement]| -> Vec<String> {
        statements.iter().map(|statement| statement.id.clone()).collect()
    };
    assert_eq!(listed(&manifest.v5), numbered(&STATEMENTS_V5), "statements of 5.0");
    assert_eq!(listed(&manifest.v311), numbered(&STATEMENTS_V311), "statements of 3.1.1");
}

#[test]
fn each_status_has_what_it_needs() {
    for (version, statements) in manifest().versions() {
        for Statement { id, says, status, tests, reason } in statements {
            assert!(!says.is_empty(), "{id} of {version} says nothing");
            let has_reason = reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
            match status {
                Status::Tested => assert!(!tests.is_empty(), "{id} of {version} is tested by no test"),
                Status::NotOurs => {
                    assert!(has_reason && tests.is_empty(), "{id} of {version} is not ours: why?")
                }
                Status::Open => assert!(tests.is_empty(), "{id} of {version} is open, yet names tests"),
            }
        }
    }
}

#[test]
fn the_number_of_open_statements_only_falls() {
    for (version, statements) in manifest().versions() {
        let max = if version == "5.0" { OPEN_MAX_V5 } else { OPEN_MAX_V311 };
        let open: Vec<&str> = statements
            .iter()
            .filter(|statement| statement.status == Status::Open)
            .map(|statement| statement.id.as_str())
            .collect();
        assert!(
            open.len() <= max,
            "{} statements of {version} are open, at most {max} may be: {open:?}",
            open.len()
        );
        assert_eq!(open.len(), max, "lower the number of open statements of {version} to {}", open.len());
    }
}

#[test]
fn every_named_test_exists() {
    let manifest = manifest();
    let all = manifest.v5.iter().chain(&manifest.v311);
    let missing: BTreeSet<&str> =
        all.flat_map(|statement| &statement.tests).map(String::as_str).filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "the manifest names tests that do not exist: {missing:#?}");
}

/// A test says which statements it proves, and the manifest names the test there: neither forgets the other.
#[test]
fn the_manifest_and_the_tests_cite_each_other() {
    let manifest = manifest();
    let mut named: BTreeSet<(String, String, String)> = BTreeSet::new();
    for (version, statements) in manifest.versions() {
        for statement in statements {
            for test in statement.tests.iter().filter(|test| test.starts_with('s')) {
                named.insert((test.clone(), version.to_owned(), statement.id.clone()));
            }
        }
    }
    let mut cited = BTreeSet::new();
    for (module, source) in sections() {
        cited.extend(citations(&module, &source));
    }
    let only_named: Vec<_> = named.difference(&cited).filter(|(test, ..)| is_of_this_suite(test)).collect();
    let only_cited: Vec<_> = cited.difference(&named).collect();
    assert!(only_named.is_empty(), "the manifest names these, the test does not cite them: {only_named:#?}");
    assert!(only_cited.is_empty(), "a test cites these, the manifest does not name it: {only_cited:#?}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

/// Name and source of each file that holds tests of one section.
fn sections() -> BTreeMap<String, String> {
    fs::read_dir(folder())
        .expect("the folder of this file")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let module = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (module, fs::read_to_string(&path).expect("a readable source"))
        })
        .filter(|(module, _)| is_of_this_suite(module))
        .collect()
}

/// Section files are named `s3_01_connect` and the like.
fn is_of_this_suite(test: &str) -> bool {
    let mut characters = test.chars();
    characters.next() == Some('s') && characters.next().is_some_and(|digit| digit.is_ascii_digit())
}

/// Test, version and statement, for each citation in the documentation of a test.
fn citations(module: &str, source: &str) -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<(&str, String)> = Vec::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            for version in ["5.0", "3.1.1"] {
                let Some(ids) = text.strip_prefix(version).and_then(|text| text.strip_prefix(": ")) else {
                    continue;
                };
                let ids = ids.trim_end_matches(['.', ',']).split(", ");
                pending.extend(ids.map(|id| (version, id.to_owned())));
            }
        } else if let Some((name, _)) = line.strip_prefix("async fn ").and_then(|rest| rest.split_once('(')) {
            let test = format!("{module}::{name}");
            found.extend(pending.drain(..).map(|(version, id)| (test.clone(), version.to_owned(), id)));
        } else if !line.starts_with("///") {
            assert!(pending.is_empty(), "{module}: statements are cited where no test follows: {pending:?}");
        }
    }
    found
}

/// Whether a test of this name is in the sources. A name is one of
///
/// - `s3_01_connect::test`, a test of this suite;
/// - `scripts/name.script`, a conversation of the core;
/// - `broker/core::durable::tests::test`, the folder of a package, a module and a test in it.
fn exists(name: &str) -> bool {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    if name.ends_with(".script") {
        return tests.join(name).is_file();
    }
    let Some((module, test)) = name.rsplit_once("::") else {
        return false;
    };
    let path: Vec<&str> = module.split("::").collect();
    if is_of_this_suite(module) {
        return has_function(&folder().join(format!("{module}.rs")), test);
    }
    let Some(workspace) = tests.parent() else {
        return false;
    };
    candidates(workspace, &path).iter().any(|file| has_function(file, test))
}

/// Files in which a module may be: itself, or any module around it, under `src`, `tests` or the package.
fn candidates(workspace: &Path, path: &[&str]) -> Vec<PathBuf> {
    let package = workspace.join(path[0]);
    let mut files = Vec::new();
    for root in ["src", "tests", "."] {
        for depth in (1..=path.len()).rev() {
            let inner: PathBuf = path[1..depth].iter().collect();
            let module = package.join(root).join(inner);
            files.extend([module.with_extension("rs"), module.join("mod.rs"), module.join("lib.rs")]);
        }
    }
    files
}

/// Whether this file has a function of this name below `#[test]` or in the list of a macro of tests.
fn has_function(file: &Path, name: &str) -> bool {
    let declaration = format!("fn {name}(");
    fs::read_to_string(file).is_ok_and(|source| {
        source.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(&declaration))
    })
}
