//! Plays every script of `scripts/` against the core. `UPDATE=1` writes what came into the scripts, for review.

#![cfg(test)]

use std::fs;
use std::path::PathBuf;

use rivulet_tests::script::Script;

/// The folder of the scripts, and its files by name.
fn scripts() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "script"));
    paths.sort();
    paths
}

#[test]
fn conversations_go_as_their_scripts_say() {
    let is_update = std::env::var_os("UPDATE").is_some();
    let mut failures = String::new();
    for path in scripts() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let script = Script::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let played = std::panic::catch_unwind(|| script.play());
        let played = played.unwrap_or_else(|_| Err("the core panicked".to_owned()));
        match played {
            Err(error) => failures.push_str(&format!("{name}: {error}\n\n")),
            Ok(played) => {
                let differences = script.differences(&played);
                if is_update && !differences.is_empty() {
                    fs::write(&path, played.to_string()).unwrap();
                } else if !differences.is_empty() {
                    failures.push_str(&format!("{name}: expected (-), came (+)\n{differences}"));
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "\n{failures}`UPDATE=1` accepts what came; review it against the specification"
    );
}

#[test]
fn scripts_say_first_what_they_show() {
    let scripts = scripts();
    assert!(scripts.len() >= 40, "{} scripts", scripts.len());
    for path in scripts {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("# ") && first.len() > 20, "{}: {first:?}", path.display());
    }
}
