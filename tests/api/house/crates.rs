//! Dependencies between crates go one way.

use std::collections::BTreeMap;
use std::process::Command;

use crate::harness::repository;

/// Which of our crates each crate may use.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("quartet-proto", &[]),
    ("quartet-chassis", &["quartet-proto"]),
    ("quartet-identity", &["quartet-proto", "quartet-chassis"]),
    ("quartet-catalogue", &["quartet-proto", "quartet-chassis"]),
    ("quartet-media", &["quartet-proto", "quartet-chassis"]),
    ("quartet-messaging", &["quartet-proto", "quartet-chassis"]),
    ("quartet-gateway", &["quartet-proto", "quartet-chassis"]),
    (
        "quartet",
        &[
            "quartet-proto",
            "quartet-chassis",
            "quartet-identity",
            "quartet-catalogue",
            "quartet-media",
            "quartet-messaging",
            "quartet-gateway",
        ],
    ),
    ("quartet-tests", &["quartet-proto", "quartet-chassis", "quartet"]),
];

#[test]
fn a_service_never_depends_on_another_service() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"]);
    let output = command.arg(repository("Cargo.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let names = dependencies.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
        let ours = names.filter(|name| name == "quartet" || name.starts_with("quartet-")).collect();
        used.insert(package["name"].as_str().unwrap().to_owned(), ours);
    }
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    for (name, dependencies) in used {
        let allowed = may_use.get(name.as_str()).unwrap_or_else(|| panic!("`{name}` is new: say what it may use"));
        for dependency in dependencies {
            assert!(allowed.contains(&dependency.as_str()), "`{name}` must not depend on `{dependency}`");
        }
    }
}
