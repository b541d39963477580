//! A Redis of a test's own: down, hung or emptied as the test likes.

use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::process::free_port;

/// A Redis server. It ends when this is dropped, and when the tests are killed.
pub struct Redis {
    pub port: u16,
    keeper: Mutex<Option<Child>>,
    frozen: Mutex<Option<i32>>,
}

impl Redis {
    pub async fn start() -> Redis {
        let redis = Redis { port: free_port(), keeper: Mutex::default(), frozen: Mutex::default() };
        redis.restart().await;
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts the server again, empty.
    pub async fn restart(&self) {
        let program = std::env::var("QUARTET_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        // The shell ends the server when its own standard input ends, however these tests end.
        let script = "\"$0\" --port \"$1\" --bind 127.0.0.1 --save '' --appendonly no & server=$!; \
                      trap '' TERM; cat; kill -CONT $server; kill -KILL $server; wait";
        let keeper = Command::new("sh")
            .args(["-c", script, &program, &self.port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.keeper.lock().unwrap() = Some(keeper);
        super::eventually("Redis answers", async || self.command("PING").await).await;
    }

    /// Ends the server.
    pub fn stop(&self) {
        if let Some(mut keeper) = self.keeper.lock().unwrap().take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }

    /// Stops the server's process without ending it: connections stay open and nobody answers.
    pub async fn freeze(&self) {
        let answer = self.command("INFO server").await.unwrap();
        let id = answer.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::STOP).unwrap();
        *self.frozen.lock().unwrap() = Some(id);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        if let Some(id) = self.frozen.lock().unwrap().take() {
            kill_process(Pid::from_raw(id).unwrap(), Signal::CONT).unwrap();
        }
    }

    /// Runs a command such as `FLUSHALL`, and answers the text of the reply.
    pub async fn command(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.thaw();
        self.stop();
    }
}
