//! House rules: what never happens in this workspace, each with proof that its check can fail.
//!
//! The rules are explained in `ARCHITECTURE.md` and `CONTRIBUTING.md`; the checks are in `tidy/`.

#![cfg(test)]

#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::fs;

use source::{Fault, Source, root, sources};

/// All faults at once, one a line.
#[track_caller]
fn assert_none(faults: &[Fault]) {
    let lines: Vec<_> = faults.iter().map(|fault| fault.0.as_str()).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", lines.len(), lines.join("\n"));
}

#[track_caller]
fn holds_for_rust(rule: impl Fn(&Source) -> Vec<Fault>) {
    let faults: Vec<_> = sources().iter().filter(|file| file.is_rust()).flat_map(rule).collect();
    assert_none(&faults);
}

/// The faults that a rule finds in a file of this name and text.
fn found(rule: impl Fn(&Source) -> Vec<Fault>, path: &str, text: &str) -> usize {
    rule(&Source::new(path, text)).len()
}

#[test]
fn there_are_sources_to_look_at() {
    let sources = sources();
    for path in ["Cargo.toml", "broker/core/src/lib.rs", "protocol/src/lib.rs", "tests/tidy.rs"] {
        assert!(sources.iter().any(|file| file.path == path), "{path} was not found");
    }
}

#[test]
fn every_file_opens_with_its_purpose() {
    holds_for_rust(rules::opens_with_its_purpose);
    assert_eq!(found(rules::opens_with_its_purpose, "a.rs", "use std::fs;\n//! Late.\n"), 1);
    assert_eq!(found(rules::opens_with_its_purpose, "a.rs", ""), 1);
    assert_eq!(found(rules::opens_with_its_purpose, "a.rs", "#![no_main]\n//! Early.\n"), 0);
}

#[test]
fn files_are_short() {
    holds_for_rust(rules::is_short);
    assert_eq!(found(rules::is_short, "a.rs", &"\n".repeat(601)), 1);
    assert_eq!(found(rules::is_short, "a.rs", &"\n".repeat(600)), 0);
}

#[test]
fn functions_are_short() {
    holds_for_rust(rules::has_short_functions);
    let function =
        |lines| format!("trait T {{ fn none(); }}\nfn long(a: [u8; 2]) {{{}}}\n", "\n".repeat(lines));
    assert_eq!(found(rules::has_short_functions, "a.rs", &function(70)), 1);
    assert_eq!(found(rules::has_short_functions, "a.rs", &function(69)), 0);
}

#[test]
fn exceptions_that_nothing_needs_are_gone() {
    assert_none(&rules::idle_exceptions(sources()));
}

#[test]
fn there_is_no_unsafe_code() {
    holds_for_rust(rules::is_safe);
    assert_eq!(found(rules::is_safe, "a.rs", "fn f() { unsafe { g() } }"), 1);
    assert_eq!(found(rules::is_safe, "a.rs", "// unsafe\n#![forbid(unsafe_code)]"), 0);
}

#[test]
fn every_channel_is_bounded() {
    holds_for_rust(rules::has_bounded_channels);
    assert_eq!(found(rules::has_bounded_channels, "a.rs", "let c = mpsc::unbounded_channel();"), 1);
    assert_eq!(found(rules::has_bounded_channels, "a.rs", "let c = mpsc::channel(4);"), 0);
}

#[test]
fn nothing_unfinished_is_committed() {
    holds_for_rust(rules::is_finished);
    for text in ["todo!()", "unimplemented!(\"later\")", "dbg!(x)"] {
        assert_eq!(found(rules::is_finished, "a.rs", text), 1);
    }
}

#[test]
fn the_clock_is_read_in_one_place_of_each_program() {
    holds_for_rust(rules::leaves_the_clock_alone);
    let text = "let t = std::time::Instant::now();\nlet d = OffsetDateTime::now_utc();";
    assert_eq!(found(rules::leaves_the_clock_alone, "broker/src/engine.rs", text), 2);
    assert_eq!(found(rules::leaves_the_clock_alone, "broker/src/clock.rs", text), 0);
    let of_runtime = "use tokio::time::Instant;\nlet t = Instant::now();";
    assert_eq!(found(rules::leaves_the_clock_alone, "client/src/driver.rs", of_runtime), 0);
    assert_eq!(found(rules::leaves_the_clock_alone, "client/src/driver.rs", text), 2);
    assert_eq!(found(rules::leaves_the_clock_alone, "broker/src/engine.rs", of_runtime), 1);
    let in_tests = format!("#[cfg(test)]\nmod tests {{ {text} }}");
    assert_eq!(found(rules::leaves_the_clock_alone, "broker/src/engine.rs", &in_tests), 0);
}

