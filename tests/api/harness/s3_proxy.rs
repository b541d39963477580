//! What stands between media and its S3 server in a test, and makes trouble.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::s3::flags;

/// What media asks an S3 server to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Begin,
    Part,
    Finish,
    Abort,
    /// Which uploads there are.
    List,
    /// How long an object is.
    Head,
    Read,
    Remove,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// The server answers this status with this code, and does nothing.
    Status(u16, &'static str),
    /// The connection breaks before the server hears of it.
    Cut,
    /// The server does it, and the connection breaks instead of an answer.
    Lost,
    /// The server does it, and the answer breaks off half way.
    Torn,
    /// Nobody answers.
    Hang,
}

/// A proxy before an S3 server. It ends when this is dropped.
pub struct S3Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
    _stop: oneshot::Sender<()>,
}

struct State {
    server: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Call>>,
}

struct Rule {
    call: Call,
    trouble: Trouble,
    times: usize,
}

impl S3Proxy {
    pub fn start(server: SocketAddr) -> S3Proxy {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { server, rules: Mutex::default(), seen: Mutex::default() });
        let (stop, stopped) = oneshot::channel::<()>();
        let of_thread = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = serve(listener, of_thread) => {}
                    _ = stopped => {}
                }
            });
        });
        S3Proxy { address, state, _stop: stop }
    }

    /// What media has to know of the server behind this.
    pub fn flags(&self) -> Vec<String> {
        flags(self.address)
    }

    /// The next calls of this kind meet trouble, so many.
    pub fn trouble(&self, call: Call, trouble: Trouble, times: usize) {
        self.state.rules.lock().unwrap().push(Rule { call, trouble, times });
    }

    /// All calls of this kind meet trouble.
    pub fn always(&self, call: Call, trouble: Trouble) {
        self.trouble(call, trouble, usize::MAX);
    }

    /// No more trouble.
    pub fn calm(&self) {
        self.state.rules.lock().unwrap().clear();
    }

    /// How many calls of this kind came.
    pub fn count(&self, call: Call) -> usize {
        self.state.seen.lock().unwrap().iter().filter(|seen| **seen == call).count()
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(state.clone(), request));
            // A connection that is broken on purpose ends with an error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let call = call(&parts);
    state.seen.lock().unwrap().push(call);
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    match next_trouble(&state, call) {
        None => forward(&state, parts, body).await,
        Some(Trouble::Status(status, code)) => Ok(refused(status, code)),
        Some(Trouble::Cut) => Err(io::Error::other("cut")),
        Some(Trouble::Lost) => {
            let answer = forward(&state, parts, body).await?;
            let _ = answer.into_body().collect().await;
            Err(io::Error::other("lost"))
        }
        Some(Trouble::Torn) => forward(&state, parts, body).await.map(|answer| answer.map(torn)),
        Some(Trouble::Hang) => std::future::pending().await,
    }
}

fn next_trouble(state: &State, call: Call) -> Option<Trouble> {
    let mut rules = state.rules.lock().unwrap();
    let rule = rules.iter_mut().find(|rule| rule.call == call && rule.times > 0)?;
    rule.times -= 1;
    Some(rule.trouble)
}

fn call(parts: &Parts) -> Call {
    let query = parts.uri.query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match parts.method {
        Method::POST if has("uploads") => Call::Begin,
        Method::POST => Call::Finish,
        Method::PUT => Call::Part,
        Method::HEAD => Call::Head,
        Method::DELETE if has("uploadId") => Call::Abort,
        Method::DELETE => Call::Remove,
        _ if has("uploads") => Call::List,
        _ => Call::Read,
    }
}

async fn forward(state: &State, parts: Parts, body: Bytes) -> io::Result<Response<Body>> {
    let stream = TcpStream::connect(state.server).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let request = Request::from_parts(parts, Full::new(body));
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok(answer.map(|body| body.map_err(io::Error::other).boxed_unsync()))
}

/// A body that breaks off.
fn torn(body: Body) -> Body {
    let pieces = futures_util::stream::unfold((body, 0), |(mut body, pieces)| async move {
        if pieces == 3 {
            return Some((Err(io::Error::other("torn")), (body, pieces)));
        }
        match body.frame().await {
            Some(frame) => Some((frame, (body, pieces + 1))),
            None => Some((Err(io::Error::other("torn")), (body, 3))),
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// An error as S3 words it, with what it repeats of the request.
fn refused(status: u16, code: &str) -> Response<Body> {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>a word of the store</Message>\
         <AWSAccessKeyId>{}</AWSAccessKeyId><StringToSign>a-string-to-sign</StringToSign></Error>",
        super::s3::KEY_ID
    );
    let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}
