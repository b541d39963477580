//! K1: movies are made, changed and deleted, by moderators.

use futures_util::future::join_all;
use prost_reflect::DescriptorPool;
use prost_types::FieldMask;

use super::{create, editor, found, marker, plain};
use crate::harness::Clients;
use crate::harness::prelude::*;

async fn get(world: &World, movie_id: &str) -> Result<Movie, tonic::Status> {
    let answer = world.movies().get_movie(GetMovieRequest { movie_id: movie_id.to_owned() }).await?;
    Ok(answer.into_inner().movie.unwrap())
}

async fn update(clients: &Clients, movie: Movie, paths: &[&str], etag: &str) -> Result<Movie, tonic::Status> {
    let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    let request = UpdateMovieRequest { movie: Some(movie), update_mask, etag: etag.to_owned() };
    Ok(clients.movies().update_movie(request).await?.into_inner().movie.unwrap())
}

/// A movie with a value in every field.
fn full(marker: &str) -> Movie {
    Movie {
        original_name: format!("原題 {marker}"),
        score: 73.5,
        overview: "Two lines,\nand a \"quote\".".to_owned(),
        budget: "75000000.10".to_owned(),
        revenue: "0.00".to_owned(),
        country: Some(Country { code: "JPN".to_owned(), name: "Japan".to_owned() }),
        genres: vec![format!("{marker} Drama"), "Comedy".to_owned()],
        actors: vec!["Sammy Davis, Jr.".to_owned(), format!("{marker} Ann")],
        languages: vec!["Japanese".to_owned()],
        ..plain(&format!("Name {marker}"))
    }
}

#[tokio::test]
async fn k1_a_movie_is_made_as_it_is_given_with_all_its_names() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let given = full(&marker);
    let made = create(&clients, given.clone()).await;
    let expected = Movie {
        movie_id: made.movie_id.clone(),
        create_time: made.create_time,
        update_time: made.create_time,
        etag: made.etag.clone(),
        ..given
    };
    assert_eq!(made, expected);
    assert!(made.create_time.is_some() && !made.etag.is_empty());
    assert_eq!(get(&world, &made.movie_id).await.unwrap(), made);
    let request = ListGenresRequest { name_prefix: marker, ..Default::default() };
    assert_eq!(world.taxonomy().list_genres(request).await.unwrap().into_inner().genres.len(), 1, "made on the fly");
}

#[tokio::test]
async fn k1_what_may_be_left_out_has_its_default() {
    let world = World::shared().await;
    let marker = marker();
    let made = create(&editor(&world).await, plain(&marker)).await;
    assert_eq!((made.original_name.as_str(), made.budget.as_str(), made.revenue.as_str()), (&*marker, "0.00", "0.00"));
    assert_eq!((made.country, made.genres.len()), (None, 0));
}

#[tokio::test]
async fn k1_name_and_date_are_unique() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let first = create(&clients, plain(&marker)).await;
    let error = refusal(clients.movies().create_movie(CreateMovieRequest { movie: Some(plain(&marker)) }).await);
    assert_eq!(error.is(), (Code::AlreadyExists, "MOVIE_EXISTS"));
    let message = format!("A movie with the name '{marker}' and release date '2001-02-03' already exists.");
    assert_eq!((error.message, &error.metadata["movie_id"]), (message, &first.movie_id));
    let other = create(&clients, Movie { release_date: "2001-02-04".to_owned(), ..plain(&marker) }).await;
    let change = Movie { movie_id: other.movie_id, release_date: "2001-02-03".to_owned(), ..Default::default() };
    let error = refusal(update(&clients, change, &["release_date"], "").await);
    assert_eq!((error.is(), &error.metadata["movie_id"]), ((Code::AlreadyExists, "MOVIE_EXISTS"), &first.movie_id));
}

