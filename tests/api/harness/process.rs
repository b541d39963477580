//! The executable as a process of its own: this very binary, run again as `harness::role`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::installation::Started;

/// Names the arguments to a process that is to be the executable. Not `QUARTET_…`: those are settings of the executable.
pub const ARGUMENTS: &str = "TESTED_EXECUTABLE_ARGUMENTS";
/// Between two arguments.
pub const SEPARATOR: char = '\u{1f}';
/// Written before the first output of the executable, after what the test runner has to say.
pub const BEGIN: &str = "\u{1e}";

/// A command that runs the executable with these arguments, without the settings of this process's environment.
pub fn quartet_command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let list: Vec<String> = arguments.iter().map(|argument| argument.as_ref().to_str().unwrap().to_owned()).collect();
    // By this name it is there even when a new build has taken its place.
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "harness::role::a_process_of_the_installation", "--nocapture", "--test-threads=1"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUARTET_")) {
        command.env_remove(name);
    }
    command.env(ARGUMENTS, list.join(&SEPARATOR.to_string()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a command of the executable has printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the executable to its end.
pub fn quartet<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    let output = quartet_command(arguments).stdin(Stdio::null()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stdout = stdout.split_once(BEGIN).map(|(_, own)| own.to_owned()).unwrap_or(stdout);
    Output { status: output.status, stdout, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// A role that runs. It ends when this is dropped, and also when the tests are killed: it watches its standard input.
pub struct Process {
    pub started: Started,
    pub log: Log,
    /// What it has written to its standard output.
    pub output: Log,
    child: Child,
    arguments: Vec<String>,
}

impl Process {
    /// Starts a role and waits for the line that says where it listens.
    pub async fn start(arguments: &[String]) -> Process {
        let arguments = arguments.to_vec();
        tokio::task::spawn_blocking(move || Process::spawn(&arguments).ready()).await.unwrap()
    }

    /// Starts a role without waiting for it.
    pub fn spawn(arguments: &[String]) -> Starting {
        let mut arguments = arguments.to_vec();
        if !arguments.iter().any(|argument| argument == "--listen") {
            // A place that is still its own when it is started again.
            arguments.extend(["--listen".to_owned(), format!("127.0.0.1:{}", free_port())]);
        }
        let mut child = quartet_command(&arguments).spawn().unwrap();
        let log = Log::keep(child.stderr.take().unwrap());
        let stdout = child.stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        let output = Log::default();
        let kept = output.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                kept.push(&line);
                if let Some(started) = line.find('{').and_then(|at| parse(&line[at..])) {
                    let _ = tell.send(started);
                }
            }
        });
        Starting { child, told, log, output, arguments }
    }

    /// Starts it again when it has ended: by the same command, at the same place. Waits until it can serve.
    pub async fn restart(&mut self) {
        *self = Process::start(&self.arguments).await;
        self.can_serve().await;
    }

    /// Waits until it can serve, for which it also has to know what is revoked.
    pub async fn can_serve(&self) {
        super::eventually("a role is ready", async || {
            let answer = super::wire::try_send(self.started.admin, "GET", "/readyz", &[], b"").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, which must be that of a crash.
    pub async fn crashed(&mut self) {
        let status = self.ended(Duration::from_secs(30)).await.expect("it has not ended");
        assert!(!status.success(), "{status:?}");
    }

    /// Kills it wherever it is.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.crashed().await;
    }

    /// Waits for the end, for `limit` at most.
    pub async fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            let status = self.child.try_wait().unwrap();
            if status.is_some() || start.elapsed() >= limit {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many files the process has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }
}

impl Drop for Process {
    /// Takes along the temporary directory, which a process that is killed leaves behind.
    fn drop(&mut self) {
        end(&mut self.child);
        if !self.arguments.iter().any(|argument| argument == "--keep") {
            let _ = std::fs::remove_dir_all(&self.started.data);
        }
    }
}

/// What a process tells of itself to whoever runs it.
pub struct Traces {
    /// Its standard error: the log.
    pub log: String,
    pub output: String,
    /// What other users of the machine see.
    pub arguments: String,
}

impl Traces {
    pub fn of(process: &Process) -> Traces {
        let arguments = std::fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        Traces { log: process.log.text(), output: process.output.text(), arguments }
    }
}

/// A role that has not said yet where it listens.
pub struct Starting {
    child: Child,
    told: mpsc::Receiver<Started>,
    log: Log,
    output: Log,
    arguments: Vec<String>,
}

impl Starting {
    /// Waits for the line that says where it listens.
    pub fn ready(self) -> Process {
        let Starting { mut child, told, log, output, arguments } = self;
        match told.recv_timeout(Duration::from_secs(120)) {
            Ok(started) => Process { started, log, output, child, arguments },
            Err(_) => {
                let status = child.try_wait().unwrap();
                end(&mut child);
                panic!("a role does not start ({status:?}): {}", log.text());
            }
        }
    }
}

/// Ends a process that we started: by its standard input's end, and by force if it had been stopped or does not listen.
fn end(child: &mut Child) {
    drop(child.stdin.take());
    let _ = kill_process(Pid::from_child(child), Signal::CONT);
    let _ = child.kill();
    let _ = child.wait();
}

/// What a process has written to its standard error, the first part of it.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    const KEPT: usize = 64 * 1024 * 1024;

    /// Reads along, into a file too where `QUARTET_TEST_LOGS` names a folder.
    fn keep(stderr: ChildStderr) -> Log {
        let log = Log::default();
        let kept = log.clone();
        let file = std::env::var("QUARTET_TEST_LOGS").map(|folder| format!("{folder}/{}.log", super::unique()));
        let mut file = file.ok().and_then(|path| File::create(path).ok());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(file) = &mut file {
                    let _ = writeln!(file, "{line}");
                }
                kept.push(&line);
            }
        });
        log
    }

    fn push(&self, line: &str) {
        let mut text = self.0.lock().unwrap();
        if text.len() < Log::KEPT {
            text.push_str(line);
            text.push('\n');
        }
    }

    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

fn parse(line: &str) -> Option<Started> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line.get(name)?.as_str()?.parse().ok();
    Some(Started {
        listen: address("listen")?,
        control: address("control")?,
        admin: address("admin")?,
        data: line.get("data").and_then(Value::as_str).unwrap_or_default().into(),
    })
}

/// A port that is nobody else's, also while whoever listens there is away for a moment. It is below those that the system hands out to
/// connections and to whoever asks for any port, and no other test of this run gets it.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 10_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Runs beside this one begin elsewhere.
    let begin = std::process::id().wrapping_mul(331);
    let next = || FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let mut ports = (0..COUNT).map(|_| u16::try_from(next()).unwrap());
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("no port is free")
}
