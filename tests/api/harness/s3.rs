//! An S3 server of a test's own, as a process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::process::BEGIN;
use super::s3_server::unfinished;

/// Names the folder to a process that is to be an S3 server.
pub const FOLDER: &str = "TESTED_S3_FOLDER";
pub const KEY_ID: &str = "AKIATESTSTESTSTESTS0";
pub const SECRET_KEY: &str = "a-secret-that-no-log-may-have/0123456789";
/// The one bucket.
pub const BUCKET: &str = "media";

/// An S3 server with an empty bucket. It ends when this is dropped, and when the tests are killed.
pub struct S3 {
    pub address: SocketAddr,
    folder: tempfile::TempDir,
    server: Mutex<Child>,
}

impl S3 {
    pub async fn start() -> S3 {
        tokio::task::spawn_blocking(S3::spawn).await.unwrap()
    }

    fn spawn() -> S3 {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut server = Command::new("/proc/self/exe")
            .args(["--exact", "harness::s3_server::a_process_that_speaks_s3", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(server.stdout.take().unwrap());
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.split_once(BEGIN)?.1.parse().ok()).expect("no S3 server");
        S3 { address, folder, server: Mutex::new(server) }
    }

    /// What media has to know of the server.
    pub fn flags(&self) -> Vec<String> {
        flags(self.address)
    }

    /// The objects that are there, by their names, with their lengths.
    pub fn objects(&self) -> Vec<(String, u64)> {
        let bucket = self.folder.path().join(BUCKET);
        let mut found = Vec::new();
        let mut folders = vec![bucket.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                // What is being removed may be gone by now.
                let Ok(meta) = entry.metadata() else { continue };
                if meta.is_dir() {
                    folders.push(entry.path());
                } else {
                    let name = entry.path().strip_prefix(&bucket).unwrap().to_str().unwrap().to_owned();
                    found.push((name, meta.len()));
                }
            }
        }
        found.sort();
        found
    }

    /// The keys under which something was begun and neither finished nor given up.
    pub fn unfinished(&self) -> Vec<String> {
        unfinished(self.folder.path(), BUCKET).into_iter().map(|(key, _)| key).collect()
    }

    /// Where an object's bytes are.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(name)
    }
}

/// What media has to know of a server at this address, or of what stands before it.
pub fn flags(address: SocketAddr) -> Vec<String> {
    let endpoint = format!("http://{address}");
    let flags = [
        ("--media-store", "s3"),
        ("--media-s3-bucket", BUCKET),
        ("--media-s3-endpoint", &endpoint),
        ("--media-s3-access-key-id", KEY_ID),
        ("--media-s3-secret-access-key", SECRET_KEY),
    ];
    flags.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]).collect()
}

impl Drop for S3 {
    fn drop(&mut self) {
        let server = self.server.get_mut().unwrap();
        drop(server.stdin.take());
        let _ = server.kill();
        let _ = server.wait();
    }
}
