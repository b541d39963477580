//! How long it takes to be ready, and how much memory that holds, idle and after load.

use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use quartet_proto::catalogue::v1::ListMoviesRequest;
use quartet_proto::identity::v1::GetMeRequest;

use crate::installation::{self, always, wait};
use crate::load::{Load, Script, run as run_loads};
use crate::movies;
use crate::process::{Meter, free_port, own, quartet};
use crate::report::{Bound, Report, figure, median};
use crate::settings::Settings;

/// The limits stay on, but no load of ours reaches them.
const NO_LIMITS: [&str; 4] = ["--gateway-rate-per-address", "1000000", "--gateway-rate-per-account", "1000000"];

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data").display().to_string();
    let file = folder.path().join("movies.csv").display().to_string();
    std::fs::write(&file, movies::plain(settings)?.csv)?;
    drop(Installed::start(&data)?);
    installation::create_administrator(&["--data", &data])?;
    quartet(&["import", "movies", &file, "--data", &data])?;

    let (mut ready, mut idle) = (vec![], vec![]);
    for _ in 0..settings.rounds.max(2) {
        let installed = Installed::start(&data)?;
        ready.push(installed.ready.as_secs_f64());
        std::thread::sleep(settings.longer(2));
        idle.push(installed.meter().memory());
    }
    let installed = Installed::start(&data)?;
    load(settings, &installed)?;
    let loaded = installed.meter().memory();
    std::thread::sleep(settings.longer(4));
    let calm = installed.meter().memory();
    let (ready, idle) = (median(ready), median(idle));
    report.table(
        &["everything in one process, an existing directory with movies", ""],
        &[
            vec!["seconds until it answers GetJwks and ListMovies".to_owned(), figure(ready)],
            vec!["resident idle, MiB".to_owned(), figure(idle)],
            vec!["resident after load (8 × 32), MiB".to_owned(), figure(loaded)],
            vec!["resident a little later, MiB".to_owned(), figure(calm)],
        ],
    );
    report.goal("start on an existing directory, s", ready, Bound::AtMost(0.1));
    report.goal("everything in one process: resident idle, MiB", idle, Bound::AtMost(40.0));
    report.goal("everything in one process: resident after load, MiB", loaded, Bound::AtMost(80.0));
    Ok(())
}

fn load(settings: &Settings, installed: &Installed) -> anyhow::Result<()> {
    let (movies, token) = wait(async {
        let token = installation::sign_in(installed.address).await?.access_token;
        Ok((installation::get_movies(installed.address).await?, token))
    })?;
    let page = always(&ListMoviesRequest { page_size: 25, ..Default::default() });
    let calls: [(&'static str, Script); 3] = [
        ("/quartet.catalogue.v1.MovieService/GetMovie", movies),
        ("/quartet.catalogue.v1.MovieService/ListMovies", page),
        ("/quartet.identity.v1.AccountService/GetMe", always(&GetMeRequest {})),
    ];
    for (path, script) in calls {
        let (address, token) = (installed.address, Some(token.clone()));
        let load = Load { address, path, web: false, token, script, connections: 8, streams: 32 };
        run_loads(&[&load], settings.warm, settings.longer(2), &[])?;
    }
    Ok(())
}

/// An installation with a data directory that stays.
struct Installed {
    child: Child,
    address: SocketAddr,
    /// From the start of the process to its first answers.
    ready: Duration,
}

impl Installed {
    fn start(data: &str) -> anyhow::Result<Installed> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let (listen, admin) = (address.to_string(), format!("127.0.0.1:{}", free_port()?));
        let place = ["--data", data, "--listen", &listen, "--admin-listen", &admin];
        let mut command = own(crate::QUARTET, place.into_iter().chain(NO_LIMITS))?;
        let began = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut installed = Installed { child, address, ready: Duration::ZERO };
        while began.elapsed() < Duration::from_secs(20) {
            if std::net::TcpStream::connect(address).is_ok() && wait(answers(address)).is_ok() {
                installed.ready = began.elapsed();
                return Ok(installed);
            }
            if let Some(status) = installed.child.try_wait().context("no process")? {
                bail!("the server ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the server does not answer")
    }

    fn meter(&self) -> Meter {
        Meter::of(&self.child)
    }
}

async fn answers(address: SocketAddr) -> anyhow::Result<()> {
    installation::keys(address).await?;
    installation::list(address, ListMoviesRequest { page_size: 1, ..Default::default() }).await.map(drop)
}

impl Drop for Installed {
    fn drop(&mut self) {
        if let Some(id) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
