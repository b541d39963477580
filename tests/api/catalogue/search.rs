//! K1: movies are searched. What is found and counted is held against a look at every movie, on both engines.

use std::collections::BTreeMap;

use tokio::sync::OnceCell;

use super::naive::{self, Known};
use super::{HEADER, all, cell, create, editor, found, import, marker, plain, search};
use crate::harness::prelude::*;

/// Names and stories of many languages, of which the movies of the run are made when there is no real file.
const NAMES: [&str; 26] = [
    "Amélie",
    "Le fabuleux destin d'Amélie Poulain",
    "Łódź Stories",
    "千と千尋の神隠し",
    "鬼滅の刃 無限列車編",
    "기생충",
    "길복순",
    "Der Straßenfeger",
    "El laberinto del fauno",
    "Schindler's List",
    "Star Wars: Episode IV",
    "WALL·E",
    "Rock 'n' Roll High School",
    "Война и мир",
    "Ὀδύσσεια",
    "Bão mùa hè",
    "L'Œuvre au noir",
    "O'Brien's War",
    "The Matrix Reloaded",
    "Spider-Man 3",
    "50/50",
    "M*A*S*H",
    "OR NOT",
    "ガンダム00 劇場版",
    "कभी खुशी कभी ग़म",
    "ฉลาดเกมส์โกง",
];
const STORIES: [&str; 8] = [
    "A keeper of the light waits for the storm that took her father.",
    "Two thieves plan one last job; the city has other plans. Don't trust anyone!",
    "In Warszawa, a pianist falls in love with the wrong señora.",
    "少年は海を渡る。 A boy crosses the sea, alone.",
    "She's the best detective in Ångström county, but he'd rather dance.",
    "War. Peace. And everything in between — 1945 to 1989.",
    "An AI learns to lie; NEAR the end it learns to love.",
    "",
];
const GENRES: [&str; 7] = ["Drama", "Action", "Comedy", "Horror", "Science Fiction", "Wár", "Animation"];
const LANGUAGES: [&str; 5] = ["English", "Japanese", "Français", "Korean", "Polski"];
const COUNTRIES: [&str; 6] = ["AU", "US", "JP", "FR", "SU", ""];
const ACTORS: [&str; 6] = ["Zoë Kravitz", "Penélope Cruz", "宮崎 駿", "송강호", "Renée O'Connor", "Star Jones"];

const QUERIES: [&str; 84] = [
    "",
    "a",
    "the",
    "the ma",
    "star",
    "STAR WARS",
    "star wars",
    "\"star wars\"",
    "\"wars star\"",
    "\"star war\"",
    "wars ep",
    "amelie",
    "AMÉLIE",
    "Ame\u{301}lie",
    "amelie poul",
    "d'amelie",
    "fabuleux destin",
    "lodz",
    "Łódź",
    "strasse",
    "straße",
    "strass",
    "laberinto fauno",
    "schindlers",
    "schindler's",
    "schindler’s list",
    "dont",
    "don't",
    "don",
    "obrien",
    "o'brien",
    "o brien",
    "wall-e",
    "walle",
    "rock n roll",
    "spider man",
    "spiderman",
    "50 50",
    "50/50",
    "m*a*s*h",
    "mash",
    "or",
    "OR NOT",
    "NOT",
    "near",
    "NEAR(star wars, 5)",
    "star*",
    "^star",
    "star OR wars",
    "star AND NOT wars",
    "name:star",
    "-star",
    "+star",
    "千",
    "千と",
    "千尋",
    "と千",
    "神隠し",
    "\"千と千尋\"",
    "鬼滅",
    "刃",
    "ガンダム",
    "ガンダム0",
    "カンダム",
    "기생",
    "기생충",
    "길",
    "война",
    "ВОЙНА и",
    "одиссея",
    "οδυσσεια",
    "Ὀδύσσεια",
    "bao mua he",
    "œuvre",
    "oeuvre",
    "कभी",
    "ฉลาด",
    "1945 1989",
    "zoe kravitz",
    "\"penelope cruz\"",
    "宮崎",
    "송강호",
    "'; drop table movie; --",
    "' or '1'='1",
];

/// The catalogue of these tests: nobody changes it.
struct Stock {
    world: World,
    movies: Vec<Known>,
}

async fn stock() -> Stock {
    static FILE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let file = FILE.get_or_init(async || match std::env::var("QUARTET_TEST_MOVIES") {
        Ok(path) => std::fs::read(path).unwrap(),
        Err(_) => generated(),
    });
    let world = World::own().await;
    import(&world, file.await).await;
    let movies = all(&world, MovieFilter::default(), "", 100).await.into_iter().map(Known::new).collect();
    Stock { world, movies }
}

