//! K2: the names that movies are filed under are listed.

use super::{HEADER, import, marker};
use crate::harness::prelude::*;

/// Imports movies with these genres, actors and languages, in a few rows.
async fn file_under(world: &World, marker: &str, genres: &[String], actors: &[String], languages: &[String]) {
    let mut file = format!("{HEADER},crew\n");
    let rows = [genres.len(), actors.len(), languages.len()].into_iter().max().unwrap_or_default().div_ceil(10);
    for row in 0..rows {
        let some = |names: &[String]| names.iter().skip(row * 10).take(10).cloned().collect::<Vec<_>>().join(",");
        let (genres, actors, languages) = (some(genres), some(actors), some(languages));
        file += &format!(
            "{marker} {row},2001-01-01,50,\"{genres}\",.,Title,Released,\"{languages}\",1,1,JP,\"{actors}\"\n"
        );
    }
    let summary = import(world, file.as_bytes()).await;
    assert_eq!((summary.movies_stored, summary.rows_rejected), (rows as i32, 0), "{summary:?}");
}

/// All names with a prefix, by pages of this size.
async fn actors(world: &World, name_prefix: &str, page_size: i32) -> Vec<Actor> {
    let mut request = ListActorsRequest { name_prefix: name_prefix.to_owned(), page_size, page_token: String::new() };
    let mut actors = Vec::new();
    loop {
        let page = world.taxonomy().list_actors(request.clone()).await.expect("no actors").into_inner();
        assert!(page.actors.len() <= page_size as usize);
        actors.extend(page.actors);
        if page.next_page_token.is_empty() {
            return actors;
        }
        request.page_token = page.next_page_token;
    }
}

fn names(actors: &[Actor]) -> Vec<&str> {
    actors.iter().map(|actor| actor.name.as_str()).collect()
}

#[tokio::test]
async fn k2_names_are_listed_by_name_each_once_whatever_the_page() {
    let world = World::shared().await;
    let marker = marker();
    let own: Vec<String> = (0..57).map(|number| format!("{marker} Actor {number:02}")).collect();
    // The last row names the first ones again.
    let given: Vec<String> = own.iter().rev().chain(own.iter().take(3)).cloned().collect();
    file_under(&world, &marker, &[], &given, &[]).await;
    for page_size in [1, 10, 56, 57, 100] {
        assert_eq!(names(&actors(&world, &marker, page_size).await), own, "by {page_size}");
    }
    let ids: std::collections::HashSet<String> =
        actors(&world, &marker, 100).await.into_iter().map(|actor| actor.actor_id).collect();
    assert_eq!(ids.len(), 57);
}

#[tokio::test]
async fn k2_prefixes_and_order_disregard_case_and_accents() {
    let world = World::shared().await;
    let marker = marker();
    let given = ["Zoë", "zoe", "Ángel", "angel b", "Łukasz", "ZOF"].map(|name| format!("{marker} {name}"));
    file_under(&world, &marker, &[], &given, &[]).await;
    let found = actors(&world, &marker.to_uppercase(), 4).await;
    let folded: Vec<String> =
        found.iter().map(|actor| actor.name.to_lowercase().replace(['á', 'ł', 'ë'], "*")).collect();
    let tail: Vec<&str> = folded.iter().map(|name| name.split_once(' ').unwrap().1).collect();
    assert!(tail[..2] == ["*ngel", "angel b"] && tail[2] == "*ukasz" && tail[5] == "zof", "{tail:?}");
    assert_eq!(names(&actors(&world, &format!("{marker} LUK"), 10).await), [format!("{marker} Łukasz")]);
    assert_eq!(actors(&world, &format!("{marker} zoé"), 10).await.len(), 2, "`Zoë` and `zoe` are two names");
    assert!(actors(&world, &format!("{marker} zoe%"), 10).await.is_empty());
}

