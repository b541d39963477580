//! K1: movies are read and listed. What is listed is held against a list of the same movies in memory.

use std::cmp::Reverse;
use std::collections::HashSet;

use tokio::sync::OnceCell;

use super::{HEADER, all, cell, import, list, marker};
use crate::harness::prelude::*;

const GENRES: [&str; 5] = ["Drama", "Comedy", "Science Fiction", "Wár", "Action"];
const LANGUAGES: [&str; 4] = ["English", "Japanese", "Français", "Dutch"];
const COUNTRIES: [(&str, &str); 4] = [("JP", "JPN"), ("US", "USA"), ("SU", "SUN"), ("XC", "CSK")];
const STATUSES: [(&str, MovieStatus); 3] = [
    ("Released", MovieStatus::Released),
    ("Post Production", MovieStatus::PostProduction),
    ("In Production", MovieStatus::InProduction),
];

/// 120 movies in the shared world, filed under a genre of their own, in the order in which they were imported.
pub struct Cinema {
    pub marker: String,
    pub movies: Vec<Movie>,
}

static CINEMA: OnceCell<Cinema> = OnceCell::const_new();

pub async fn cinema(world: &World) -> &'static Cinema {
    CINEMA.get_or_init(|| Cinema::open(world)).await
}

impl Cinema {
    async fn open(world: &World) -> Cinema {
        let marker = marker();
        let movies: Vec<Movie> = (0..120).map(|number| movie(&marker, number)).collect();
        let mut file = format!("{HEADER},crew\n");
        for movie in &movies {
            file += &row(movie);
        }
        let summary = import(world, file.as_bytes()).await;
        assert_eq!((summary.movies_stored, summary.rows_rejected), (120, 0), "{summary:?}");
        let mut cinema = Cinema { marker, movies };
        let stored = all(world, cinema.filter(), "movie_id", 100).await;
        for (movie, stored) in cinema.movies.iter_mut().zip(stored) {
            // What the server alone knows is taken over, all else must be as it was sent.
            movie.movie_id = stored.movie_id.clone();
            (movie.create_time, movie.update_time) = (stored.create_time, stored.update_time);
            movie.etag = stored.etag.clone();
            assert_eq!(*movie, stored);
        }
        cinema
    }

    /// Its movies and no others.
    pub fn filter(&self) -> MovieFilter {
        MovieFilter { genres: vec![self.marker.clone()], ..Default::default() }
    }
}

fn movie(marker: &str, number: usize) -> Movie {
    let pick = |from: &[&str], step: usize| from[number / step % from.len()].to_owned();
    let (_, country) = COUNTRIES[number / 2 % COUNTRIES.len()];
    let names = ["Álfa", "alfa", "Beta", "Ähre", "Zeta", "ärger", "Omega"];
    Movie {
        name: format!("{} {}", names[number % names.len()], number / 14),
        original_name: format!("Original {number}, \"quoted\""),
        release_date: format!("{}-{:02}-{:02}", 1950 + number % 60, number % 12 + 1, number % 28 + 1),
        score: f64::from((number % 11) as u32) * 10.0,
        overview: format!("Line one of {number},\nline two."),
        status: STATUSES[number % 3].1.into(),
        budget: format!("{}.{:02}", number * 1_000_003, number % 100),
        revenue: "340941958.60".to_owned(),
        country: (number % 10 != 9)
            .then(|| Country { code: country.to_owned(), name: country_name(country).to_owned() }),
        genres: vec![marker.to_owned(), pick(&GENRES, 1)],
        actors: vec![format!("{marker} Ñandú {}", number % 7), format!("{marker} B{}", number % 40)],
        languages: if number.is_multiple_of(8) { Vec::new() } else { vec![pick(&LANGUAGES, 3)] },
        ..Default::default()
    }
}

fn country_name(code: &str) -> &'static str {
    match code {
        "JPN" => "Japan",
        "USA" => "United States",
        "SUN" => "Soviet Union",
        _ => "Czechoslovakia",
    }
}

