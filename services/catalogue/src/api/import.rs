//! `ImportService`.

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use quartet_chassis::clock::Clock;
use quartet_chassis::db::DbError;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::import_service_server::ImportService;
use quartet_proto::catalogue::v1::{
    ImportMovieFileRequest, ImportMovieFileResponse, ImportMoviesRequest, ImportMoviesResponse, ImportSummary,
};
use tonic::{Request, Response, Status, Streaming};

use crate::error::Error;
use crate::import_file::ImportFile;
use crate::store::Store;
use crate::store::filing::KnownNames;
use crate::store::import::NewMovies;

/// How many movies are stored at once. More are faster, but hold the store's one writer for longer.
const BATCH: usize = 1000;
/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;
/// From how many new movies on the planner's statistics are brought up to date.
const MANY: i32 = 1000;

pub struct ImportApi {
    pub store: Store,
    pub clock: Clock,
}

impl ImportApi {
    fn begin(&self) -> Import {
        let file = ImportFile::new(self.clock.now().date());
        Import { store: self.store.clone(), file, next: None, names: KnownNames::default() }
    }
}

#[tonic::async_trait]
impl ImportService for ImportApi {
    /// The next message is taken only when what came before it is read and, but for one batch, stored: a fast client waits.
    async fn import_movies(
        &self,
        request: Request<Streaming<ImportMoviesRequest>>,
    ) -> Result<Response<ImportMoviesResponse>, Status> {
        let mut pieces = request.into_inner();
        let mut import = self.begin();
        while let Some(message) = pieces.message().await? {
            for piece in message.content.chunks(PIECE) {
                import.feed(piece).await?;
            }
        }
        let summary = import.finish().await?;
        Ok(Response::new(ImportMoviesResponse { summary: Some(summary) }))
    }

    type ImportMovieFileStream = BoxStream<'static, Result<ImportMovieFileResponse, Status>>;

    async fn import_movie_file(
        &self,
        request: Request<ImportMovieFileRequest>,
    ) -> Result<Response<Self::ImportMovieFileStream>, Status> {
        let content = request.into_inner().content;
        let state = Some((self.begin(), content));
        let answers = stream::unfold(state, async |state| {
            let (import, content) = state?;
            Some(match step(import, content).await {
                Ok((answer, state)) => (Ok(answer), state),
                Err(error) => (Err(error.into()), None),
            })
        });
        Ok(Response::new(answers.boxed()))
    }
}

/// An import under way, and what of its file is still to be read.
type Rest = Option<(Import, Bytes)>;

/// Goes on until there is something to tell.
async fn step(mut import: Import, mut content: Bytes) -> Result<(ImportMovieFileResponse, Rest), Error> {
    while !content.is_empty() {
        let piece = content.get(..PIECE.min(content.len())).unwrap_or_default();
        let (read, stored) = (piece.len(), import.feed(piece).await?);
        content.advance(read);
        if stored {
            let summary = import.progress();
            return Ok((ImportMovieFileResponse { summary: Some(summary), done: false }, Some((import, content))));
        }
    }
    let summary = import.finish().await?;
    Ok((ImportMovieFileResponse { summary: Some(summary), done: true }, None))
}

/// A file that is being read and stored. Dropped in the middle, it leaves what was stored until then.
struct Import {
    store: Store,
    file: ImportFile,
    /// A batch that is made ready. While it is stored, another thread makes ready the next.
    next: Option<NewMovies>,
    names: KnownNames,
}

impl Import {
    /// Takes the next bytes of the file, stores what makes a batch, and answers whether anything was stored.
    async fn feed(&mut self, piece: &[u8]) -> Result<bool, Error> {
        self.file.feed(piece)?;
        let mut stored = false;
        while self.file.waiting() >= BATCH {
            stored |= self.take_batch().await?;
        }
        Ok(stored)
    }

    async fn finish(mut self) -> Result<ImportSummary, Error> {
        self.file.finish()?;
        while self.file.waiting() > 0 {
            self.take_batch().await?;
        }
        self.store_next().await?;
        if self.file.summary().movies_stored > MANY {
            self.store.analyze().await?;
        }
        Ok(std::mem::take(self.file.summary()))
    }

    /// The counts so far, without the findings.
    fn progress(&mut self) -> ImportSummary {
        let summary = self.file.summary();
        let issues = std::mem::take(&mut summary.issues);
        let counts = summary.clone();
        summary.issues = issues;
        counts
    }

    /// Makes a batch ready and meanwhile stores the one before, if there is one, as the answer says.
    async fn take_batch(&mut self) -> Result<bool, Error> {
        let (store, movies) = (self.store.clone(), self.file.take(BATCH));
        let ready = tokio::task::spawn_blocking(move || store.prepare(movies));
        let stored = self.store_next().await?;
        self.next = Some(ready.await.map_err(|error| DbError::Unavailable(error.to_string()))?);
        Ok(stored)
    }

    async fn store_next(&mut self) -> Result<bool, Error> {
        let Some(movies) = self.next.take() else { return Ok(false) };
        let stored = self.store.insert_movies(&movies, &mut self.names).await?;
        let summary = self.file.summary();
        summary.movies_stored += page::count(stored);
        summary.movies_unchanged += page::count(movies.len() - stored);
        Ok(true)
    }
}
