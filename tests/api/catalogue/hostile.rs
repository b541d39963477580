//! S-35, S-36: what comes back altered, or looks like SQL.

use super::list;
use super::movie::cinema;
use crate::harness::prelude::*;

#[tokio::test]
async fn s35_a_token_is_refused_with_another_filter_or_order() {
    let world = World::shared().await;
    let cinema = cinema(&world).await;
    let request =
        ListMoviesRequest { filter: Some(cinema.filter()), order_by: "score desc".to_owned(), ..Default::default() };
    let page_token = list(&world, request.clone()).await.next_page_token;
    let others = [
        ListMoviesRequest { filter: None, page_token: page_token.clone(), ..request.clone() },
        ListMoviesRequest { order_by: "score".to_owned(), page_token: page_token.clone(), ..request.clone() },
        ListMoviesRequest { order_by: String::new(), page_token: page_token.clone(), ..request.clone() },
    ];
    for other in others {
        let error = refusal(world.movies().list_movies(other).await);
        assert_eq!(
            (error.is(), error.fields.join(" ").as_str()),
            ((Code::InvalidArgument, "FIELDS_INVALID"), "page_token")
        );
    }
    // Another size of page is fine, and so is the same filter in other words.
    let filter = MovieFilter { genres: vec![cinema.marker.to_uppercase(); 2], ..Default::default() };
    let other = ListMoviesRequest { filter: Some(filter), page_size: 3, page_token, ..request };
    assert_eq!(list(&world, other).await.movies.len(), 3);
}

#[tokio::test]
async fn s35_a_mutated_token_is_refused_or_gives_a_page() {
    let world = World::shared().await;
    let cinema = cinema(&world).await;
    for order in ["", "name", "score desc", "release_date"] {
        let request = ListMoviesRequest {
            filter: Some(cinema.filter()),
            order_by: order.to_owned(),
            page_size: 5,
            ..Default::default()
        };
        let token = list(&world, request.clone()).await.next_page_token.into_bytes();
        for place in 0..token.len() {
            for letter in [b'A', b'z', b'9', b'-', b'\''] {
                let mut mutated = token.clone();
                mutated[place] = letter;
                let page_token = String::from_utf8(mutated).unwrap();
                match world.movies().list_movies(ListMoviesRequest { page_token, ..request.clone() }).await {
                    Ok(answer) => assert!(answer.into_inner().movies.len() <= 5),
                    Err(status) => assert_eq!(Refusal::from(status).is(), (Code::InvalidArgument, "FIELDS_INVALID")),
                }
            }
        }
    }
}

#[tokio::test]
async fn s36_what_looks_like_sql_is_a_name_like_any_other() {
    let world = World::shared().await;
    let corpus = [
        "'",
        "''",
        "\"",
        "\\",
        "%",
        "_",
        "a%",
        "' or '1'='1",
        "'; drop table movie; --",
        "$1",
        "?1",
        "))--",
        "\u{10ffff}",
        "\u{202e}",
        "é",
        "null",
        "{{7*7}}",
    ];
    for text in corpus {
        let name = || vec![text.to_owned()];
        let filters = [
            MovieFilter { genres: name(), ..Default::default() },
            MovieFilter { actors: name(), ..Default::default() },
            MovieFilter { languages: name(), ..Default::default() },
        ];
        for filter in filters {
            let answer = list(&world, ListMoviesRequest { filter: Some(filter), ..Default::default() }).await;
            assert_eq!((answer.movies.len(), answer.total_size), (0, 0), "{text}");
        }
        let countries = MovieFilter { countries: name(), ..Default::default() };
        let refused = [
            ListMoviesRequest { order_by: text.to_owned(), ..Default::default() },
            ListMoviesRequest { page_token: text.to_owned(), ..Default::default() },
            ListMoviesRequest { filter: Some(countries), ..Default::default() },
        ];
        for request in refused {
            let error = refusal(world.movies().list_movies(request).await);
            assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{text}");
        }
    }
    let nul = MovieFilter { actors: vec!["a\0b".to_owned()], ..Default::default() };
    let error =
        refusal(world.movies().list_movies(ListMoviesRequest { filter: Some(nul), ..Default::default() }).await);
    assert_eq!(error.fields, ["filter.actors"]);
}

/// A letter changed, one left out, one doubled, or the end cut off.
fn mutated(token: &str, seed: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    let at = seed * 7919 % bytes.len();
    match seed % 4 {
        0 | 1 => bytes[at] = b"Az9-_'%\" "[seed / 4 % 9],
        2 => bytes.insert(at, b'A' + (seed % 26) as u8),
        _ => bytes.truncate(at),
    }
    String::from_utf8(bytes).unwrap()
}

/// S-35: of 10,000 cursors each that were tampered with.
#[tokio::test]
async fn s35_a_mutated_cursor_of_a_search_or_a_feed_is_refused_or_right() {
    let world = World::shared().await;
    let cinema = cinema(&world).await;
    let request = SearchMoviesRequest {
        query: "line".to_owned(),
        filter: Some(cinema.filter()),
        page_size: 5,
        ..Default::default()
    };
    let search = super::search(&world, request.clone()).await;
    let (mut movies, mut refused) = (world.movies(), 0);
    for seed in 0..8000 {
        let page_token = mutated(&search.next_page_token, seed);
        match movies.search_movies(SearchMoviesRequest { page_token, ..request.clone() }).await {
            Ok(answer) => assert!(answer.into_inner().movies.len() <= 5),
            Err(status) => {
                assert_eq!(Refusal::from(status).is(), (Code::InvalidArgument, "FIELDS_INVALID"));
                refused += 1;
            }
        }
    }
    assert!(refused > 6000, "{refused}");
    let mut stream = movies.watch_movies(WatchMoviesRequest::default()).await.unwrap().into_inner();
    let cursor = stream.message().await.unwrap().unwrap().cursor;
    for seed in 0..2000 {
        let request = WatchMoviesRequest { cursor: mutated(&cursor, seed) };
        if let Err(status) = movies.watch_movies(request).await {
            let refused = Refusal::from(status);
            let known = [(Code::InvalidArgument, "FIELDS_INVALID"), (Code::FailedPrecondition, "CURSOR_TOO_OLD")];
            assert!(known.contains(&refused.is()), "{refused:?}");
        }
    }
}
