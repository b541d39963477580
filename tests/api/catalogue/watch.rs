//! K1: who keeps a copy of the movies is told of every change, whenever they ask.

use std::collections::BTreeMap;

use tonic::Streaming;

use super::{HEADER, all, create, editor, import, plain};
use crate::harness::prelude::*;

/// A copy with its cursor, as a client would keep them on its disk.
#[derive(Default)]
struct Copy {
    cursor: String,
    movies: BTreeMap<String, Movie>,
}

impl Copy {
    async fn stream(&self, world: &World) -> Result<Streaming<WatchMoviesResponse>, tonic::Status> {
        let request = WatchMoviesRequest { cursor: self.cursor.clone() };
        Ok(world.movies().watch_movies(request).await?.into_inner())
    }

    fn apply(&mut self, message: WatchMoviesResponse) {
        for change in message.changes {
            match change.change.unwrap() {
                movie_change::Change::Movie(movie) => {
                    self.movies.insert(movie.movie_id.clone(), movie);
                }
                movie_change::Change::DeletedMovieId(id) => {
                    self.movies.remove(&id);
                }
            }
        }
        self.cursor = message.cursor;
    }

    /// Reads up to where nothing more has changed; `most` messages at most.
    async fn read(&mut self, world: &World, most: usize) {
        let mut stream = self.stream(world).await.unwrap();
        for _ in 0..most {
            let message = stream.message().await.unwrap().expect("the stream has ended");
            let complete = message.complete;
            self.apply(message);
            if complete {
                return;
            }
        }
    }

    async fn assert_equal(&self, world: &World) {
        let movies = all(world, MovieFilter::default(), "movie_id", 100).await;
        let copied: Vec<&Movie> = self.movies.values().collect();
        assert_eq!(copied, movies.iter().collect::<Vec<_>>());
    }
}

fn file(from: usize, count: usize) -> Vec<u8> {
    let mut file = format!("{HEADER},crew\n");
    for row in from..from + count {
        file += &format!("Movie {row},2001-01-01,50,Drama,.,Title,Released,English,1,1,JP,\"Ann, B{row}\"\n");
    }
    file.into_bytes()
}

#[tokio::test]
async fn k1_a_copy_becomes_equal_wherever_its_reader_was_cut_off() {
    let world = World::own().await;
    let clients = editor(&world).await;
    import(&world, &file(0, 1500)).await;
    let mut copy = Copy::default();
    // Cut off after each two messages, while the catalogue changes.
    for round in 0..6 {
        copy.read(&world, 2).await;
        import(&world, &file(2000 + round * 10, 10)).await;
        let some = all(&world, MovieFilter::default(), "movie_id", 100).await;
        for movie in some.iter().skip(round * 40).step_by(13).take(3) {
            let request = DeleteMovieRequest { movie_id: movie.movie_id.clone(), etag: String::new() };
            clients.movies().delete_movie(request).await.unwrap();
        }
    }
    copy.read(&world, 1000).await;
    copy.assert_equal(&world).await;
    let request = ListActorsRequest { name_prefix: "Ann".to_owned(), ..Default::default() };
    let ann = world.taxonomy().list_actors(request).await.unwrap().into_inner().actors.remove(0);
    let term = Some(Term { kind: TermKind::Actor.into(), term_id: ann.actor_id, name: "Anna".to_owned(), movies: 0 });
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
    clients.taxonomy().update_term(UpdateTermRequest { term, update_mask }).await.unwrap();
    copy.read(&world, 1000).await;
    copy.assert_equal(&world).await;
    let mut anew = Copy::default();
    anew.read(&world, 1000).await;
    anew.assert_equal(&world).await;
}

#[tokio::test]
async fn k1_a_change_is_told_as_it_comes() {
    let world = World::own().await;
    let clients = editor(&world).await;
    let mut stream = Copy::default().stream(&world).await.unwrap();
    let first = stream.message().await.unwrap().unwrap();
    assert!(first.changes.is_empty() && first.complete, "an empty catalogue is known at once: {first:?}");
    let movie = create(&clients, plain("new")).await;
    let mut told = async || loop {
        let message = stream.message().await.unwrap().unwrap();
        if let Some(change) = message.changes.into_iter().next() {
            return change.change.unwrap();
        }
    };
    assert_eq!(told().await, movie_change::Change::Movie(movie.clone()));
    let request = DeleteMovieRequest { movie_id: movie.movie_id.clone(), etag: String::new() };
    clients.movies().delete_movie(request).await.unwrap();
    assert_eq!(told().await, movie_change::Change::DeletedMovieId(movie.movie_id));
}

#[tokio::test]
async fn k1_who_was_away_for_too_long_starts_anew() {
    let world = World::own().await;
    let clients = editor(&world).await;
    let mut movies = Vec::new();
    for number in 0..4 {
        movies.push(create(&clients, plain(&format!("Movie {number}"))).await);
    }
    let mut copy = Copy::default();
    copy.read(&world, 100).await;
    let delete = async |movie: &Movie, clients: &crate::harness::Clients| {
        let request = DeleteMovieRequest { movie_id: movie.movie_id.clone(), etag: String::new() };
        clients.movies().delete_movie(request).await.unwrap();
    };
    delete(&movies[0], &clients).await;
    world.move_clock(Duration::from_secs(29 * 24 * 3600)).await;
    let clients = editor(&world).await;
    delete(&movies[1], &clients).await;
    let mut late = Copy { cursor: copy.cursor.clone(), movies: copy.movies.clone() };
    late.read(&world, 100).await;
    late.assert_equal(&world).await;
    world.move_clock(Duration::from_secs(2 * 24 * 3600)).await;
    let clients = editor(&world).await;
    delete(&movies[2], &clients).await;
    let error = refusal(copy.stream(&world).await);
    assert_eq!(error.is(), (Code::FailedPrecondition, "CURSOR_TOO_OLD"));
    let mut anew = Copy::default();
    anew.read(&world, 100).await;
    anew.assert_equal(&world).await;
    late.read(&world, 100).await;
    late.assert_equal(&world).await;
}
