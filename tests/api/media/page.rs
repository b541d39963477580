//! A real browser, and a small site whose pages tell what they have found.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::prelude::*;
use crate::harness::{left_out, within};

/// A browser is a heavy program, and beside it all other tests run.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a site answers: type and content, by path.
pub type Pages = HashMap<String, (&'static str, Vec<u8>)>;

/// A site on an origin of its own. Pages tell what they find by `POST /report`; whatever else is asked for is remembered.
pub struct Site {
    pub address: SocketAddr,
    reports: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site {
    /// Serves what `pages` makes of the site's own address.
    pub async fn serve(pages: impl FnOnce(SocketAddr) -> Pages) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages = Arc::new(pages(address));
        let (reports, asked) = (Arc::default(), Arc::default());
        let (told, seen) = (Arc::clone(&reports), Arc::clone(&asked));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (pages, told, seen) = (pages.clone(), Arc::clone(&told), Arc::clone(&seen));
                tokio::spawn(async move { answer(stream, &pages, &told, &seen).await });
            }
        });
        Site { address, reports, asked, server }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What a page has told that begins so.
    pub async fn report(&self, begin: &str) -> String {
        within(PATIENCE, &format!("a page tells `{begin}`"), async || {
            let reports = self.reports.lock().unwrap();
            let failed = reports.iter().find(|report| report.starts_with("failed"));
            assert!(failed.is_none(), "a page: {failed:?}");
            reports.iter().find(|report| report.starts_with(begin)).cloned()
        })
        .await
    }

    /// The targets that begin so and were asked for.
    pub fn asked(&self, begin: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|target| target.starts_with(begin)).cloned().collect()
    }
}

async fn answer(mut stream: TcpStream, pages: &Pages, reports: &Mutex<Vec<String>>, asked: &Mutex<Vec<String>>) {
    let Some((head, body)) = message(&mut stream).await else { return };
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if target == "/report" {
        reports.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
    }
    asked.lock().unwrap().push(target.clone());
    let nothing = ("text/plain", Vec::new());
    let (content, body) = pages.get(target.split('?').next().unwrap_or_default()).unwrap_or(&nothing);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
}

/// Starts a program that ends with its standard input, and takes along whatever it has started.
const KEEPER: &str = r#""$0" "$@" </dev/null >/dev/null 2>&1 & cat >/dev/null; kill -9 0"#;

/// A browser without a window, with a profile of its own.
pub struct Browser {
    child: Child,
    control: SocketAddr,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Starts Chromium. Without one there is nothing to test, which is said.
    pub async fn start() -> Option<Browser> {
        let Ok(program) = std::env::var("QUARTET_TEST_CHROMIUM") else {
            left_out("there is no Chromium");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new("sh")
            .args(["-c", KEEPER, &program])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"])
            .args(["--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            // What it saves goes with the profile.
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the browser does not start");
        let file = profile.path().join("DevToolsActivePort");
        let port: u16 = within(PATIENCE, "the browser is there", async || {
            std::fs::read_to_string(&file).ok()?.lines().next()?.parse().ok()
        })
        .await;
        Some(Browser { child, control: SocketAddr::from(([127, 0, 0, 1], port)), _profile: profile })
    }

    /// Opens a page in a tab of its own.
    pub async fn open(&self, url: &str) {
        self.ask("PUT", &format!("/json/new?{url}")).await;
    }

    /// Title and address of every tab.
    pub async fn tabs(&self) -> Vec<(String, String)> {
        let tabs: Vec<serde_json::Value> =
            serde_json::from_slice(&self.ask("GET", "/json/list").await).expect("no JSON");
        let text = |tab: &serde_json::Value, name: &str| tab[name].as_str().unwrap_or_default().to_owned();
        tabs.iter().map(|tab| (text(tab, "title"), text(tab, "url"))).collect()
    }

    /// Asks the browser, which closes no connection by itself.
    async fn ask(&self, method: &str, target: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.control).await.unwrap();
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n\r\n", self.control);
        stream.write_all(head.as_bytes()).await.unwrap();
        let (head, body) = message(&mut stream).await.expect("the browser does not answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body
    }
}

/// A head, and the body that it announces.
async fn message(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return None };
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let announced = |line: &str| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok();
        let length: usize = head.lines().find_map(announced).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            return Some((head, bytes[end + 4..end + 4 + length].to_vec()));
        }
    }
}
