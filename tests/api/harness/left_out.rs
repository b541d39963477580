//! What a run leaves out, for the list that `tests/run` prints: a test that can do nothing here has not passed.

use std::io::Write as _;

/// Notes that the test that asks does nothing, and why.
pub fn left_out(reason: &str) {
    let Ok(path) = std::env::var("QUARTET_TEST_LEFT_OUT") else { return };
    let line = format!("{}: {reason}\n", std::thread::current().name().unwrap_or("?"));
    if let Ok(mut file) = std::fs::File::options().append(true).create(true).open(path) {
        let _ = file.write_all(line.as_bytes());
    }
}
