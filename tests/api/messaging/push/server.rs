//! A push service of the test's own, which speaks HTTP and answers by a script.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What it was answered with.
    pub status: u16,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// It thinks for so long, …
    pub pause: Duration,
    /// … or until it is let go.
    pub held: Option<Arc<Semaphore>>,
}

pub fn reply(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

/// Chooses the answer to a request, given how many came to that path before.
type Script = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

/// A push service. It ends when it is dropped.
pub struct PushServer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
    crowd: Arc<Crowd>,
    task: JoinHandle<()>,
}

/// How many are there at once.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One of them: it may go away before it is answered.
struct Guest(Arc<Crowd>);

impl Guest {
    fn at(crowd: &Arc<Crowd>) -> Guest {
        let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
        crowd.most.fetch_max(now, Ordering::SeqCst);
        Guest(crowd.clone())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl PushServer {
    pub async fn start(script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> PushServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, script) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(script));
        let crowd = Arc::<Crowd>::default();
        let task = tokio::spawn(serve(listener, seen.clone(), crowd.clone(), script));
        PushServer { address, seen, crowd, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came to a path, in the order in which it came.
    pub fn at(&self, path: &str) -> Vec<Asked> {
        self.seen.lock().unwrap().iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// The most requests that were waiting for their answers at once.
    pub fn most(&self) -> usize {
        self.crowd.most.load(Ordering::SeqCst)
    }

    /// What was taken at a path.
    pub fn taken(&self, path: &str) -> Vec<Asked> {
        self.at(path).into_iter().filter(|asked| (200..300).contains(&asked.status)).collect()
    }
}

impl Drop for PushServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Vec<Asked>>>, crowd: Arc<Crowd>, script: Arc<Script>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (seen, crowd, script) = (seen.clone(), crowd.clone(), script.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (seen, guest, script) = (seen.clone(), Guest::at(&crowd), script.clone());
                async move {
                    let response = answer(request, &seen, &*script).await;
                    drop(guest);
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: http::Request<hyper::body::Incoming>,
    seen: &Mutex<Vec<Asked>>,
    script: &Script,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut asked = Asked { path: parts.uri.path().to_owned(), headers: parts.headers, body, status: 0 };
    let reply = {
        let mut seen = seen.lock().unwrap();
        let before = seen.iter().filter(|earlier| earlier.path == asked.path).count();
        let reply = script(&asked, before);
        asked.status = reply.status;
        seen.push(asked);
        reply
    };
    tokio::time::sleep(reply.pause).await;
    if let Some(held) = reply.held {
        held.acquire().await.map(drop).ok();
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(reply.body))).unwrap()
}
