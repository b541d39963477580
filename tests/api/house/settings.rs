//! Every setting is documented.

use std::path::{Path, PathBuf};

use crate::harness::{quartet, repository};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of the settings, as the sources have them: `env = "QUARTET_…"`.
fn settings() -> Vec<String> {
    let mut files = Vec::new();
    for folder in ["services", "gateway/src", "deploy/quartet/src"] {
        sources(&repository(folder), &mut files);
    }
    let mut names = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let values = text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
        names.extend(values.filter(|name| name.starts_with("QUARTET_")).map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names
}

#[test]
fn i25_every_setting_is_in_the_help_with_a_sentence_about_it() {
    let help = quartet(&["--help"]);
    assert!(help.status.success(), "{help:?}");
    let settings = settings();
    assert!(settings.len() > 10, "{settings:?}");
    // An entry begins with its flag and reaches to the next one.
    let entries: Vec<&str> = help.stdout.split("\n      --").collect();
    for setting in settings {
        let named = [format!("[env: {setting}="), format!("[env: {setting}]")];
        let entry = entries.iter().find(|entry| named.iter().any(|name| entry.contains(name)));
        let entry = entry.unwrap_or_else(|| panic!("`{setting}` is not in `quartet --help`"));
        let sentence: String = entry.lines().skip(1).map(str::trim).take_while(|line| !line.starts_with('[')).collect();
        assert!(sentence.len() > 15, "`{setting}` has no sentence: {entry}");
    }
}
