//! Every requirement that is said to be met has a test that bears its number.

use std::path::Path;

use crate::harness::repository;

const SHOWN: [&str; 58] = [
    "i1", "i2", "i3", "i4", "i5", "i8", "i9", "i11", "i12", "i13", "i14", "i24", "i25", "k1", "k2", "k3", "x1", "x2",
    "x3", "x6", "x7", "x8", "x9", "x10", "x11", "s02", "s11", "s20", "s21", "s23", "s24", "s25", "s26", "s27", "s31",
    "s37", "f04", "f06", "f12", "f19", "f22", "f23", "s06", "s40", "s45", "s56", "s61", "s08", "i26",
    "i16", "s15", "i22", "x12", "s32", "s33", "s34", "s58", "s59",
];

fn collect(folder: &Path, text: &mut String) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_requirement_has_a_test_with_its_number() {
    let mut text = String::new();
    for folder in ["tests/api", "services", "gateway/src", "deploy/quartet/src"] {
        collect(&repository(folder), &mut text);
    }
    let names: Vec<&str> =
        text.split("fn ").filter_map(|rest| rest.split(['(', '<']).next()).filter(|name| name.contains('_')).collect();
    for number in SHOWN {
        let shown = names.iter().any(|name| name.split('_').any(|part| part == number));
        assert!(shown, "no test bears the number {number}");
    }
}
