//! The data directory, and the end of the server that has it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::prelude::*;
use crate::harness::{quartet, quartet_command};

/// A server that ends with the test.
pub struct Server(Child);

impl Server {
    /// Starts everything in one process on a data directory, and waits until commands can reach it.
    pub async fn start(data: &Path) -> Server {
        let arguments = ["--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0", "--identity-bcrypt-cost", "4"];
        let mut command = quartet_command(&arguments);
        let server = Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let socket = data.join("quartet.sock");
        eventually("the socket is there", async || std::os::unix::net::UnixStream::connect(&socket).ok()).await;
        server
    }

    /// Tells it to end and gives its exit code.
    pub async fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
        eventually("it ends", async || self.0.try_wait().unwrap()).await.code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn s60_what_a_server_writes_is_for_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data).await;
    assert_eq!(mode(&data), 0o700);
    for name in ["master.key", "identity.db", "catalogue.db", "quartet.sock", "lock"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&data.join("mail")), 0o700);
    drop(server);

    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = data.to_str().unwrap().to_owned();
    let refused =
        tokio::task::spawn_blocking(move || quartet(&["--data", &path, "--listen", "127.0.0.1:0"])).await.unwrap();
    assert_eq!(refused.status.code(), Some(1), "others could have written into it: {refused:?}");
}

#[tokio::test]
async fn f12_a_server_that_is_told_to_end_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&data).await;
        assert_eq!(server.end(signal).await, Some(0));
        assert!(!data.join("quartet.sock").exists());
    }
}

#[tokio::test]
async fn f23_a_second_server_is_told_which_process_has_which_directory() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data).await;
    let path = data.to_str().unwrap().to_owned();
    let refused =
        tokio::task::spawn_blocking(move || quartet(&["--data", &path, "--listen", "127.0.0.1:0"])).await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let process = std::fs::read_to_string(data.join("lock")).unwrap();
    let expected = format!("the process {process} holds the data directory {}", data.canonicalize().unwrap().display());
    assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
    assert_eq!(server.end(Signal::TERM).await, Some(0));
}
