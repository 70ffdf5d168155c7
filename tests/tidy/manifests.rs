//! Rules over the manifests: who may depend on whom, and where versions stand.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::source::{Fault, root};

/// What a package may depend on, tests and build aside.
pub(crate) enum Allowed {
    /// These and nothing else.
    Only(&'static [&'static str]),
    /// Of the workspace's packages these; and whatever it needs of others, but not those in the second list.
    OfOurs(&'static [&'static str], &'static [&'static str]),
}

/// Sockets and TLS.
const NETWORK: &[&str] = &["tokio", "quinn", "rustls", "tokio-rustls", "socket2"];

/// Every package of the workspace, with its arrows.
pub(crate) const ARROWS: [(&str, Allowed); 8] = [
    ("rivulet-protocol", Allowed::Only(&["bytes", "bytestring", "thiserror"])),
    ("rivulet-core", Allowed::Only(&["rivulet-protocol", "bytes", "bytestring", "thiserror", "oorandom"])),
    ("rivulet-storage", Allowed::OfOurs(&["rivulet-protocol", "rivulet-core"], NETWORK)),
    ("rivulet-certs", Allowed::OfOurs(&[], &["tokio", "quinn"])),
    // A mistake that client and broker share would hide itself: neither may reach the core.
    ("rivulet-client", Allowed::OfOurs(&["rivulet-protocol"], &[])),
    ("rivulet-loadtest", Allowed::OfOurs(&["rivulet-protocol", "rivulet-client", "rivulet-certs"], &[])),
    (
        "rivulet-broker",
        Allowed::OfOurs(
            &[
                "rivulet-protocol",
                "rivulet-core",
                "rivulet-storage",
                "rivulet-certs",
                "rivulet-client",
                "rivulet-loadtest",
            ],
            &[],
        ),
    ),
    (
        "rivulet-tests",
        Allowed::OfOurs(
            &[
                "rivulet-protocol",
                "rivulet-core",
                "rivulet-storage",
                "rivulet-certs",
                "rivulet-client",
                "rivulet-loadtest",
                "rivulet-broker",
            ],
            &[],
        ),
    ),
];

/// Package to what it depends on; what its tests need is left out.
pub(crate) type Dependencies = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

pub(crate) fn dependencies(metadata: &Metadata) -> Dependencies {
    let of = |package: &cargo_metadata::Package| {
        let normal =
            package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        normal.map(|dependency| dependency.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), of(package))).collect()
}

pub(crate) fn arrows_point_as_drawn(dependencies: &Dependencies) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (package, depends_on) in dependencies {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == package) else {
            faults.push(Fault(format!("{package} has no arrows in the tidy test")));
            continue;
        };
        for name in depends_on {
            let is_ours = dependencies.contains_key(name);
            let is_allowed = match allowed {
                Allowed::Only(names) => names.contains(&name.as_str()),
                Allowed::OfOurs(ours, banned) => {
                    if is_ours {
                        ours.contains(&name.as_str())
                    } else {
                        !banned.contains(&name.as_str())
                    }
                }
            };
            if !is_allowed {
                faults.push(Fault(format!("{package} must not depend on {name}")));
            }
        }
    }
    faults
}

/// In a member's manifest, dependencies without `workspace = true`: versions stand in the root alone.
pub(crate) fn versions_stand_in_the_root(path: &str, manifest: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (section, line) in dependency_lines(manifest) {
        if !line.contains("workspace = true") {
            faults.push(Fault(format!("{path}: [{section}] {line}: say `workspace = true`")));
        }
    }
    faults
}

/// In the root's manifest, dependencies that take any version.
pub(crate) fn no_version_is_a_wildcard(path: &str, manifest: &str) -> Vec<Fault> {
    let wild = dependency_lines(manifest).filter(|(_, line)| line.contains("\"*\"") || line.contains(".*\""));
    wild.map(|(section, line)| Fault(format!("{path}: [{section}] {line}: a wildcard is no version")))
        .collect()
}

fn dependency_lines(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut section = "";
    manifest.lines().map(str::trim).filter_map(move |line| {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            return None;
        }
        let is_dependency = section.ends_with("dependencies") && line.contains('=') && !line.starts_with('#');
        is_dependency.then_some((section, line))
    })
}

/// Entries of the root's `clippy.toml` that the core's does not repeat: clippy reads the nearest file alone.
///
/// What a package bans must exist for it: the core has no tokio, and needs no ban of it.
pub(crate) fn core_repeats_the_lints_of_the_root(root: &str, core: &str) -> Vec<Fault> {
    let entry = |line: &str| {
        let path = line.split("path = \"").nth(1).and_then(|rest| rest.split('"').next());
        path.map_or_else(|| line.trim().to_owned(), str::to_owned)
    };
    let entries = root.lines().filter(|line| line.contains('=') && !line.trim_end().ends_with('['));
    let entries = entries.map(entry).filter(|entry| !entry.starts_with("tokio::"));
    let repeated: BTreeSet<_> = core.lines().map(entry).collect();
    entries
        .filter(|entry| !repeated.contains(entry))
        .map(|entry| Fault(format!("broker/core/clippy.toml does not repeat {entry}")))
        .collect()
}
