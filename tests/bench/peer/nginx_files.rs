//! nginx as a file server: `dav_methods PUT` and static files, as its manual has them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::nginx::program;
use crate::process::{Foreign, Meter, free_port};

/// A server of one folder.
pub struct NginxFiles {
    process: Foreign,
    port: u16,
    folder: tempfile::TempDir,
}

impl NginxFiles {
    pub fn start() -> anyhow::Result<NginxFiles> {
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        std::fs::create_dir(folder.path().join("files"))?;
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config(port, folder.path()))?;
        let (path, prefix) = (path.display().to_string(), folder.path().display().to_string());
        let mut process = Foreign::start(None, &program(), &["-p", &prefix, "-c", &path, "-e", "stderr"])?;
        process.await_port(port)?;
        Ok(NginxFiles { process, port, folder })
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Where a file of this name lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    pub fn meter(&self) -> Meter {
        self.process.meter()
    }
}

fn config(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    // Only root may say whose processes the workers are, and root's default user could not enter the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; worker_processes auto; pid {folder}/pid; error_log stderr error; {user}
         events {{ worker_connections 1024; }}
         http {{
             access_log off; tcp_nodelay on; sendfile on; tcp_nopush on;
             client_max_body_size 0; client_body_buffer_size 512k; client_body_temp_path {folder}/1;
             proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
             server {{
                 listen 127.0.0.1:{port};
                 root {folder}/files;
                 location / {{ dav_methods PUT DELETE; }}
             }}
         }}"
    )
}
