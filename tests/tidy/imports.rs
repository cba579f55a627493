//! Rules on who depends on whom, read from cargo itself.
//!
//! Direct imports and features come from `cargo metadata`. What a pure crate drags in comes from `cargo
//! tree`, which looks at that crate alone: in the whole workspace features are united, and another
//! crate's `uuid/v7` would look like the engine's.

use std::{collections::BTreeMap, process::Command};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand};

use crate::{Finding, sources};

/// The crates that know no I/O, clock or randomness.
pub(crate) const PURE: [&str; 5] =
    ["amends-contract", "amends-definition", "amends-engine", "amends-inbox", "amends-rehearsal"];

/// What none of them may have in its tree, by the beginning of the package's name.
const IMPURE: [&str; 14] = [
    "tokio",
    "mio",
    "async-",
    "sea-orm",
    "sqlx",
    "getrandom",
    "rand",
    "reqwest",
    "hyper",
    "axum",
    "socket2",
    "fastrand",
    "notify",
    "amends-service",
];

const PARTICIPANTS: [&str; 3] = ["amends-inventory", "amends-payment", "amends-notification"];

/// Which of our own crates each may import. Who is not named here may import all (it wires them).
const ALLOWED: [(&str, &[&str]); 19] = [
    ("amends-contract", &[]),
    ("amends-crash", &[]),
    ("amends-definition", &["amends-contract"]),
    ("amends-engine", &["amends-contract", "amends-definition", "amends-planted"]),
    ("amends-inbox", &["amends-contract"]),
    ("amends-planted", &[]),
    ("amends-postgres", &["amends-contract"]),
    ("amends-rehearsal", &["amends-contract", "amends-definition", "amends-engine", "amends-inbox"]),
    ("amends-service", &["amends-contract"]),
    ("amends-broker", &["amends-contract"]),
    (
        "amends-store",
        &["amends-contract", "amends-definition", "amends-engine", "amends-postgres", "amends-service"],
    ),
    (
        "amends-server",
        &[
            "amends-contract",
            "amends-crash",
            "amends-definition",
            "amends-engine",
            "amends-inbox",
            "amends-planted",
            "amends-store",
            "amends-broker",
            "amends-service",
        ],
    ),
    (
        "amends-participant",
        &[
            "amends-contract",
            "amends-crash",
            "amends-inbox",
            "amends-planted",
            "amends-broker",
            "amends-postgres",
            "amends-service",
        ],
    ),
    (PARTICIPANTS[0], OF_A_PARTICIPANT),
    (PARTICIPANTS[1], OF_A_PARTICIPANT),
    (PARTICIPANTS[2], OF_A_PARTICIPANT),
    // It knows all tables and calls no service's code: else it would believe what it is to check.
    (
        "amends-audit",
        &[
            "amends-contract",
            "amends-definition",
            "amends-engine",
            "amends-store",
            "amends-server",
            "amends-broker",
        ],
    ),
    // It looks at what all services stand on, and calls none of them.
    (
        "amends-doctor",
        &[
            "amends-audit",
            "amends-broker",
            "amends-contract",
            "amends-definition",
            "amends-server",
            "amends-service",
            "amends-store",
        ],
    ),
    // It measures processes, and knows no code of those; its own participants stand on the SDK.
    (
        "amends-bench",
        &[
            "amends-audit",
            "amends-broker",
            "amends-contract",
            "amends-participant",
            "amends-service",
            "amends-tests",
        ],
    ),
];
const OF_A_PARTICIPANT: &[&str] =
    &["amends-contract", "amends-broker", "amends-participant", "amends-service"];

/// The client library of NATS, and who may name it: the one crate that speaks to NATS, and the benchmark,
/// whose floor is what the product is held against and so must not stand on the product's own crate.
const CLIENT: (&str, [&str; 2]) = ("async-nats", ["amends-broker", "amends-bench"]);

/// Who imports whom directly: package, then the packages it names, for any purpose.
pub(crate) type Graph = BTreeMap<String, Vec<String>>;

/// The workspace's own packages and all they name.
pub(crate) fn direct() -> Graph {
    let packages = metadata(CargoOpt::SomeFeatures(Vec::new()), true).packages;
    let names = |package: cargo_metadata::Package| {
        let names = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.clone())
            .collect();
        (package.name.to_string(), names)
    };
    packages.into_iter().map(names).collect()
}

/// Breaches of the import rules.
pub(crate) fn forbidden(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (package, imports) in graph {
        let allowed = ALLOWED.iter().find(|(name, _)| name == package).map(|(_, allowed)| *allowed);
        for import in imports {
            let own = import.starts_with("amends-");
            if own && allowed.is_some_and(|allowed| !allowed.contains(&import.as_str())) {
                findings.push(Finding::new(package, format!("may not import {import}")));
            }
            if import == CLIENT.0 && !CLIENT.1.contains(&package.as_str()) {
                let who = CLIENT.1.join(" and ");
                findings.push(Finding::new(package, format!("only {who} may import {import}")));
            }
        }
    }
    findings
}