fn generated() -> Vec<u8> {
    let mut file = format!("{HEADER},crew\n");
    for number in 0..NAMES.len() * STORIES.len() {
        let (name, story) = (NAMES[number % NAMES.len()], STORIES[number / NAMES.len()]);
        let date = format!("{}-0{}-1{}", 1931 + number * 7 % 92, 1 + number % 9, number % 10);
        let status = ["Released", "Post Production", "In Production"][number % 3];
        let cells = [
            format!("{name} {}", number / NAMES.len()),
            date,
            (number * 3 % 101).to_string(),
            format!("{}, {}", GENRES[number % 7], GENRES[number / 5 % 7]),
            story.to_owned(),
            NAMES[number * 5 % NAMES.len()].to_owned(),
            status.to_owned(),
            LANGUAGES[number / 3 % 5].to_owned(),
            "1".to_owned(),
            "2".to_owned(),
            COUNTRIES[number % 6].to_owned(),
            format!("{}, {}", ACTORS[number % 6], ACTORS[number / 7 % 6]),
        ];
        file += &(cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",") + "\n");
    }
    file.into_bytes()
}

fn asked(query: &str, filter: &MovieFilter) -> SearchMoviesRequest {
    SearchMoviesRequest { query: query.to_owned(), filter: Some(filter.clone()), page_size: 100, ..Default::default() }
}