#[test]
fn transports_know_nothing_of_sessions_and_messages() {
    holds_for_rust(rules::transport_knows_no_mqtt_state);
    let text =
        "use rivulet_core::{SessionKey, Router};\nuse rivulet_protocol::Topic;\nuse websocket::Message;";
    assert_eq!(found(rules::transport_knows_no_mqtt_state, "broker/src/transport/quic.rs", text), 2);
    assert_eq!(found(rules::transport_knows_no_mqtt_state, "broker/src/engine.rs", text), 0);
}

#[test]
fn the_engine_alone_owns_a_broker() {
    holds_for_rust(rules::only_the_engine_owns_a_broker);
    let text = "use rivulet_core::{\n    Broker,\n    Limits,\n};";
    assert_eq!(found(rules::only_the_engine_owns_a_broker, "broker/src/link.rs", text), 1);
    assert_eq!(found(rules::only_the_engine_owns_a_broker, "broker/src/engine.rs", text), 0);
    let others = "use rivulet_core::{Input, Limits};\nlet b: Broker = x;";
    assert_eq!(found(rules::only_the_engine_owns_a_broker, "broker/src/link.rs", others), 0);
}

#[test]
fn the_core_makes_no_exception_from_its_lints() {
    holds_for_rust(rules::core_makes_no_exceptions);
    let text = "#[allow(clippy::disallowed_types, reason = \"fast\")]\nasync fn f() {}";
    assert_eq!(found(rules::core_makes_no_exceptions, "broker/core/src/router.rs", text), 2);
}

#[test]
fn no_file_names_the_machine_that_it_was_written_on() {
    let faults: Vec<_> = sources().iter().flat_map(rules::names_no_machine).collect();
    assert_none(&faults);
    let planted = concat!("see /ho", "me/ann/rivulet and /tm", "p/x");
    assert_eq!(found(rules::names_no_machine, "README.md", planted), 1);
}

#[test]
fn packages_depend_on_one_another_as_the_architecture_draws_it() {
    let dependencies = manifests::dependencies(&manifests::metadata());
    assert_eq!(dependencies.len(), manifests::ARROWS.len(), "packages of the workspace");
    assert_none(&manifests::arrows_point_as_drawn(&dependencies));
    for (package, name) in [
        ("rivulet-protocol", "rivulet-core"),
        ("rivulet-protocol", "tokio"),
        ("rivulet-core", "rivulet-storage"),
        ("rivulet-core", "rand"),
        ("rivulet-storage", "tokio"),
        ("rivulet-client", "rivulet-core"),
        ("rivulet-loadtest", "rivulet-broker"),
        ("rivulet-broker", "rivulet-tests"),
    ] {
        let mut planted = dependencies.clone();
        planted.get_mut(package).unwrap().insert(name.to_owned());
        let faults = manifests::arrows_point_as_drawn(&planted);
        assert_eq!(faults, [Fault(format!("{package} must not depend on {name}"))]);
    }
}

#[test]
fn versions_stand_in_the_root_alone() {
    let metadata = manifests::metadata();
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        faults.extend(manifests::versions_stand_in_the_root(package.manifest_path.as_str(), &manifest));
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    faults.extend(manifests::no_version_is_a_wildcard("Cargo.toml", &manifest));
    assert_none(&faults);

    let planted = "[dependencies]\nbytes.workspace = true\nserde = { version = \"1\", features = [] }\n";
    assert_eq!(manifests::versions_stand_in_the_root("a", planted).len(), 1);
    let planted = "[workspace.dependencies]\nbytes = \"1.12\"\nserde = \"*\"\ntoml = { version = \"1.*\" }\n";
    assert_eq!(manifests::no_version_is_a_wildcard("a", planted).len(), 2);
}

#[test]
fn the_core_repeats_the_lints_of_the_root() {
    let root_text = fs::read_to_string(root().join("clippy.toml")).unwrap();
    let core = fs::read_to_string(root().join("broker/core/clippy.toml")).unwrap();
    assert_none(&manifests::core_repeats_the_lints_of_the_root(&root_text, &core));
    let without =
        core.replace("std::time::SystemTime::now", "gone").replace("threshold = 70", "threshold = 90");
    assert_eq!(manifests::core_repeats_the_lints_of_the_root(&root_text, &without).len(), 2);
}

#[test]
fn files_that_the_architecture_names_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let missing = |text: &str| -> Vec<Fault> {
        let gone = named_paths(text).filter(|path| !root().join(path).exists());
        gone.map(|path| Fault(format!("ARCHITECTURE.md names {path}, which does not exist"))).collect()
    };
    assert_none(&missing(&text));
    assert_eq!(missing("see `broker/src/nowhere.rs` and `protocol/src/lib.rs`").len(), 1);
}

/// What stands in backquotes and looks like a file or folder of ours.
fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| {
        let is_path = word.ends_with('/') || [".rs", ".toml", ".md"].iter().any(|end| word.ends_with(end));
        is_path && !word.contains([' ', '*', '<', '{', '\n'])
    })
}