#[tokio::test]
async fn k2_genres_and_languages_are_listed_likewise() {
    let world = World::shared().await;
    let marker = marker();
    let genres = ["Drama", "Noir"].map(|name| format!("{marker} {name}"));
    let languages = ["Esperanto", "Ido", "Volapük"].map(|name| format!("{marker} {name}"));
    file_under(&world, &marker, &genres, &[], &languages).await;
    let request = ListGenresRequest { name_prefix: marker.clone(), page_size: 1, ..Default::default() };
    let first = world.taxonomy().list_genres(request.clone()).await.expect("no genres").into_inner();
    let request = ListGenresRequest { page_token: first.next_page_token, ..request };
    let second = world.taxonomy().list_genres(request).await.expect("no genres").into_inner();
    assert_eq!([&first.genres[0].name, &second.genres[0].name], [&genres[0], &genres[1]]);
    assert_eq!(second.next_page_token, "");
    let request = ListLanguagesRequest { name_prefix: marker, ..Default::default() };
    let answer = world.taxonomy().list_languages(request).await.expect("no languages").into_inner();
    let found: Vec<&str> = answer.languages.iter().map(|language| language.name.as_str()).collect();
    assert_eq!((found, answer.next_page_token.as_str()), (languages.iter().map(String::as_str).collect(), ""));
}

#[tokio::test]
async fn k2_countries_have_alpha_3_codes_and_names_and_only_those_with_movies_are_listed() {
    let world = World::own().await;
    let mut file = format!("{HEADER}\n");
    for (row, code) in ["JP", "jpn", "SU", "XC", "USA", "", "SE"].into_iter().enumerate() {
        file += &format!("Movie {row},2001-01-01,50,Drama,.,Title,Released,English,1,1,{code}\n");
    }
    import(&world, file.as_bytes()).await;
    let mut request = ListCountriesRequest { page_size: 2, ..Default::default() };
    let mut countries = Vec::new();
    loop {
        let page = world.taxonomy().list_countries(request.clone()).await.expect("no countries").into_inner();
        countries.extend(page.countries.into_iter().map(|country| format!("{} {}", country.code, country.name)));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(countries, ["CSK Czechoslovakia", "JPN Japan", "SUN Soviet Union", "SWE Sweden", "USA United States"]);
}

#[tokio::test]
async fn k2_all_violations_of_a_list_of_names_are_named_together() {
    let world = World::shared().await;
    let request = ListGenresRequest { name_prefix: "x".repeat(101), page_size: -1, page_token: "rubbish".to_owned() };
    let error = refusal(world.taxonomy().list_genres(request).await);
    assert_eq!(error.is(), (Code::InvalidArgument, "FIELDS_INVALID"));
    assert_eq!(error.fields, ["name_prefix", "page_size", "page_token"]);
    let nul = ListCountriesRequest { name_prefix: "a\0".to_owned(), ..Default::default() };
    assert_eq!(refusal(world.taxonomy().list_countries(nul).await).fields, ["name_prefix"]);
}

#[tokio::test]
async fn s35_a_token_of_names_goes_with_its_prefix_only() {
    let world = World::shared().await;
    let marker = marker();
    let given: Vec<String> = (0..3).map(|number| format!("{marker} {number}")).collect();
    file_under(&world, &marker, &[], &given, &[]).await;
    let request = ListActorsRequest { name_prefix: marker.clone(), page_size: 1, page_token: String::new() };
    let page_token =
        world.taxonomy().list_actors(request.clone()).await.expect("no actors").into_inner().next_page_token;
    let other = ListActorsRequest { name_prefix: String::new(), page_token: page_token.clone(), ..request.clone() };
    assert_eq!(refusal(world.taxonomy().list_actors(other).await).fields, ["page_token"]);
    let genres = ListGenresRequest { name_prefix: String::new(), page_size: 1, page_token: page_token.clone() };
    assert_eq!(refusal(world.taxonomy().list_genres(genres).await).fields, ["page_token"]);
    let token = page_token.into_bytes();
    for place in 0..token.len() {
        for letter in [b'A', b'z', b'-', b'\''] {
            let mut mutated = token.clone();
            mutated[place] = letter;
            let request = ListActorsRequest { page_token: String::from_utf8(mutated).unwrap(), ..request.clone() };
            match world.taxonomy().list_actors(request).await {
                Ok(answer) => assert!(answer.into_inner().actors.len() <= 1),
                Err(status) => assert_eq!(Refusal::from(status).is(), (Code::InvalidArgument, "FIELDS_INVALID")),
            }
        }
    }
}