#[tokio::test]
async fn k1_a_change_is_what_the_mask_names() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let before = create(&clients, full(&marker)).await;
    let given = Movie {
        movie_id: before.movie_id.clone(),
        name: "not this".to_owned(),
        genres: vec!["Horror".to_owned(), format!("{marker} Drama"), "Horror".to_owned()],
        country: None,
        score: 12.25,
        ..Default::default()
    };
    let after = update(&clients, given, &["genres", "score", "country"], &before.etag).await.unwrap();
    let expected = Movie {
        genres: vec!["Horror".to_owned(), format!("{marker} Drama")],
        country: None,
        score: 12.25,
        update_time: after.update_time,
        etag: after.etag.clone(),
        ..before.clone()
    };
    assert_eq!(after, expected);
    assert_ne!(after.etag, before.etag);
    assert_eq!(get(&world, &before.movie_id).await.unwrap(), after);
    // What it is filed under has changed with it.
    let filter = |genre: &str| {
        let genres = vec![genre.to_owned()];
        let filter = Some(MovieFilter { genres, ..Default::default() });
        SearchMoviesRequest { query: marker.clone(), filter, ..Default::default() }
    };
    for (genre, expected) in [("horror", 1), ("comedy", 0)] {
        assert_eq!(super::search(&world, filter(genre)).await.total_size, expected, "{genre}");
    }
    let list = ListMoviesRequest { filter: filter("horror").filter, page_size: 100, ..Default::default() };
    assert!(super::list(&world, list).await.movies.contains(&after));
    // The same again changes nothing.
    let again = Movie { movie_id: before.movie_id.clone(), score: 12.25, ..Default::default() };
    assert_eq!(update(&clients, again, &["score"], "").await.unwrap(), after);
}

#[tokio::test]
async fn k1_a_deleted_movie_is_nowhere() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let movie = create(&clients, full(&marker)).await;
    let request = |etag: &str| DeleteMovieRequest { movie_id: movie.movie_id.clone(), etag: etag.to_owned() };
    let error = refusal(clients.movies().delete_movie(request("ffffffff")).await);
    assert_eq!(error.is(), (Code::Aborted, "ETAG_STALE"));
    clients.movies().delete_movie(request(&movie.etag)).await.unwrap();
    for error in [
        refusal(get(&world, &movie.movie_id).await),
        refusal(clients.movies().delete_movie(request("")).await),
        refusal(update(&clients, Movie { score: 1.0, ..movie_of(&movie) }, &["score"], "").await),
    ] {
        assert_eq!(error.is(), (Code::NotFound, "MOVIE_NOT_FOUND"));
        assert_eq!(error.message, "Movie with the given ID was not found.");
    }
    let genres = vec![format!("{marker} drama")];
    let filter = Some(MovieFilter { genres, ..Default::default() });
    assert_eq!(super::list(&world, ListMoviesRequest { filter, ..Default::default() }).await.total_size, 0);
    assert!(found(&world, &marker).await.is_empty());
    create(&clients, full(&marker)).await;
}

fn movie_of(movie: &Movie) -> Movie {
    Movie { movie_id: movie.movie_id.clone(), ..Default::default() }
}

#[tokio::test]
async fn k1_all_violations_of_a_movie_are_named_together() {
    let world = World::shared().await;
    let clients = editor(&world).await;
    let wrong = Movie {
        score: 100.5,
        status: 0,
        budget: "0.001".to_owned(),
        revenue: "-1".to_owned(),
        release_date: "2999-01-01".to_owned(),
        country: Some(Country { code: "QQ".to_owned(), name: String::new() }),
        overview: "x".repeat(10_001),
        ..plain("")
    };
    let error = refusal(clients.movies().create_movie(CreateMovieRequest { movie: Some(wrong.clone()) }).await);
    assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    let fields = ["name", "release_date", "score", "overview", "status", "budget", "revenue", "country"];
    assert_eq!(error.fields, fields.map(|field| format!("movie.{field}")));
    let error = refusal(update(&clients, wrong, &["*"], "").await);
    assert_eq!(error.fields, fields.map(|field| format!("movie.{field}")));
}

