//! Tests of catalogue.

mod block;
mod class;
mod course;
mod course_hostile;
mod course_property;
mod course_rights;
mod enrolment;
mod grade;
mod hostile;
mod import;
mod instances;
mod invited;
mod moment;
mod movie;
mod naive;
mod progress;
mod removal;
mod rename;
mod school;
mod search;
mod section;
mod taxonomy;
mod term;
mod upgrade;
mod watch;
mod write;

use crate::harness::prelude::*;
use crate::harness::{Clients, unique};

/// The columns of a movie file without a crew.
const HEADER: &str = "names,date_x,score,genre,overview,orig_title,status,orig_lang,budget_x,revenue,country";

/// Imports a file as an administrator, in pieces.
async fn import(world: &World, file: &[u8]) -> ImportSummary {
    let admin = world.admin().await;
    import_as(world, &admin, file).await
}

async fn import_as(world: &World, person: &Person, file: &[u8]) -> ImportSummary {
    let answer = person.imports(world).import_movies(pieces(file, 10_000)).await.expect("not imported");
    answer.into_inner().summary.expect("no summary")
}

/// A file as a stream of messages.
fn pieces(file: &[u8], size: usize) -> impl tonic::IntoStreamingRequest<Message = ImportMoviesRequest> + use<> {
    let pieces: Vec<ImportMoviesRequest> =
        file.chunks(size).map(|piece| ImportMoviesRequest { content: piece.to_vec().into() }).collect();
    tokio_stream::iter(pieces)
}

/// A cell, quoted where it must be.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A word that no other test's movies have.
fn marker() -> String {
    format!("Marker{:05}", unique())
}

async fn list(world: &World, request: ListMoviesRequest) -> ListMoviesResponse {
    world.movies().list_movies(request).await.expect("no list").into_inner()
}

/// All movies of a list, page after page by token.
async fn all(world: &World, filter: MovieFilter, order_by: &str, page_size: i32) -> Vec<Movie> {
    let mut request =
        ListMoviesRequest { filter: Some(filter), order_by: order_by.to_owned(), page_size, ..Default::default() };
    let mut movies = Vec::new();
    loop {
        let page = list(world, request.clone()).await;
        movies.extend(page.movies);
        if page.next_page_token.is_empty() {
            assert_eq!(movies.len(), page.total_size as usize);
            return movies;
        }
        request.page_token = page.next_page_token;
    }
}

/// A movie that can be made: of this name, with nothing but what it must have.
fn plain(name: &str) -> Movie {
    Movie {
        name: name.to_owned(),
        release_date: "2001-02-03".to_owned(),
        score: 50.0,
        status: MovieStatus::Released.into(),
        ..Default::default()
    }
}

/// The clients of a new administrator.
async fn editor(world: &World) -> Clients {
    world.as_token(&world.admin().await.access_token)
}

async fn create(clients: &Clients, movie: Movie) -> Movie {
    let answer = clients.movies().create_movie(CreateMovieRequest { movie: Some(movie) }).await.expect("not made");
    answer.into_inner().movie.expect("no movie")
}

async fn search(world: &World, request: SearchMoviesRequest) -> SearchMoviesResponse {
    world.movies().search_movies(request).await.expect("no search").into_inner()
}

/// The names of what a search finds, at most a hundred.
async fn found(world: &World, query: &str) -> Vec<String> {
    let request = SearchMoviesRequest { query: query.to_owned(), page_size: 100, ..Default::default() };
    search(world, request).await.movies.into_iter().map(|movie| movie.name).collect()
}
