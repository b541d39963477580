//! Servers that pass on to all WebSockets what is posted: nginx with nchan, and FastAPI. They store nothing and ask nobody who they are.

use std::net::SocketAddr;
use std::path::Path;

use super::nginx;
use crate::process::{Foreign, Meter, free_port};

pub struct Broadcast {
    process: Foreign,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Broadcast {
    /// nchan, where its module lies beside nginx; one worker per core.
    pub fn nchan() -> anyhow::Result<Option<Broadcast>> {
        let Some(module) = super::setting("QUARTET_BENCH_NCHAN") else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, nchan_config(&module, port, folder.path()))?;
        let (path, prefix) = (path.display().to_string(), folder.path().display().to_string());
        let process = Foreign::start(None, &nginx::program(), &["-p", &prefix, "-c", &path, "-e", "stderr"])?;
        Broadcast { process, port, _folder: folder }.ready().map(Some)
    }

    /// FastAPI on uvicorn as its manual has it, where there is a Python that has them; one worker, which is all that can know its sockets.
    pub fn fastapi() -> anyhow::Result<Option<Broadcast>> {
        let Some(python) = super::setting("QUARTET_BENCH_PYTHON") else { return Ok(None) };
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        std::fs::write(folder.path().join("broadcast.py"), include_str!("broadcast.py"))?;
        let (app, at) = (folder.path().display().to_string(), port.to_string());
        let arguments = [
            "-m",
            "uvicorn",
            "--app-dir",
            &app,
            "--port",
            &at,
            "--no-access-log",
            "--log-level",
            "error",
            "broadcast:app",
        ];
        let process = Foreign::start(None, &python, &arguments)?;
        Broadcast { process, port, _folder: folder }.ready().map(Some)
    }

    fn ready(mut self) -> anyhow::Result<Broadcast> {
        self.process.await_port(self.port)?;
        Ok(self)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn meter(&self) -> Meter {
        self.process.meter()
    }
}

fn nchan_config(module: &str, port: u16, folder: &Path) -> String {
    let folder = folder.display();
    // Only root may say whose processes the workers are, and root's default user could not enter the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; worker_processes auto; pid {folder}/pid; error_log stderr error; {user} load_module {module};
         events {{ worker_connections 8192; }}
         http {{
             access_log off; tcp_nodelay on; keepalive_requests 1000000000;
             client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
             uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
             server {{
                 listen 127.0.0.1:{port};
                 location = /say {{ nchan_publisher; nchan_channel_id hall; }}
                 location = /listen {{ nchan_subscriber websocket; nchan_channel_id hall; nchan_subscriber_first_message newest; }}
             }}
         }}"
    )
}