#[tokio::test]
async fn s33_what_the_server_sets_is_refused() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let movie = create(&clients, plain(&marker)).await;
    let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let set: [(&str, Movie); 3] = [
        ("movie.create_time", Movie { create_time: time, ..Default::default() }),
        ("movie.update_time", Movie { update_time: time, ..Default::default() }),
        ("movie.etag", Movie { etag: movie.etag.clone(), ..Default::default() }),
    ];
    for (field, given) in set {
        let made =
            Movie { name: format!("{marker} 2"), release_date: "2001-01-01".to_owned(), status: 1, ..given.clone() };
        let error = refusal(clients.movies().create_movie(CreateMovieRequest { movie: Some(made) }).await);
        assert_eq!(error.fields, [field]);
        let changed = Movie { movie_id: movie.movie_id.clone(), score: 1.0, ..given };
        assert_eq!(refusal(update(&clients, changed, &["score"], "").await).fields, [field]);
    }
    let with_id = Movie { movie_id: movie.movie_id.clone(), ..plain(&format!("{marker} 3")) };
    let error = refusal(clients.movies().create_movie(CreateMovieRequest { movie: Some(with_id) }).await);
    assert_eq!(error.fields, ["movie.movie_id"]);
    // Every field of the contract is either one that a mask may name or refused.
    let pool = DescriptorPool::decode(quartet_proto::DESCRIPTORS).unwrap();
    let fields = pool.get_message_by_name("quartet.catalogue.v1.Movie").unwrap();
    let mut refused = Vec::new();
    for field in fields.fields() {
        let given = Movie { movie_id: movie.movie_id.clone(), original_name: marker.clone(), ..plain(&marker) };
        match update(&clients, given, &[field.name()], "").await {
            Ok(_) => {}
            Err(status) => {
                assert_eq!(Refusal::from(status).fields, ["update_mask"], "{}", field.name());
                refused.push(field.name().to_owned());
            }
        }
    }
    assert_eq!(refused, ["movie_id", "create_time", "update_time", "etag"]);
    assert_eq!(get(&world, &movie.movie_id).await.unwrap(), movie, "nothing has changed");
}

#[tokio::test]
async fn s34_of_changes_to_one_state_of_a_movie_one_counts() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let mut movie = create(&clients, plain(&marker)).await;
    for round in 0..5 {
        let changes = (0..20).map(|writer| {
            let score = f64::from(round * 20 + writer) / 2.0 + 0.25;
            let (clients, etag) = (clients.clone(), movie.etag.clone());
            let given = Movie { score, ..movie_of(&movie) };
            async move { update(&clients, given, &["score"], &etag).await }
        });
        let (mut done, mut stale) = (Vec::new(), 0);
        for result in join_all(changes).await {
            match result {
                Ok(movie) => done.push(movie),
                Err(status) => {
                    assert_eq!(Refusal::from(status).is(), (Code::Aborted, "ETAG_STALE"));
                    stale += 1;
                }
            }
        }
        assert_eq!((done.len(), stale), (1, 19), "round {round}");
        movie = get(&world, &movie.movie_id).await.unwrap();
        assert_eq!(movie, done[0]);
    }
}

#[tokio::test]
async fn s34_of_many_who_make_the_same_movie_one_does() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let calls =
        (0..20).map(async |_| clients.movies().create_movie(CreateMovieRequest { movie: Some(plain(&marker)) }).await);
    let results = join_all(calls).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for status in results.into_iter().filter_map(Result::err) {
        assert_eq!(Refusal::from(status).is(), (Code::AlreadyExists, "MOVIE_EXISTS"));
    }
    assert_eq!(found(&world, &marker).await.len(), 1);
}

#[tokio::test]
async fn s36_what_looks_like_sql_is_a_movie_like_any_other() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let corpus = [
        "'",
        "\"",
        "\\",
        "%",
        "_",
        "' or '1'='1",
        "'; drop table movie; --",
        "$1",
        "?1",
        "))--",
        "{{7*7}}",
        "a:*|!b",
        "\u{200f}",
        "\u{200c}",
        "NEAR(a b)",
        "null",
        "\\u0000",
        "'x':1A",
    ];
    for text in corpus {
        let name = format!("{marker} {text} x");
        let given = Movie {
            original_name: name.clone(),
            overview: name.clone(),
            genres: vec![name.clone()],
            actors: vec![name.clone()],
            languages: vec![name.clone()],
            ..plain(&name)
        };
        let made = create(&clients, given).await;
        assert_eq!([&made.name, &made.overview, &made.genres[0], &made.actors[0]], [&name; 4]);
        assert!(found(&world, &name).await.contains(&name), "{text}");
        let filter = Some(MovieFilter { actors: vec![name.clone()], ..Default::default() });
        assert_eq!(
            super::list(&world, ListMoviesRequest { filter, ..Default::default() }).await.total_size,
            1,
            "{text}"
        );
        let etag = text.to_owned();
        let error = clients.movies().delete_movie(DeleteMovieRequest { movie_id: made.movie_id, etag }).await;
        assert_eq!(refusal(error).is(), (Code::Aborted, "ETAG_STALE"), "{text}");
    }
}