/// Every package that `package` needs to run, itself included, as `cargo tree` prints it.
pub(crate) fn tree(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(sources::root())
        .args(["tree", "--locked", "--package", package, "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .expect("cargo runs the tests, so it can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The binary that ships.
const SHIPPED: &str = "amends";
/// Features for tests only: planted bugs, and places where a process dies.
const FOR_TESTS: [&str; 2] = ["planted", "crash-points"];

/// Every package of the binary that ships, with the features it is built with.
pub(crate) fn shipped_features() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(sources::root())
        .args(["tree", "--locked", "--package", SHIPPED, "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p} {f}"])
        .output()
        .expect("cargo runs the tests, so it can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    text.lines().map(str::to_owned).collect()
}

/// Packages that are built with planted bugs, or die on demand.
pub(crate) fn planted(features: &[String]) -> Vec<Finding> {
    if !features.iter().any(|line| line.starts_with("amends-planted ")) {
        return vec![Finding::new(SHIPPED, "has no hooks of bugs in its tree: this rule looks at nothing")];
    }
    let has = |line: &&String| line.split([' ', ',']).any(|feature| FOR_TESTS.contains(&feature));
    let what = |line: &String| Finding::new(SHIPPED, format!("ships what is for tests only: {line}"));
    features.iter().filter(has).map(what).collect()
}

/// What of a pure crate's tree could do I/O, read a clock or throw dice.
pub(crate) fn impure_tree(package: &str, tree: &[String]) -> Vec<Finding> {
    let is_impure = |name: &&String| IMPURE.iter().any(|impure| name.starts_with(impure));
    let what = |name: &String| Finding::new(package, format!("has {name} in its tree: it must stay pure"));
    tree.iter().filter(is_impure).map(what).collect()
}

/// The features with which each package is built, united over the workspace.
pub(crate) fn features() -> Graph {
    let metadata = metadata(CargoOpt::AllFeatures, false);
    let resolve = metadata.resolve.as_ref().expect("it was asked for");
    let of = |node: &cargo_metadata::Node| {
        (metadata[&node.id].name.to_string(), node.features.iter().map(ToString::to_string).collect())
    };
    resolve.nodes.iter().map(of).collect()
}

/// `serde_json` with sorted maps: digests and replays depend on it.
pub(crate) fn preserve_order(features: &Graph) -> Vec<Finding> {
    match features.get("serde_json") {
        None => vec![Finding::new("serde_json", "is not in the graph: this rule looks at nothing")],
        Some(features) if features.iter().any(|feature| feature == "preserve_order") => {
            vec![Finding::new("serde_json", "has the feature preserve_order: find who asks for it")]
        }
        Some(_) => Vec::new(),
    }
}

fn metadata(features: CargoOpt, no_deps: bool) -> Metadata {
    let mut command = MetadataCommand::new();
    command.current_dir(sources::root()).features(features).other_options(vec!["--locked".to_owned()]);
    if no_deps {
        command.no_deps();
    }
    command.exec().expect("cargo metadata answers")
}

fn graph(entries: &[(&str, &[&str])]) -> Graph {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    entries.iter().map(|(name, others)| ((*name).to_owned(), owned(others))).collect()
}

#[test]
fn a_forbidden_import_is_found() {
    let ok = [("amends-engine", &["amends-contract", "serde"][..]), ("amends", &["amends-engine"])];
    assert_eq!(forbidden(&graph(&ok)), []);
    for (package, import) in [
        ("amends-engine", "amends-store"),
        ("amends-store", "amends-participant"),
        ("amends-server", "amends-inventory"),
        ("amends-participant", "amends-engine"),
        ("amends-payment", "amends-inventory"),
        ("amends-payment", "amends-definition"),
        ("amends-server", "async-nats"),
        ("amends-audit", "amends-payment"),
        ("amends-doctor", "amends-payment"),
        ("amends", "async-nats"),
    ] {
        assert_eq!(forbidden(&graph(&[(package, &[import])])).len(), 1, "{package} -> {import}");
    }
}

#[test]
fn io_in_a_tree_is_found() {
    let tree =
        ["amends-engine", "serde", "tokio-util", "sea-orm", "async-nats", "rand_core"].map(str::to_owned);
    assert_eq!(impure_tree("amends-engine", &tree).len(), 4);
    assert!(!impure_tree("amends-store", &self::tree("amends-store")).is_empty(), "cargo tree shows nothing");
}

#[test]
fn unsorted_maps_are_found() {
    assert_eq!(preserve_order(&graph(&[("serde_json", &["std"])])), []);
    assert_eq!(preserve_order(&graph(&[("serde_json", &["std", "preserve_order"])])).len(), 1);
    assert_eq!(preserve_order(&graph(&[])).len(), 1);
}

#[test]
fn planted_bugs_are_found() {
    let lines =
        |features: &str| vec![format!("amends-planted v0.1.0 (/x) {features}"), "serde v1 std".to_owned()];
    assert_eq!(planted(&lines("")), []);
    assert_eq!(planted(&lines("default,planted")).len(), 1);
    assert_eq!(planted(&lines("crash-points")).len(), 1);
    assert_eq!(planted(&[]).len(), 1);
}