fn row(movie: &Movie) -> String {
    let country = movie.country.as_ref().and_then(|country| COUNTRIES.iter().find(|(_, code)| *code == country.code));
    let status = STATUSES.iter().find(|(_, status)| *status as i32 == movie.status).unwrap().0;
    let cells = [
        movie.name.clone(),
        movie.release_date.clone(),
        movie.score.to_string(),
        movie.genres.join(","),
        movie.overview.clone(),
        movie.original_name.clone(),
        status.to_owned(),
        movie.languages.join(","),
        movie.budget.clone(),
        movie.revenue.clone(),
        country.map(|(code, _)| (*code).to_owned()).unwrap_or_default(),
        movie.actors.join(","),
    ];
    cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",") + "\n"
}

/// Sorts movies, given how a name is folded.
type Sort = fn(&mut Vec<Movie>, &dyn Fn(&Movie) -> String);

fn ids(movies: &[Movie]) -> Vec<&str> {
    movies.iter().map(|movie| movie.movie_id.as_str()).collect()
}

#[tokio::test]
async fn k1_a_movie_is_read_by_its_id_by_anybody() {
    let world = World::shared().await;
    let movie = &cinema(&world).await.movies[17];
    let request = GetMovieRequest { movie_id: movie.movie_id.clone() };
    let answer = world.movies().get_movie(request).await.expect("no movie").into_inner();
    assert_eq!(answer.movie.as_ref(), Some(movie));
    assert!(movie.create_time.is_some() && movie.create_time == movie.update_time);
}

#[tokio::test]
async fn k1_an_unknown_movie_is_not_found() {
    let world = World::shared().await;
    for id in ["0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60", "x", "", "' or '1'='1", "0198B3F27D0C7A518F0E5B1D2C3E4F60"] {
        let error = refusal(world.movies().get_movie(GetMovieRequest { movie_id: id.to_owned() }).await);
        assert_eq!(error.is(), (Code::NotFound, "MOVIE_NOT_FOUND"), "{id}");
        assert_eq!(error.message, "Movie with the given ID was not found.");
        assert_eq!(error.metadata["movie_id"], id);
    }
}

