//! An installation in this process, on a runtime and a thread of its own.

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::fleet::FLEET_SECRET;
use super::installation::Started;

/// A running installation. It is stopped, and its data directory gone, when this is dropped.
pub struct Embedded {
    pub started: Started,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    reaper: Option<Child>,
}

impl Embedded {
    pub async fn start(flags: &[&str]) -> Embedded {
        let mut args: Vec<OsString> =
            vec!["quartet".into(), "--ephemeral".into(), "--fleet-secret".into(), FLEET_SECRET.into()];
        args.extend(flags.iter().map(OsString::from));
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || run(args, tell, stopped));
        let started = told.await.expect("the installation's thread is gone").expect("the installation does not start");
        // The process may end without dropping anything: the directory goes when the pipe closes.
        let reaper = Command::new("sh")
            .args(["-c", "cat; rm -rf -- \"$0\""])
            .arg(&started.data)
            .stdin(Stdio::piped())
            .spawn()
            .expect("no sh");
        Embedded { started, stop: Some(stop), thread: Some(thread), reaper: Some(reaper) }
    }
}

type Tell = oneshot::Sender<Result<Started, String>>;

fn run(args: Vec<OsString>, tell: Tell, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = match quartet::settings_from(args) {
            Ok(settings) => settings,
            Err(error) => return drop(tell.send(Err(format!("{error:#}")))),
        };
        let running = match quartet::start(settings).await {
            Ok(running) => running,
            Err(error) => return drop(tell.send(Err(format!("{error:#}")))),
        };
        let started = Started {
            listen: running.listen,
            control: running.control.expect("ephemeral, but no control port"),
            admin: running.admin.expect("ephemeral, but no admin port"),
            data: running.data.clone(),
        };
        let _ = tell.send(Ok(started));
        let _ = stopped.await;
        running.stop().await;
    });
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.stop.take());
        let thread = self.thread.take();
        let reaper = self.reaper.take();
        // Not here: a test's runtime may be waiting on this very thread.
        std::thread::spawn(move || {
            drop(thread.map(JoinHandle::join));
            if let Some(mut reaper) = reaper {
                drop(reaper.stdin.take());
                drop(reaper.wait());
            }
        });
    }
}