/// All that a search finds, page after page.
async fn pages(world: &World, mut request: SearchMoviesRequest) -> Vec<Movie> {
    let mut movies = Vec::new();
    loop {
        let page = search(world, request.clone()).await;
        movies.extend(page.movies);
        if page.next_page_token.is_empty() {
            assert_eq!(movies.len(), page.total_size as usize, "{}", request.query);
            return movies;
        }
        request.page_token = page.next_page_token;
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn filters() -> Vec<MovieFilter> {
    let none = MovieFilter::default();
    vec![
        none.clone(),
        MovieFilter { genres: words(&["drama", "war"]), ..none.clone() },
        MovieFilter { countries: words(&["JPN", "SUN"]), min_score: Some(20.0), ..none.clone() },
        MovieFilter { languages: words(&["ENGLISH"]), genres: words(&["Action"]), ..none.clone() },
        MovieFilter { min_year: Some(1960), max_year: Some(1999), ..none.clone() },
        MovieFilter { statuses: vec![MovieStatus::Released.into()], min_year: Some(1950), ..none.clone() },
        MovieFilter { actors: words(&["zoe kravitz", "宮崎 駿"]), max_score: Some(80.0), ..none.clone() },
        MovieFilter {
            genres: words(&["Comedy"]),
            countries: words(&["USA"]),
            languages: words(&["English", "polski"]),
            statuses: vec![MovieStatus::Released.into(), MovieStatus::InProduction.into()],
            min_year: Some(1940),
            ..none.clone()
        },
        MovieFilter { genres: words(&["nothing is this"]), ..none },
    ]
}

#[tokio::test]
async fn k1_a_search_finds_what_a_look_at_every_movie_finds() {
    let stock = stock().await;
    let mut hits = 0;
    for query in QUERIES {
        let request = asked(query, &MovieFilter::default());
        let ids: Vec<String> = pages(&stock.world, request).await.into_iter().map(|movie| movie.movie_id).collect();
        let expected = naive::search(&stock.movies, query, &MovieFilter::default());
        let found = ids.iter().cloned().collect();
        assert_eq!(expected, found, "`{query}`");
        assert_eq!(ids.len(), expected.len(), "`{query}` finds a movie twice");
        hits += usize::from(!ids.is_empty());
    }
    assert!(hits > 40, "only {hits} queries have found anything");
}

#[tokio::test]
async fn k1_facets_are_a_plain_count_that_ignores_its_own_filter() {
    let stock = stock().await;
    for query in ["", "a", "the", "star", "\"star wars\"", "千", "amelie"] {
        for filter in filters() {
            let answer = search(&stock.world, SearchMoviesRequest { with_facets: true, ..asked(query, &filter) }).await;
            let expected = naive::search(&stock.movies, query, &filter);
            assert_eq!(answer.total_size as usize, expected.len(), "`{query}` {filter:?}");
            let MovieFacets { genres, countries, languages, decades, statuses } = answer.facets.unwrap();
            let expected = naive::facets(&stock.movies, query, &filter);
            for (found, expected) in [genres, countries, languages, decades, statuses].into_iter().zip(expected) {
                top(found, expected, &format!("`{query}` {filter:?}"));
            }
        }
    }
}

/// Of a facet the fifty values that most have, the most first.
fn top(found: Vec<FacetCount>, expected: BTreeMap<String, i32>, what: &str) {
    assert_eq!(found.len(), expected.len().min(50), "{what}: {found:?} {expected:?}");
    for count in &found {
        assert_eq!(expected.get(&count.value), Some(&count.movies), "{what}: {}", count.value);
        assert!(!count.name.is_empty());
    }
    assert!(found.is_sorted_by_key(|count| std::cmp::Reverse(count.movies)), "{what}");
    let least = found.last().map_or(0, |count| count.movies);
    let more = expected.values().filter(|movies| **movies > least).count();
    assert!(more <= found.len(), "{what}: a value with more movies is missing");
}

#[tokio::test]
async fn k1_pages_of_every_size_give_the_same_order() {
    let stock = stock().await;
    for query in ["", "star", "the"] {
        let request = asked(query, &MovieFilter { min_score: Some(90.0), ..Default::default() });
        let whole = pages(&stock.world, request.clone()).await;
        for page_size in [1, 7, 64] {
            let part = pages(&stock.world, SearchMoviesRequest { page_size, ..request.clone() }).await;
            assert_eq!(part, whole, "`{query}` by {page_size}");
        }
        let second = SearchMoviesRequest { page_size: 5, page: 2, ..request.clone() };
        let expected: Vec<Movie> = whole.iter().skip(5).take(5).cloned().collect();
        assert_eq!(search(&stock.world, second).await.movies, expected);
        let beyond = SearchMoviesRequest { page: 1_000_000, ..request };
        let answer = search(&stock.world, beyond).await;
        assert_eq!((answer.movies.len(), answer.total_size as usize), (0, whole.len()));
        assert!(answer.facets.is_none(), "facets that nobody has asked for");
    }
}

#[tokio::test]
async fn k1_the_best_answers_come_first() {
    let world = World::shared().await;
    let (clients, word) = (editor(&world).await, marker());
    let movies = [
        (5, Movie { overview: format!("About {word}."), score: 99.0, ..plain(&format!("{word}A: 5")) }),
        (4, Movie { actors: vec![format!("Ann {word}")], ..plain("4") }),
        (3, Movie { original_name: format!("Der {word}"), ..plain("3") }),
        (2, Movie { score: 80.0, ..plain(&format!("The {word}s of 2")) }),
        (1, Movie { score: 10.0, ..plain(&format!("The {word} of 1")) }),
        (0, Movie { score: 1.0, ..plain(&word.to_uppercase()) }),
        (6, Movie { overview: format!("About {word}."), score: 3.0, ..plain("6") }),
        (7, Movie { overview: format!("{word}ology"), score: 2.0, ..plain("7") }),
    ];
    let mut expected = BTreeMap::new();
    for (place, movie) in movies {
        // Places 2 and 5 both have the beginning of a word in the name.
        let movie = Movie { release_date: format!("199{place}-01-01"), ..movie };
        expected.insert(place, create(&clients, movie).await.name);
    }
    let order = found(&world, &word).await;
    let five = expected.remove(&5).unwrap();
    let order: Vec<&String> = order.iter().filter(|name| **name != five).collect();
    assert_eq!(order, expected.values().collect::<Vec<_>>());
}

#[tokio::test]
async fn k1_what_is_written_is_found_at_once_and_what_is_gone_is_not() {
    let world = World::shared().await;
    let (clients, one, two) = (editor(&world).await, marker(), marker());
    assert!(found(&world, &one).await.is_empty());
    let movie = create(&clients, plain(&format!("Tale of {one}"))).await;
    assert_eq!(found(&world, &one).await, std::slice::from_ref(&movie.name));
    let change = Movie { movie_id: movie.movie_id.clone(), overview: format!("Of {two}."), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: words(&["overview"]) });
    let request = UpdateMovieRequest { movie: Some(change), update_mask, etag: String::new() };
    clients.movies().update_movie(request).await.unwrap();
    assert_eq!(found(&world, &format!("{one} {two}")).await, [movie.name]);
    let request = DeleteMovieRequest { movie_id: movie.movie_id, etag: String::new() };
    clients.movies().delete_movie(request).await.unwrap();
    assert!(found(&world, &one).await.is_empty() && found(&world, &two).await.is_empty());
}

#[tokio::test]
async fn k1_all_violations_of_a_search_are_named_together() {
    let world = World::shared().await;
    let request = SearchMoviesRequest {
        query: "x".repeat(64 * 1024 + 1),
        filter: Some(MovieFilter { min_year: Some(0), ..Default::default() }),
        page_size: -1,
        page_token: "rubbish".to_owned(),
        page: -1,
        with_facets: true,
    };
    let error = refusal(world.movies().search_movies(request).await);
    assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    let mut fields = error.fields;
    fields.sort();
    fields.dedup();
    assert_eq!(fields, ["filter.min_year", "page", "page_size", "page_token", "query"]);
}

#[tokio::test]
async fn s36_a_question_of_64_kib_is_text_like_any_other() {
    let world = World::shared().await;
    let long = [
        "a*".repeat(32 * 1024),
        "(".repeat(64 * 1024),
        "\"".repeat(64 * 1024),
        "NEAR(".repeat(13_000),
        "'a' & ".repeat(10_000),
        (0..9_000).map(|number| format!("a{number} ")).collect(),
        "\u{fdfa}".repeat(21_000),
        "a'".repeat(32 * 1024),
        "千".repeat(21_000),
    ];
    for query in long {
        let begin: String = query.chars().take(20).collect();
        let answer = world.movies().search_movies(SearchMoviesRequest { query, ..Default::default() }).await;
        assert!(answer.is_ok(), "{begin}…: {answer:?}");
    }
}
