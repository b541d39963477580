//! Every requirement that is said to be met has a test that bears its number.

use std::path::Path;

use crate::harness::repository;

const SHOWN: [&str; 130] = [
    "f01", "f02", "f04", "f06", "f07", "f11", "f12", "f15", "f17", "f19", "f22", "f23", "i1", "i2", "i3", "i4", "i5",
    "i8", "i9", "i10", "i11", "i12", "i13", "i14", "i15", "i16", "i17", "i18", "i19", "i20", "i22", "i24", "i25",
    "i26", "k1", "k2", "k3", "s01", "s02", "s03", "s04", "s05", "s06", "s07", "s08", "s09", "s10", "s11", "s12", "s13",
    "s14", "s15", "s20", "s21", "s22", "s23", "s24", "s25", "s26", "s27", "s28", "s29", "s31", "s32", "s33", "s34",
    "s35", "s36", "s37", "s39", "s40", "s42", "s45", "s56", "s57", "s58", "s59", "s60", "s61", "s62", "x1", "x2", "x3",
    "x4", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x15", "x19", "k7", "k8", "k9", "x20", "f20", "f21", "g1", "g2",
    "g3", "g4", "g5", "g6", "g7", "g8", "g9", "g10", "g11", "g12", "g13", "g14", "i21", "m1", "m2", "m3", "m4", "m5",
    "m6", "m7", "m8", "m9", "s44", "s49", "s50", "s51", "s55", "x17", "x18",
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
