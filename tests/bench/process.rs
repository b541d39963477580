//! Servers as processes of their own, what they cost and how much memory they hold.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// A server that runs until this is dropped, or this program ends.
pub struct Server {
    child: Child,
    pub listen: SocketAddr,
    pub data: PathBuf,
}

impl Server {
    /// This program again, as a role of Quartet with a temporary installation.
    pub fn quartet<S: AsRef<str>>(arguments: &[S]) -> anyhow::Result<Server> {
        let arguments = arguments.iter().map(AsRef::as_ref).chain(["--ephemeral", "--exit-with-stdin"]);
        Server::start(own(crate::QUARTET, arguments)?)
    }

    /// This program again, as the bare echo.
    pub fn echo() -> anyhow::Result<Server> {
        Server::start(own(crate::ECHO, [])?)
    }

    fn start(mut command: Command) -> anyhow::Result<Server> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("no log")?;
        std::thread::spawn(move || complaints(BufReader::new(stderr)));
        let mut stdout = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let Ok(said) = serde_json::from_str::<serde_json::Value>(&line) else {
            let _ = child.kill();
            bail!("a server did not start: {line:?}, {:?}", child.wait());
        };
        let text = |name: &str| said.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let listen = text("listen").parse().context("a server does not say where it listens")?;
        // Nobody reads on: what a server prints later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(Server { child, listen, data: text("data").into() })
    }

    pub fn meter(&self) -> Meter {
        Meter::of(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        for _ in 0..200 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on what a server complains of.
fn complaints(log: impl std::io::BufRead) {
    for line in log.lines().map_while(Result::ok).filter(|line| !line.contains("\"level\":\"INFO\"")) {
        eprintln!("{line}");
    }
}

/// Runs a command of Quartet to its end.
pub fn quartet<S: AsRef<str>>(arguments: &[S]) -> anyhow::Result<Output> {
    let mut command = own(crate::QUARTET, arguments.iter().map(AsRef::as_ref))?;
    let output = command.stdin(Stdio::null()).output()?;
    let words = || arguments.iter().take(3).map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    ensure!(output.status.success(), "`{}`: {}", words(), String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

/// This program with other arguments, without the settings that may stand in the environment.
pub fn own<'a>(role: &str, arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("QUARTET_")) {
        command.env_remove(name);
    }
    command.arg(role).args(arguments);
    Ok(command)
}

/// Another user to be, for a program that refuses to be root.
#[derive(Clone, Copy)]
pub struct User {
    pub id: u32,
    pub group: u32,
}

impl User {
    /// What `setpriv` needs to be told.
    pub fn flags(&self) -> [String; 3] {
        [format!("--reuid={}", self.id), format!("--regid={}", self.group), "--clear-groups".to_owned()]
    }
}

/// A foreign server that ends with this program, run in the foreground.
pub struct Foreign(Child);

impl Foreign {
    /// Starts `program` as `user`, or as ourselves.
    pub fn start<S: AsRef<OsStr>>(user: Option<User>, program: &str, arguments: &[S]) -> anyhow::Result<Foreign> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        command.args(user.iter().flat_map(User::flags));
        command.arg("--").arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Foreign(command.spawn().with_context(|| format!("can't start {program}"))?))
    }

    pub fn meter(&self) -> Meter {
        Meter::of(&self.0)
    }

    /// Waits until somebody listens on the port.
    pub fn await_port(&mut self, port: u16) -> anyhow::Result<()> {
        for _ in 0..1000 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("the server for port {port} ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("nobody listens on port {port}")
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // SIGQUIT: what nginx, PostgreSQL and Redis take for "now, and with all your processes".
        if let Some(id) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::QUIT);
        }
        for _ in 0..100 {
            if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads what a process and all that it has started cost.
#[derive(Clone)]
pub struct Meter {
    root: u32,
}

/// A tick of `/proc/PID/stat`: a hundredth of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The fields of `/proc/PID/stat` that count here.
struct Stat {
    id: u32,
    parent: u32,
    /// Its own time and that of its children which have ended.
    ticks: u32,
}

impl Meter {
    pub fn of(child: &Child) -> Meter {
        Meter { root: child.id() }
    }

    /// The time on a processor so far, in user and kernel mode.
    pub fn cpu(&self) -> Duration {
        self.tree().iter().map(|stat| TICK * stat.ticks).sum()
    }

    /// Resident memory of the process alone, in MiB.
    pub fn memory(&self) -> f64 {
        resident(self.root)
    }

    /// Resident memory of the process and all that it has started, in MiB. Shared pages count more than once.
    pub fn memory_of_all(&self) -> f64 {
        self.tree().iter().map(|stat| resident(stat.id)).sum()
    }

    fn tree(&self) -> Vec<Stat> {
        let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let all: Vec<Stat> = ids.filter_map(stat).collect();
        let mut family = vec![self.root];
        let mut known = 0;
        while known < family.len() {
            known = family.len();
            let children = all.iter().filter(|stat| family.contains(&stat.parent) && !family.contains(&stat.id));
            let children: Vec<u32> = children.map(|stat| stat.id).collect();
            family.extend(children);
        }
        all.into_iter().filter(|stat| family.contains(&stat.id)).collect()
    }
}

fn stat(id: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in parentheses, with whatever the program has put there.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let field = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
    Some(Stat { id, parent: field(1)?, ticks: field(11)? + field(12)? + field(13)? + field(14)? })
}

fn resident(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
