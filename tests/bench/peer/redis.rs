//! The Redis that the roles of a fleet share.

use crate::process::{Foreign, free_port};

pub struct Redis {
    _process: Foreign,
    pub url: String,
}

pub fn program() -> String {
    super::setting("QUARTET_BENCH_REDIS").unwrap_or_else(|| "redis-server".to_owned())
}

impl Redis {
    pub fn start() -> anyhow::Result<Redis> {
        let port = free_port()?;
        let text = port.to_string();
        let arguments = ["--port", &text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let mut process = Foreign::start(None, &program(), &arguments)?;
        process.await_port(port)?;
        Ok(Redis { _process: process, url: format!("redis://127.0.0.1:{port}") })
    }
}
