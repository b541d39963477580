//! K3: movies come in from files.

use std::fs;
use std::path::PathBuf;

use tokio_stream::StreamExt as _;

use super::{HEADER, all, import, import_as, list, marker, pieces};
use crate::harness::prelude::*;

fn read(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).expect("no fixture")
}

fn counts(summary: &ImportSummary) -> [i32; 5] {
    [summary.rows_read, summary.movies_stored, summary.movies_unchanged, summary.rows_duplicate, summary.rows_rejected]
}

/// The findings, one a line; long values cut.
fn findings(summary: &ImportSummary) -> String {
    let line = |issue: &ImportIssue| {
        let message: String = issue.message.replace('\t', " ").chars().take(90).collect();
        let message = message.trim_end();
        format!("{} {}: {message}", issue.line, issue.kind().as_str_name().trim_start_matches("IMPORT_ISSUE_KIND_"))
    };
    summary.issues.iter().map(line).collect::<Vec<_>>().join("\n")
}

async fn movie_named(world: &World, name: &str) -> Movie {
    let movies = all(world, MovieFilter::default(), "name", 100).await;
    movies.into_iter().find(|movie| movie.name == name).expect("no such movie")
}

#[tokio::test]
async fn k3_every_kind_of_bad_row_is_reported_by_line_and_stops_no_other() {
    let world = World::own().await;
    let summary = import(&world, &read("movies.csv")).await;
    assert_eq!(counts(&summary), [36, 10, 0, 2, 24]);
    insta::assert_snapshot!(findings(&summary), @"
    3 REJECTED: `names` must not be empty: ``
    4 REJECTED: `names` must not be longer than 255 characters: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    7 REJECTED: `names` must not hold control characters: `A name with a tab`; `orig_title` must not hold
    8 REJECTED: `names` must be UTF-8: `A byte that is no letter �`; `orig_title` must be UTF-8: `A byte t
    9 REJECTED: `date_x` must be a date such as `2023-03-02` or `03/02/2023`: `02/30/2023`
    11 REJECTED: `date_x` must be a date such as `2023-03-02` or `03/02/2023`: `2.3.2023`
    12 REJECTED: `date_x` must be at most one year ahead: `12/31/2999`
    14 REJECTED: `score` must be a number from 0 to 100: `100.5`
    15 REJECTED: `score` must be a number from 0 to 100: `-1`
    17 REJECTED: `score` must be a number from 0 to 100: `good`
    18 REJECTED: `score` must be a number from 0 to 100: `nan`
    20 REJECTED: `score` must be a number from 0 to 100: ``
    21 REJECTED: `overview` must not be longer than 10000 characters: `oooooooooooooooooooooooooooooooooooo
    23 REJECTED: `status` must be `Released`, `Post Production` or `In Production`: `Lost`
    24 REJECTED: `budget_x` must not be negative: `-5.0`
    26 REJECTED: `budget_x` must have at most two decimals: `1.005`
    27 REJECTED: `budget_x` must be an amount such as `271616668.00`: `much`
    29 REJECTED: `revenue` is too large: `1e15`
    30 REJECTED: `revenue` must be an amount such as `271616668.00`: ``
    32 REJECTED: `country` must be an ISO 3166-1 code: `QQ`
    33 REJECTED: `genre` must not be longer than 255 characters: `ggggggggggggggggggggggggggggggggggggggggg
    34 REJECTED: the row has 3 cells, the header 11
    35 REJECTED: the row has 13 cells, the header 11
    36 REJECTED: `orig_title` must not be empty: ``
    37 DUPLICATE: repeats `The Long Quiet` of `2023-03-02`
    39 DUPLICATE: repeats `Tomorrow` of `2023-07-04`
    ");
    assert_eq!(list(&world, ListMoviesRequest::default()).await.total_size, 10);

    // The first row wins: the one that repeats it changed nothing.
    let quiet = movie_named(&world, "The Long Quiet").await;
    assert_eq!((quiet.score, &quiet.genres), (73.0, &vec!["Drama".to_owned(), "Action".to_owned()]));
    assert_eq!(quiet.overview, "A keeper, a lamp and \"the long quiet\" between two storms.");
    assert_eq!((quiet.budget.as_str(), quiet.revenue.as_str()), ("75000000.00", "271616668.00"));
    assert_eq!((quiet.release_date.as_str(), quiet.status()), ("2023-03-02", MovieStatus::Released));
    let metres = movie_named(&world, "Ten Metres").await;
    assert_eq!((metres.genres.len(), metres.languages), (0, vec!["Dutch".to_owned()]));
    let volga = movie_named(&world, "Snow on the Volga").await;
    assert_eq!(volga.country, Some(Country { code: "SUN".to_owned(), name: "Soviet Union".to_owned() }));
    assert_eq!((volga.budget.as_str(), volga.revenue.as_str()), ("2500000.00", "10000000.00"));
    let love = movie_named(&world, "Łódź, My Love").await;
    assert_eq!(
        (love.original_name.as_str(), love.genres),
        ("Łódź, moja miłość", vec!["Romance".to_owned(), "Drama".to_owned()])
    );
    assert_eq!(movie_named(&world, "Tomorrow").await.country, None);
    assert_eq!(movie_named(&world, "The Day After").await.status(), MovieStatus::InProduction);
    let clocks = all(&world, MovieFilter::default(), "release_date", 100).await;
    let clocks: Vec<String> =
        clocks.into_iter().filter(|movie| movie.name == "The Clockmaker").map(|movie| movie.release_date).collect();
    assert_eq!(clocks, ["1966-06-30", "2016-06-30"], "the same name on another day is another movie");
}

#[tokio::test]
async fn k3_the_other_shape_has_iso_dates_and_a_crew_that_is_stored_as_it_stands() {
    let world = World::own().await;
    let summary = import(&world, &read("movies_crew.csv")).await;
    assert_eq!(counts(&summary), [8, 5, 0, 1, 2]);
    insta::assert_snapshot!(findings(&summary), @"
    4 REJECTED: `date_x` must be a date such as `2023-03-02` or `03/02/2023`: `2021-13-01`
    6 DUPLICATE: repeats `Harbour` of `2021-03-02`
    8 REJECTED: `crew` must not be longer than 255 characters: `cccccccccccccccccccccccccccccccccccccccccc
    ");
    let harbour = movie_named(&world, "Harbour").await;
    assert_eq!(harbour.actors, ["AnnaBerg", "BenOtu", "Captain'Salt'Moor"]);
    assert_eq!(movie_named(&world, "One Name Twice").await.actors, ["AnnaBerg", "Kiri/Dr.GraceAugustine"]);
    assert_eq!(movie_named(&world, "Two Harbours").await.languages, ["Spanish", "Castilian"]);
    assert_eq!(movie_named(&world, "Seventeen").await.actors.len(), 17);
    let filter = MovieFilter { actors: vec!["josebenavidezjr.".to_owned()], ..Default::default() };
    assert_eq!(all(&world, filter, "", 10).await[0].name, "Two Harbours");
}

#[tokio::test]
async fn k3_a_second_import_changes_nothing() {
    let world = World::own().await;
    let file = read("movies.csv");
    let admin = world.admin().await;
    let first = import_as(&world, &admin, &file).await;
    let before = all(&world, MovieFilter::default(), "", 100).await;
    let second = import_as(&world, &admin, &file).await;
    assert_eq!(counts(&second), [36, 0, 10, 2, 24]);
    assert_eq!(second.issues, first.issues);
    assert_eq!(all(&world, MovieFilter::default(), "", 100).await, before);
    // Nor does another row of the same name and day in another file, with names that nobody has heard of.
    let rows = "The Long Quiet,2023-03-02,1,Unheard,.,Other,Released,Unheard,1,1,JP\n\
                New,2023-03-02,1,Heard,.,New,Released,Heard,1,1,JP\n";
    let third = import_as(&world, &admin, format!("{HEADER}\n{rows}").as_bytes()).await;
    assert_eq!(counts(&third), [2, 1, 1, 0, 0]);
    let unheard = ListGenresRequest { name_prefix: "unheard".to_owned(), ..Default::default() };
    assert_eq!(world.taxonomy().list_genres(unheard).await.expect("no genres").into_inner().genres, []);
    assert_eq!(list(&world, ListMoviesRequest::default()).await.total_size, 11, "the count follows the change");
}

#[tokio::test]
async fn k3_the_size_of_the_pieces_does_not_matter() {
    let world = World::own().await;
    let admin = world.admin().await;
    let file = read("movies_crew.csv");
    let mut expected = import_as(&world, &admin, &file).await;
    (expected.movies_stored, expected.movies_unchanged) = (0, expected.movies_stored);
    for size in [1, 7, file.len()] {
        let answer = admin.imports(&world).import_movies(pieces(&file, size)).await.expect("not imported").into_inner();
        assert_eq!(answer.summary.as_ref(), Some(&expected), "pieces of {size}");
    }
}

#[tokio::test]
async fn x19_the_twin_takes_a_whole_file_and_tells_how_far_it_is() {
    let world = World::own().await;
    let admin = world.admin().await;
    let mut file = format!("{HEADER}\n");
    for row in 0..3000 {
        file +=
            &format!("Movie {row},2001-01-01,{},Drama,{},Title,Released,English,1,1,JP\n", row % 100, "x".repeat(100));
    }
    file += "Movie 7,2001-01-01,1,Drama,.,Title,Released,English,1,1,JP\nbad\n";
    let request = ImportMovieFileRequest { content: file.into_bytes().into() };
    let mut answers =
        admin.imports(&world).import_movie_file(request.clone()).await.expect("not imported").into_inner();
    let mut seen: Vec<ImportMovieFileResponse> = Vec::new();
    while let Some(answer) = answers.next().await {
        seen.push(answer.expect("cut off"));
    }
    let (last, before) = seen.split_last().expect("no answer");
    assert!(last.done && before.len() >= 2 && before.iter().all(|answer| !answer.done));
    let stored: Vec<i32> = seen.iter().map(|answer| answer.summary.as_ref().unwrap().movies_stored).collect();
    assert!(stored.is_sorted() && stored[0] > 0, "{stored:?}");
    let summary = last.summary.clone().unwrap();
    assert_eq!(counts(&summary), [3002, 3000, 0, 1, 1]);
    assert_eq!(
        findings(&summary),
        "3002 DUPLICATE: repeats `Movie 7` of `2001-01-01`\n3003 REJECTED: the row has 1 cells, the header 11"
    );
    // By stream the same file finds everything there.
    assert_eq!(counts(&import_as(&world, &admin, &request.content).await), [3002, 0, 3000, 1, 1]);
}

#[tokio::test]
async fn k3_the_twin_takes_16_mib_and_refuses_a_wrong_header() {
    let world = World::own().await;
    let admin = world.admin().await;
    let mut content = format!("{HEADER}\nBig,2001-01-01,1,Drama,.,Title,Released,English,1,1,JP\n").into_bytes();
    content.resize(16 * 1024 * 1024, b'\n');
    let mut answers = admin
        .imports(&world)
        .import_movie_file(ImportMovieFileRequest { content: content.into() })
        .await
        .expect("refused")
        .into_inner();
    let last = answers.next().await.expect("no answer").expect("cut off");
    assert_eq!((last.done, counts(&last.summary.unwrap())), (true, [1, 1, 0, 0, 0]));
    let request = ImportMovieFileRequest { content: b"names,score\n".to_vec().into() };
    let status = match admin.imports(&world).import_movie_file(request).await {
        Err(status) => status,
        Ok(answers) => answers.into_inner().next().await.expect("no answer").expect_err("not refused"),
    };
    assert_eq!(Refusal::from(status).is(), (Code::InvalidArgument, "IMPORT_HEADER_INVALID"));
}

#[tokio::test]
async fn k3_a_file_without_its_columns_is_refused_before_anything_is_stored() {
    let world = World::own().await;
    let admin = world.admin().await;
    let row = "Name,2001-01-01,1,Drama,.,Title,Released,English,1,1,JP\n";
    let headless =
        [String::new(), "\n\n".to_owned(), row.repeat(1000), format!("{}\n{row}", HEADER.replace("score", "rating"))];
    for file in headless {
        let error = refusal(admin.imports(&world).import_movies(pieces(file.as_bytes(), 1000)).await);
        assert_eq!(error.is(), (Code::InvalidArgument, "IMPORT_HEADER_INVALID"));
        assert!(error.metadata["missing"].split(',').any(|column| column == "score"), "{error:?}");
    }
    assert_eq!(list(&world, ListMoviesRequest::default()).await.total_size, 0);
    // Columns may stand in any order, behind a byte order mark, beside others.
    let file = "\u{feff}extra,country,revenue,budget_x,orig_lang,status,orig_title,overview,genre,score,date_x,names\n\
                ?,JP,1,2,English,Released,Title,.,Drama,3,2001-01-01,Turned\n";
    assert_eq!(counts(&import_as(&world, &admin, file.as_bytes()).await), [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn k3_a_row_beyond_all_measure_is_rejected_and_the_next_one_read() {
    let world = World::own().await;
    let admin = world.admin().await;
    let huge = "x".repeat(3_000_000);
    let row = |name: &str, overview: &str| {
        format!("{name},2001-01-01,1,Drama,\"{overview}\",Title,Released,English,1,1,JP\n")
    };
    let file =
        format!("{HEADER}\n{}{}{}{}", row("One", "."), row("Two", &huge), row("Three", "."), ",".repeat(100_000));
    let summary = import_as(&world, &admin, file.as_bytes()).await;
    assert_eq!(counts(&summary), [4, 2, 0, 0, 2]);
    assert_eq!(findings(&summary), "3 REJECTED: the row is too large\n5 REJECTED: the row is too large");
}

#[tokio::test]
async fn k3_of_many_findings_the_first_thousand_are_told_and_all_counted() {
    let world = World::own().await;
    let file = format!("{HEADER}\n{}", "bad\n".repeat(2500));
    let summary = import(&world, file.as_bytes()).await;
    assert_eq!((counts(&summary), summary.issues.len()), ([2500, 0, 0, 0, 2500], 1000));
    assert_eq!(summary.issues[999].line, 1001);
}

#[tokio::test]
async fn k3_the_newest_date_is_a_year_ahead() {
    let world = World::own().await;
    let admin = world.admin().await;
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let year = 1970 + seconds / (365 * 24 * 3600) + 3;
    let file = format!("{HEADER}\nFar,{year}-06-01,1,Drama,.,Title,Released,English,1,1,JP\n");
    assert_eq!(counts(&import_as(&world, &admin, file.as_bytes()).await), [1, 0, 0, 0, 1]);
    world.move_clock(Duration::from_secs(3 * 366 * 24 * 3600)).await;
    let admin = world.sign_in(&admin.email, &admin.password).await;
    assert_eq!(counts(&import_as(&world, &admin, file.as_bytes()).await), [1, 1, 0, 0, 0]);
}

/// The rows of each: more than one batch, and few enough that the fourth can wait for three others.
const ROWS: usize = 1200;

#[tokio::test]
async fn k3_imports_at_once_store_every_movie_once() {
    let world = World::own().await;
    let admin = world.admin().await;
    let row = |number: usize| {
        let actors: Vec<String> = (0..17).map(|actor| format!("Actor {}", (number * 7 + actor * 13) % 400)).collect();
        format!(
            "Movie {number},2001-01-01,1,\"Drama,G{}\",.,Title,Released,English,1,1,JP,\"{}\"\n",
            number % 9,
            actors.join(",")
        )
    };
    let forwards: String = (0..ROWS).map(row).collect();
    let backwards: String = (0..ROWS).rev().map(row).collect();
    let files = [&forwards, &backwards, &forwards, &backwards].map(|rows| format!("{HEADER},crew\n{rows}"));
    let imports = files.iter().map(|file| import_as(&world, &admin, file.as_bytes()));
    let summaries = futures_util::future::join_all(imports).await;
    assert_eq!(summaries.iter().map(|summary| summary.movies_stored).sum::<i32>(), ROWS as i32);
    let told = |summary: &ImportSummary| summary.movies_stored + summary.movies_unchanged;
    assert!(summaries.iter().all(|summary| told(summary) == ROWS as i32), "{summaries:?}");
    let movies = all(&world, MovieFilter::default(), "name", 100).await;
    assert!(movies.len() == ROWS && movies.iter().all(|movie| movie.actors.len() == 17));
    let some = MovieFilter { actors: vec!["actor 77".to_owned()], ..Default::default() };
    let expected = movies.iter().filter(|movie| movie.actors.iter().any(|actor| actor == "Actor 77")).count();
    assert_eq!(all(&world, some, "score", 100).await.len(), expected);
}

#[tokio::test]
async fn k3_an_import_that_is_cut_off_keeps_what_it_stored_and_the_next_brings_the_rest() {
    let world = World::own().await;
    let admin = world.admin().await;
    let row = |number: usize| format!("Movie {number},2001-01-01,1,Drama,.,Title,Released,English,1,1,JP\n");
    let file = format!("{HEADER}\n{}", (0..4000).map(row).collect::<String>());
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let mut imports = admin.imports(&world);
    let call =
        tokio::spawn(async move { imports.import_movies(tokio_stream::wrappers::ReceiverStream::new(receive)).await });
    let half = file.as_bytes()[..file.len() / 2 + 5].to_vec();
    send.send(ImportMoviesRequest { content: half.into() }).await.unwrap();
    let stored = async || {
        let stored = list(&world, ListMoviesRequest::default()).await.total_size;
        (stored >= 500).then_some(stored)
    };
    eventually("stored movies", stored).await;
    call.abort();
    drop(send);
    let rest = import_as(&world, &admin, file.as_bytes()).await;
    assert_eq!(rest.movies_stored + rest.movies_unchanged, 4000);
    assert!(rest.movies_unchanged >= 500 && rest.movies_stored >= 1900, "{rest:?}");
    assert_eq!(list(&world, ListMoviesRequest::default()).await.total_size, 4000);
}

#[tokio::test]
async fn k3_only_moderators_and_administrators_import() {
    let world = World::shared().await;
    let file = format!("{HEADER}\n{},2001-01-01,1,Drama,.,Title,Released,English,1,1,JP\n", marker());
    let error = refusal(world.imports().import_movies(pieces(file.as_bytes(), 100)).await);
    assert_eq!(error.is(), (Code::Unauthenticated, "TOKEN_MISSING"));
    let ada = world.sign_up("ada").await;
    let error = refusal(ada.imports(&world).import_movies(pieces(file.as_bytes(), 100)).await);
    assert_eq!(error.is(), (Code::PermissionDenied, "ROLE_MISSING"));
    let request = ImportMovieFileRequest { content: file.into_bytes().into() };
    let error = refusal(ada.imports(&world).import_movie_file(request).await.map(drop));
    assert_eq!(error.is(), (Code::PermissionDenied, "ROLE_MISSING"));
}

/// The real file, where one is named: `QUARTET_TEST_MOVIES`.
#[tokio::test]
async fn k3_the_real_file_comes_in_whole() {
    let Some(path) = std::env::var_os("QUARTET_TEST_MOVIES").map(PathBuf::from) else { return };
    let file = fs::read(path).expect("no movie file");
    let world = World::own().await;
    let admin = world.admin().await;
    assert_eq!(counts(&import_as(&world, &admin, &file).await), [10_178, 9_999, 0, 179, 0]);
    assert_eq!(counts(&import_as(&world, &admin, &file).await), [10_178, 0, 9_999, 179, 0]);
    for order in ["", "name", "release_date desc", "score"] {
        let movies = all(&world, MovieFilter::default(), order, 100).await;
        let ids: std::collections::HashSet<&str> = movies.iter().map(|movie| movie.movie_id.as_str()).collect();
        assert_eq!((movies.len(), ids.len()), (9_999, 9_999), "`{order}`");
    }
    let dramas =
        MovieFilter { genres: vec!["drama".to_owned()], countries: vec!["JP".to_owned()], ..Default::default() };
    let dramas = all(&world, dramas, "score desc", 25).await;
    assert!(dramas.len() == 168 && dramas.is_sorted_by(|one, other| one.score >= other.score));
    let soviet = MovieFilter { countries: vec!["SU".to_owned()], ..Default::default() };
    assert_eq!(all(&world, soviet, "", 25).await.len(), 5);
    let dutch = MovieFilter { languages: vec!["Dutch".to_owned()], ..Default::default() };
    assert!(all(&world, dutch, "", 100).await.len() >= 22);
    // A page far in the list is what one comes to by token, also the second time, when it is reached by what was remembered.
    for order_by in ["", "name", "score desc"] {
        let movies = all(&world, MovieFilter::default(), order_by, 100).await;
        for page in [1000, 999, 51, 1000, 10_000] {
            let request =
                ListMoviesRequest { order_by: order_by.to_owned(), page_size: 10, page, ..Default::default() };
            let answer = list(&world, request).await;
            let expected: Vec<&Movie> = movies.iter().skip((page as usize - 1) * 10).take(10).collect();
            assert_eq!(answer.movies.iter().collect::<Vec<_>>(), expected, "page {page} by `{order_by}`");
            assert_eq!((answer.total_size, answer.total_pages), (9_999, 1000));
            assert_eq!(answer.next_page_token.is_empty(), page >= 1000);
        }
    }
}
