//! nginx as a gateway: `grpc_pass`, as its manual has it, with connections kept.

use std::net::SocketAddr;

use crate::process::{Foreign, Meter, free_port};

pub struct Nginx {
    process: Foreign,
    ports: Vec<u16>,
    _folder: tempfile::TempDir,
}

pub fn program() -> String {
    super::setting("QUARTET_BENCH_NGINX")
        .unwrap_or_else(|| super::first_of(["/usr/sbin/nginx".to_owned(), "/usr/bin/nginx".to_owned()], "nginx"))
}

impl Nginx {
    /// A port in front of each of these servers, by one worker per core.
    pub fn start(upstreams: &[SocketAddr]) -> anyhow::Result<Nginx> {
        let folder = tempfile::tempdir()?;
        let ports = upstreams.iter().map(|_| free_port()).collect::<anyhow::Result<Vec<_>>>()?;
        let config = config(upstreams, &ports, &folder.path().display().to_string());
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config)?;
        let (path, prefix) = (path.display().to_string(), folder.path().display().to_string());
        let mut process = Foreign::start(None, &program(), &["-p", &prefix, "-c", &path, "-e", "stderr"])?;
        for port in &ports {
            process.await_port(*port)?;
        }
        Ok(Nginx { process, ports, _folder: folder })
    }

    /// Where the server with this index is reached.
    pub fn in_front_of(&self, index: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.get(index).copied().unwrap_or_default()))
    }

    pub fn meter(&self) -> Meter {
        self.process.meter()
    }
}

fn config(upstreams: &[SocketAddr], ports: &[u16], folder: &str) -> String {
    let servers: String = upstreams
        .iter()
        .zip(ports)
        .map(|(upstream, port)| {
            format!(
                "upstream u{port} {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}
                 server {{
                     listen 127.0.0.1:{port} http2;
                     location / {{ grpc_pass grpc://u{port}; }}
                 }}\n"
            )
        })
        .collect();
    // Only root may say whose processes the workers are, and root's default user could not enter the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "daemon off; worker_processes auto; pid {folder}/pid; error_log stderr error; {user}
         events {{ worker_connections 4096; }}
         http {{
             access_log off; keepalive_requests 1000000000; tcp_nodelay on;
             client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
             uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
             {servers}
         }}"
    )
}
