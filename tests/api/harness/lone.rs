//! A process that is meant to end in the middle and to be started again on the same data: identity alone on PostgreSQL, or everything on
//! SQLite.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quartet_proto::control::v1::control_service_client::ControlServiceClient;
use quartet_proto::control::v1::{Fault, MoveClockRequest, SetFaultRequest};
use rustix::process::Signal;
use tokio::sync::Mutex;

use super::fleet::{FLEET_SECRET, Grounds};
use super::installation::{Mode, Started};
use super::postgres::Postgres;
use super::process::{Process, Traces};
use super::world::channel;

/// As long as a worker of an outbox may be at a job (`LEASE` in the chassis), and a little more.
const LEASE: Duration = Duration::from_secs(61);

/// The process, and what is left of it when it has ended.
pub struct Lone {
    listen: SocketAddr,
    process: Mutex<Process>,
    started: std::sync::Mutex<Started>,
    pub grounds: Option<Grounds>,
    place: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Lone {
    pub async fn start(flags: &[&str]) -> Lone {
        let folder = tempfile::tempdir().unwrap();
        let lone = Lone::start_in(folder.path(), flags).await;
        Lone { _folder: Some(folder), ..lone }
    }

    /// One with its data in `data` of this folder, where they may have been before and stay.
    pub async fn start_in(place: &Path, flags: &[&str]) -> Lone {
        let mut arguments = Vec::new();
        let mut grounds = None;
        match Mode::of_this_run() {
            Mode::Embedded => {
                let keep = place.join("data").to_str().unwrap().to_owned();
                arguments.extend(["--ephemeral", "--exit-with-stdin", "--keep", &keep].map(str::to_owned));
                arguments.extend(["--fleet-secret", FLEET_SECRET].map(str::to_owned));
                arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
            }
            Mode::Fleet => {
                let made = Grounds::make(Postgres::of_this_run(), flags).await;
                made.migrate().await;
                arguments = made.role("identity", &[]);
                grounds = Some(made);
            }
        }
        let process = Process::start(&arguments).await;
        process.can_serve().await;
        let listen = process.started.listen;
        let started = process.started.clone().into();
        Lone { listen, process: process.into(), started, grounds, place: place.to_owned(), _folder: None }
    }

    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The data directory, where everything is in the process.
    pub fn data(&self) -> Option<PathBuf> {
        self.grounds.is_none().then(|| self.place.join("data"))
    }

    pub fn started(&self) -> Started {
        self.started.lock().unwrap().clone()
    }

    /// The process's number, which changes when it is started again.
    pub async fn id(&self) -> u32 {
        self.process.lock().await.id()
    }

    /// What the process tells of itself.
    pub async fn traces(&self) -> Traces {
        Traces::of(&*self.process.lock().await)
    }

    /// Makes the process end at a commit in the next call of `rpc` (in any when that is empty), or at another point of a crash.
    pub async fn aim(&self, fault: Fault, rpc: &str, skip: i32) {
        let asked = SetFaultRequest { fault: fault.into(), failing: true, rpc: rpc.to_owned(), skip };
        self.control().set_fault(asked).await.expect("the fault can't be set");
    }

    /// Waits for the end, which must be that of a crash, and starts the process again.
    pub async fn revive(&self) {
        let mut process = self.process.lock().await;
        process.crashed().await;
        process.restart().await;
        *self.started.lock().unwrap() = process.started.clone();
    }

    /// Stops the process wherever it is, without ending it, until [`go_on`](Self::go_on).
    pub async fn halt(&self) {
        let process = self.process.lock().await;
        process.signal(Signal::STOP);
        let threads = format!("/proc/{}/task", process.id());
        super::eventually("every thread has stopped", async || {
            let states = std::fs::read_dir(&threads).unwrap().flatten();
            let mut states = states.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
            states.all(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))).then_some(())
        })
        .await;
    }

    pub async fn go_on(&self) {
        self.process.lock().await.signal(Signal::CONT);
    }

    /// Kills the process wherever it is, and starts it again.
    pub async fn kill(&self) {
        self.process.lock().await.signal(Signal::KILL);
        self.revive().await;
    }

    /// Lets the leases end that a process which is no more had on jobs.
    pub async fn outlive_leases(&self) {
        let step = MoveClockRequest { offset_milliseconds: LEASE.as_millis() as i64 };
        self.control().move_clock(step).await.expect("the clock does not move");
    }

    fn control(&self) -> ControlServiceClient<tonic::transport::Channel> {
        ControlServiceClient::new(channel(self.started().control))
    }
}
