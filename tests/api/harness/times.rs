//! How long each test took, for the list of the slowest that `tests/run` prints.

use std::io::Write as _;
use std::time::Instant;

/// Measures the test that it was made in, from then until it is dropped.
pub struct Stopwatch {
    start: Instant,
    test: String,
}

impl Stopwatch {
    pub fn start() -> Stopwatch {
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        Stopwatch { start: Instant::now(), test }
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let Ok(path) = std::env::var("QUARTET_TEST_TIMES") else { return };
        let line = format!("{:>8} ms  {}\n", self.start.elapsed().as_millis(), self.test);
        if let Ok(mut file) = std::fs::File::options().append(true).create(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}
