//! An installation of Quartet to be measured: its processes, an administrator, movies.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use bytes::Bytes;
use quartet_proto::catalogue::v1::import_service_client::ImportServiceClient;
use quartet_proto::catalogue::v1::movie_service_client::MovieServiceClient;
use quartet_proto::catalogue::v1::{
    GetMovieRequest, ImportMoviesRequest, ImportSummary, ListMoviesRequest, ListMoviesResponse,
};
use quartet_proto::identity::v1::key_service_client::KeyServiceClient;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use quartet_proto::identity::v1::{GetJwksRequest, SignInRequest, SignInResponse};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::grpc::frame;
use crate::load::Script;
use crate::peer::postgres::Postgres;
use crate::process::{Server, quartet};

pub const EMAIL: &str = "bench@example.com";
pub const PASSWORD: &str = "Correct1!horse";
/// What identity's secrets hang on, and what the roles of a fleet know each other by.
pub const MASTER_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
pub const FLEET_SECRET: &str = "0808080808080808080808080808080808080808080808080808080808080808";

/// Which database.
#[derive(Clone, Copy)]
pub enum Engine<'a> {
    Sqlite,
    Postgres(&'a Postgres),
}

impl Engine<'_> {
    pub fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "SQLite",
            Engine::Postgres(_) => "PostgreSQL",
        }
    }
}

/// Everything in one process, with an administrator.
pub struct Embedded {
    pub server: Server,
}

impl Embedded {
    /// `name` tells its databases from others'.
    pub fn start(engine: Engine<'_>, name: &str, flags: &[&str]) -> anyhow::Result<Embedded> {
        let mut arguments: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        if let Engine::Postgres(postgres) = engine {
            for service in ["identity", "catalogue", "media", "messaging"] {
                arguments.push(format!("--{service}-database-url"));
                arguments.push(postgres.create_database(&format!("{service}_{name}"))?);
            }
        }
        let server = Server::quartet(&arguments)?;
        let data = server.data.display().to_string();
        create_administrator(&["--data", &data])?;
        Ok(Embedded { server })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.listen
    }
}

/// Makes the account that the benchmark signs in with. `whereto` names the installation.
pub fn create_administrator(whereto: &[&str]) -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), PASSWORD)?;
    let file = file.path().display().to_string();
    quartet(&[&["admin", "create", EMAIL, "--password-file", &file], whereto].concat())?;
    Ok(())
}

/// Runs a conversation with a server to its end.
pub fn wait<T>(conversation: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(conversation)
}

/// The generated clients' way to a server, which must have begun to answer within ten seconds.
pub async fn channel(address: SocketAddr) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let endpoint = endpoint.initial_stream_window_size(1 << 20).initial_connection_window_size(8 << 20);
    Ok(endpoint.connect().await?)
}

/// Asks for the public keys.
pub async fn keys(address: SocketAddr) -> anyhow::Result<()> {
    KeyServiceClient::new(channel(address).await?).get_jwks(GetJwksRequest {}).await?;
    Ok(())
}

pub async fn sign_in(address: SocketAddr) -> anyhow::Result<SignInResponse> {
    let mut sessions = SessionServiceClient::new(channel(address).await?);
    let request = SignInRequest { email: EMAIL.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
    Ok(sessions.sign_in(request).await?.into_inner())
}

/// Imports a file as a client does, in pieces of 64 KiB.
pub async fn import(address: SocketAddr, token: &str, csv: &[u8]) -> anyhow::Result<ImportSummary> {
    let pieces: Vec<_> =
        csv.chunks(64 * 1024).map(|piece| ImportMoviesRequest { content: Bytes::copy_from_slice(piece) }).collect();
    let mut imports = ImportServiceClient::new(channel(address).await?);
    // A service of a fleet may not have heard yet with which key the token was signed, or that nothing is revoked.
    let mut last = None;
    for _ in 0..100 {
        let mut request = Request::new(tokio_stream::iter(pieces.clone()));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        match imports.import_movies(request).await {
            Ok(answer) => return answer.into_inner().summary.context("no summary"),
            Err(status) if status.code() == tonic::Code::Unavailable => last = Some(status),
            Err(status) => return Err(status.into()),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Err(last.context("no import")?.into())
}

pub async fn list(address: SocketAddr, request: ListMoviesRequest) -> anyhow::Result<ListMoviesResponse> {
    Ok(MovieServiceClient::new(channel(address).await?).list_movies(request).await?.into_inner())
}

/// GetMovie for up to a thousand movies in turn.
pub async fn get_movies(address: SocketAddr) -> anyhow::Result<Script> {
    let mut frames = Vec::new();
    let mut page = ListMoviesRequest { page_size: 100, ..Default::default() };
    while frames.len() < 1000 {
        let answer = list(address, page.clone()).await?;
        frames.extend(answer.movies.into_iter().map(|movie| frame(&GetMovieRequest { movie_id: movie.movie_id })));
        if answer.next_page_token.is_empty() {
            break;
        }
        page.page_token = answer.next_page_token;
    }
    Ok(Script::Cycle(Arc::new(frames)))
}

/// Refreshes of as many sessions.
pub async fn refreshes(address: SocketAddr, sessions: usize) -> anyhow::Result<Script> {
    let mut tokens = HashMap::new();
    while tokens.len() < sessions {
        let session = sign_in(address).await?;
        tokens.insert(session.session_id, session.refresh_token);
    }
    Ok(Script::Refresh(Arc::new(tokens.into_values().map(Mutex::new).collect())))
}

/// One frame, again and again.
pub fn always(message: &impl prost::Message) -> Script {
    Script::Cycle(Arc::new(vec![frame(message)]))
}