#[tokio::test]
async fn k1_every_filter_finds_what_it_should() {
    let world = World::shared().await;
    let cinema = cinema(&world).await;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
    let code = |movie: &Movie| movie.country.clone().map(|country| country.code).unwrap_or_default();
    let year = |movie: &Movie| movie.release_date[..4].parse::<i32>().unwrap();
    type Test<'a> = Box<dyn Fn(&Movie) -> bool + 'a>;
    let cases: Vec<(&str, MovieFilter, Test<'_>)> = vec![
        ("all", MovieFilter::default(), Box::new(|_| true)),
        (
            "an actor, in other letters",
            MovieFilter { actors: words(&[&format!("{} NANDU 3", cinema.marker)]), ..Default::default() },
            Box::new(|movie| has(&movie.actors, &format!("{} Ñandú 3", cinema.marker))),
        ),
        (
            "one of two actors",
            MovieFilter {
                actors: words(&[&format!("{} ñandú 3", cinema.marker), &format!("{} b39", cinema.marker)]),
                ..Default::default()
            },
            Box::new(|movie| movie.actors[0].ends_with(" 3") || movie.actors[1].ends_with("B39")),
        ),
        (
            "countries by either code",
            MovieFilter { countries: words(&["jp", "SUN", "XC", "CSK"]), ..Default::default() },
            Box::new(|movie| ["JPN", "SUN", "CSK"].contains(&code(movie).as_str())),
        ),
        (
            "languages",
            MovieFilter { languages: words(&["francais", "DUTCH"]), ..Default::default() },
            Box::new(|movie| has(&movie.languages, "Français") || has(&movie.languages, "Dutch")),
        ),
        (
            "a status",
            MovieFilter { statuses: vec![MovieStatus::InProduction.into()], ..Default::default() },
            Box::new(|movie| movie.status() == MovieStatus::InProduction),
        ),
        (
            "years, both ends included",
            MovieFilter { min_year: Some(1960), max_year: Some(1969), ..Default::default() },
            Box::new(|movie| (1960..=1969).contains(&year(movie))),
        ),
        (
            "scores, both ends included",
            MovieFilter { min_score: Some(20.0), max_score: Some(70.0), ..Default::default() },
            Box::new(|movie| (20.0..=70.0).contains(&movie.score)),
        ),
        (
            "all together",
            MovieFilter {
                countries: words(&["US", "JP"]),
                languages: words(&["English", "Japanese"]),
                statuses: vec![MovieStatus::Released.into(), MovieStatus::PostProduction.into()],
                min_year: Some(1955),
                max_year: Some(2000),
                min_score: Some(10.0),
                ..Default::default()
            },
            Box::new(|movie| {
                ["USA", "JPN"].contains(&code(movie).as_str())
                    && (has(&movie.languages, "English") || has(&movie.languages, "Japanese"))
                    && movie.status() != MovieStatus::InProduction
                    && (1955..=2000).contains(&year(movie))
                    && movie.score >= 10.0
            }),
        ),
        (
            "what nobody is filed under",
            MovieFilter { actors: words(&["Nobody at all"]), ..Default::default() },
            Box::new(|_| false),
        ),
        (
            "years that no movie is of",
            MovieFilter { min_year: Some(2000), max_year: Some(1999), ..Default::default() },
            Box::new(|_| false),
        ),
    ];
    for (name, filter, matches) in cases {
        // Any of several genres may be, so the marker can't stand beside others in that list.
        let found =
            all(&world, MovieFilter { genres: vec![cinema.marker.to_lowercase()], ..filter }, "movie_id", 7).await;
        let expected: Vec<Movie> = cinema.movies.iter().filter(|movie| matches(movie)).cloned().collect();
        assert_eq!(ids(&found), ids(&expected), "{name}");
    }
    let filter = MovieFilter {
        genres: words(&["WAR", "drama"]),
        actors: (0..7).map(|number| format!("{} ñandú {number}", cinema.marker)).collect(),
        ..Default::default()
    };
    let expected: Vec<Movie> = cinema
        .movies
        .iter()
        .filter(|movie| has(&movie.genres, "Wár") || has(&movie.genres, "Drama"))
        .cloned()
        .collect();
    assert_eq!(ids(&all(&world, filter, "movie_id", 100).await), ids(&expected), "genres");
}

#[tokio::test]
async fn k1_every_order_is_kept_over_pages_of_every_size() {
    let world = World::shared().await;
    let cinema = cinema(&world).await;
    let folded = |movie: &Movie| movie.name.to_lowercase().replace(['á', 'ä'], "a");
    let orders: [(&str, Sort); 9] = [
        ("", |movies, _| movies.reverse()),
        ("movie_id desc", |movies, _| movies.reverse()),
        ("movie_id", |_, _| {}),
        ("name", |movies, folded| movies.sort_by_key(|movie| (folded(movie), Reverse(movie.movie_id.clone())))),
        ("name desc", |movies, folded| movies.sort_by_key(|movie| Reverse((folded(movie), movie.movie_id.clone())))),
        ("release_date", |movies, _| {
            movies.sort_by_key(|movie| (movie.release_date.clone(), Reverse(movie.movie_id.clone())))
        }),
        ("release_date desc", |movies, _| {
            movies.sort_by_key(|movie| Reverse((movie.release_date.clone(), movie.movie_id.clone())))
        }),
        ("score", |movies, _| movies.sort_by_key(|movie| (movie.score as i32, Reverse(movie.movie_id.clone())))),
        ("score desc", |movies, _| movies.sort_by_key(|movie| Reverse((movie.score as i32, movie.movie_id.clone())))),
    ];
    for (order, sort) in orders {
        let mut expected = cinema.movies.clone();
        sort(&mut expected, &folded);
        for page_size in [1, 9, 40, 100] {
            let found = all(&world, cinema.filter(), order, page_size).await;
            assert_eq!(ids(&found), ids(&expected), "`{order}` by {page_size}");
        }
    }
}

