//! Both databases of a service go through the same migrations.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::repository;

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn both_migration_trees_of_a_service_are_in_step() {
    let mut checked = 0;
    for service in names(&repository("services")) {
        let migrations = repository("services").join(&service).join("migrations");
        if !migrations.is_dir() {
            continue;
        }
        let (postgres, sqlite) = (migrations.join("postgres"), migrations.join("sqlite"));
        assert_eq!(names(&postgres), names(&sqlite), "{service}");
        for name in names(&postgres) {
            for file in ["up.sql", "down.sql"] {
                for tree in [&postgres, &sqlite] {
                    let path = tree.join(&name).join(file);
                    let text =
                        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    assert!(!text.trim().is_empty(), "{} is empty", path.display());
                    // Times come from the chassis clock, which tests move.
                    let text = text.to_lowercase();
                    assert!(!text.contains("now()") && !text.contains("current_timestamp"), "{}", path.display());
                }
            }
            checked += 1;
        }
    }
    assert!(checked >= 4, "identity, the catalogue, media and messaging have migrations");
}