#[tokio::test]
async fn k1_pages_are_reached_by_number_and_the_empty_one_is_fine() {
    let world = World::shared().await;
    let cinema = cinema(&world).await;
    let expected = all(&world, cinema.filter(), "name desc", 100).await;
    let request = |page| ListMoviesRequest {
        filter: Some(cinema.filter()),
        order_by: "name desc".to_owned(),
        page_size: 50,
        page,
        ..Default::default()
    };
    for (page, range) in [(0, 0..50), (1, 0..50), (2, 50..100), (3, 100..120), (4, 120..120), (1_000_000, 120..120)] {
        let answer = list(&world, request(page)).await;
        assert_eq!(ids(&answer.movies), ids(&expected[range.clone()]), "page {page}");
        assert_eq!((answer.total_size, answer.total_pages), (120, 3), "page {page}");
        assert_eq!(answer.next_page_token.is_empty(), range.end == 120, "page {page}");
    }
    // From a page that was reached by number one goes on by token.
    let second = list(&world, request(2)).await;
    let third = list(&world, ListMoviesRequest { page_token: second.next_page_token, ..request(0) }).await;
    assert_eq!(ids(&third.movies), ids(&expected[100..]));
    assert_eq!((third.total_size, third.total_pages), (120, 3));
    let none = MovieFilter { max_year: Some(1), ..cinema.filter() };
    let answer = list(&world, ListMoviesRequest { filter: Some(none), ..Default::default() }).await;
    assert_eq!(
        (answer.movies.len(), answer.total_size, answer.total_pages, answer.next_page_token.as_str()),
        (0, 0, 0, "")
    );
}

#[tokio::test]
async fn k1_page_sizes_have_a_default_and_an_end() {
    let world = World::shared().await;
    let cinema = cinema(&world).await;
    for (page_size, expected) in [(0, 25), (1, 1), (100, 100), (101, 100), (i32::MAX, 100)] {
        let answer =
            list(&world, ListMoviesRequest { filter: Some(cinema.filter()), page_size, ..Default::default() }).await;
        assert_eq!(answer.movies.len(), expected, "{page_size}");
    }
}

#[tokio::test]
async fn k1_all_violations_of_a_list_are_named_together() {
    let world = World::shared().await;
    let filter = MovieFilter {
        genres: vec![String::new()],
        actors: vec!["x".repeat(256)],
        countries: vec!["Japan".to_owned()],
        languages: vec!["English".to_owned(); 21],
        statuses: vec![0, 7],
        min_year: Some(0),
        max_year: Some(-5),
        min_score: Some(f64::NAN),
        max_score: Some(101.0),
    };
    let request = ListMoviesRequest {
        filter: Some(filter),
        order_by: "budget".to_owned(),
        page_size: -1,
        page_token: "rubbish".to_owned(),
        page: -1,
    };
    let error = refusal(world.movies().list_movies(request).await);
    assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    let fields: HashSet<&str> = error.fields.iter().map(String::as_str).collect();
    let expected = [
        "filter.genres",
        "filter.actors",
        "filter.countries",
        "filter.languages",
        "filter.statuses",
        "filter.min_year",
        "filter.max_year",
        "filter.min_score",
        "filter.max_score",
        "order_by",
        "page_size",
        "page",
        "page_token",
    ];
    assert_eq!(fields, expected.into_iter().collect());
}

#[tokio::test]
async fn k1_a_page_number_and_a_token_exclude_each_other() {
    let world = World::shared().await;
    let cinema = cinema(&world).await;
    let first = list(&world, ListMoviesRequest { filter: Some(cinema.filter()), ..Default::default() }).await;
    let both = ListMoviesRequest {
        filter: Some(cinema.filter()),
        page_token: first.next_page_token,
        page: 2,
        ..Default::default()
    };
    let error = refusal(world.movies().list_movies(both).await);
    assert_eq!((error.is(), error.fields.join(" ").as_str()), ((Code::InvalidArgument, "FIELDS_INVALID"), "page"));
}
