//! K2: terms are made, renamed, merged and deleted, and movies say what their terms say.

use futures_util::future::join;
use prost_types::FieldMask;

use super::{HEADER, all, create, editor, found, import, marker, plain};
use crate::harness::Clients;
use crate::harness::prelude::*;

const KINDS: [TermKind; 3] = [TermKind::Genre, TermKind::Actor, TermKind::Language];

async fn make(clients: &Clients, kind: TermKind, id: &str, name: &str) -> Result<Term, tonic::Status> {
    let term = Term { kind: kind.into(), term_id: id.to_owned(), name: name.to_owned(), movies: 0 };
    let answer = clients.taxonomy().create_term(CreateTermRequest { term: Some(term) }).await?;
    Ok(answer.into_inner().term.unwrap())
}

async fn rename(clients: &Clients, kind: TermKind, id: &str, name: &str) -> Result<Term, tonic::Status> {
    let term = Some(Term { kind: kind.into(), term_id: id.to_owned(), name: name.to_owned(), movies: 0 });
    let update_mask = Some(FieldMask { paths: vec!["name".to_owned()] });
    let answer = clients.taxonomy().update_term(UpdateTermRequest { term, update_mask }).await?;
    Ok(answer.into_inner().term.unwrap())
}

async fn merge(clients: &Clients, kind: TermKind, from: &str, into: &str) -> Result<MergeTermsResponse, tonic::Status> {
    let (from_term_id, into_term_id) = (from.to_owned(), into.to_owned());
    let request = MergeTermsRequest { kind: kind.into(), from_term_id, into_term_id };
    Ok(clients.taxonomy().merge_terms(request).await?.into_inner())
}

async fn delete(clients: &Clients, kind: TermKind, id: &str) -> Result<(), tonic::Status> {
    let request = DeleteTermRequest { kind: kind.into(), term_id: id.to_owned() };
    clients.taxonomy().delete_term(request).await.map(drop)
}

async fn get(world: &World, kind: TermKind, id: &str) -> Result<Term, tonic::Status> {
    let request = GetTermRequest { kind: kind.into(), term_id: id.to_owned() };
    Ok(world.taxonomy().get_term(request).await?.into_inner().term.unwrap())
}

/// The id of the actor of this name.
async fn actor(world: &World, name: &str) -> String {
    let request = ListActorsRequest { name_prefix: name.to_owned(), ..Default::default() };
    world.taxonomy().list_actors(request).await.unwrap().into_inner().actors[0].actor_id.clone()
}

fn of_actor(name: &str) -> MovieFilter {
    MovieFilter { actors: vec![name.to_owned()], ..Default::default() }
}

#[tokio::test]
async fn k2_a_term_of_each_kind_is_made_renamed_and_deleted() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    for kind in KINDS {
        let term = make(&clients, kind, "", &format!("{marker} One")).await.unwrap();
        assert_eq!(get(&world, kind, &term.term_id).await.unwrap(), term);
        let exists = refusal(make(&clients, kind, "", &format!("{marker} One")).await);
        assert_eq!(exists.is(), (Code::AlreadyExists, "TERM_EXISTS"));
        let other = make(&clients, kind, "", &format!("{marker} Two")).await.unwrap();
        let taken = refusal(rename(&clients, kind, &other.term_id, &term.name).await);
        assert_eq!(taken.is(), (Code::AlreadyExists, "TERM_EXISTS"));
        let renamed = rename(&clients, kind, &other.term_id, &format!("{marker} Zwei")).await.unwrap();
        assert_eq!((renamed.term_id, renamed.name), (other.term_id.clone(), format!("{marker} Zwei")));
        delete(&clients, kind, &other.term_id).await.unwrap();
        for gone in [
            refusal(get(&world, kind, &other.term_id).await),
            refusal(delete(&clients, kind, &other.term_id).await),
            refusal(rename(&clients, kind, &other.term_id, "x").await),
            refusal(merge(&clients, kind, &other.term_id, &term.term_id).await),
            refusal(merge(&clients, kind, &term.term_id, "no id").await),
        ] {
            assert_eq!(gone.is(), (Code::NotFound, "TERM_NOT_FOUND"));
        }
    }
}

#[tokio::test]
async fn k2_a_term_in_use_is_not_deleted() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let name = format!("{marker} Ann");
    let movie = create(&clients, Movie { actors: vec![name.clone()], ..plain(&marker) }).await;
    let id = actor(&world, &name).await;
    let error = refusal(delete(&clients, TermKind::Actor, &id).await);
    assert_eq!((error.is(), error.metadata["movies"].as_str()), ((Code::FailedPrecondition, "TERM_IN_USE"), "1"));
    let request = DeleteMovieRequest { movie_id: movie.movie_id, etag: String::new() };
    clients.movies().delete_movie(request).await.unwrap();
    delete(&clients, TermKind::Actor, &id).await.unwrap();
}

#[tokio::test]
async fn k2_a_new_name_is_in_every_movie_of_the_term() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let (old, new) = (format!("{marker}Old"), format!("{marker}New"));
    let mut movies = Vec::new();
    for number in 0..3 {
        let actors = vec![format!("{marker} Other"), old.clone()];
        movies.push(create(&clients, Movie { actors, ..plain(&format!("{marker} {number}")) }).await);
    }
    let term = rename(&clients, TermKind::Actor, &actor(&world, &old).await, &new).await.unwrap();
    assert_eq!(term.movies, 3);
    let listed = all(&world, of_actor(&new), "movie_id", 100).await;
    for (before, after) in movies.iter().zip(&listed) {
        assert_eq!((&after.movie_id, &after.actors[1]), (&before.movie_id, &new));
        assert_ne!(after.etag, before.etag);
    }
    assert_eq!((listed.len(), all(&world, of_actor(&old), "", 100).await.len()), (3, 0));
    assert_eq!((found(&world, &new).await.len(), found(&world, &old).await.len()), (3, 0));
}

#[tokio::test]
async fn k2_merged_terms_are_one_in_every_movie() {
    let world = World::shared().await;
    let (clients, marker) = (editor(&world).await, marker());
    let (from, into) = (format!("{marker}Dup"), format!("{marker}Real"));
    let casts = [vec![&from], vec![&from, &into], vec![&into, &from], vec![&into]];
    for (number, actors) in casts.into_iter().enumerate() {
        let actors = actors.into_iter().cloned().collect();
        create(&clients, Movie { actors, ..plain(&format!("{marker} {number}")) }).await;
    }
    let (one, two) = (actor(&world, &from).await, actor(&world, &into).await);
    let same = refusal(merge(&clients, TermKind::Actor, &one, &one).await);
    assert_eq!(same.fields, ["into_term_id"]);
    let merged = merge(&clients, TermKind::Actor, &one, &two).await.unwrap();
    assert_eq!((merged.movies_changed, merged.term.unwrap().movies), (3, 4));
    let movies = all(&world, of_actor(&into), "", 100).await;
    assert!(movies.len() == 4 && movies.iter().all(|movie| movie.actors == [into.clone()]), "{movies:?}");
    assert_eq!(refusal(get(&world, TermKind::Actor, &one).await).is(), (Code::NotFound, "TERM_NOT_FOUND"));
    assert!(found(&world, &from).await.is_empty());
}

#[tokio::test]
async fn k2_countries_have_known_codes_and_can_be_renamed_and_merged() {
    let world = World::own().await;
    let clients = editor(&world).await;
    let country = TermKind::Country;
    assert_eq!(refusal(make(&clients, country, "QQ", "").await).fields, ["term.term_id"]);
    let japan = make(&clients, country, "jp", "").await.unwrap();
    assert_eq!((japan.term_id.as_str(), japan.name.as_str()), ("JPN", "Japan"));
    assert_eq!(refusal(make(&clients, country, "JPN", "Nippon").await).is(), (Code::AlreadyExists, "TERM_EXISTS"));
    let from = |code: &str| Some(Country { code: code.to_owned(), name: String::new() });
    create(&clients, Movie { country: from("SU"), ..plain("one") }).await;
    create(&clients, Movie { country: from("RU"), ..plain("two") }).await;
    assert_eq!(rename(&clients, country, "RUS", "Россия").await.unwrap().movies, 1);
    let file = format!("{HEADER}\nthree,2001-01-01,50,Drama,.,Title,Released,English,1,1,RU\n");
    import(&world, file.as_bytes()).await;
    assert_eq!(merge(&clients, country, "SU", "RU").await.unwrap().movies_changed, 1);
    let movies = all(&world, MovieFilter { countries: vec!["RU".to_owned()], ..Default::default() }, "", 100).await;
    let expected = Some(Country { code: "RUS".to_owned(), name: "Россия".to_owned() });
    assert!(movies.len() == 3 && movies.iter().all(|movie| movie.country == expected), "{movies:?}");
    let request = SearchMoviesRequest { with_facets: true, ..Default::default() };
    let facets = super::search(&world, request).await.facets.unwrap();
    let names: Vec<(&str, i32)> = facets.countries.iter().map(|count| (count.name.as_str(), count.movies)).collect();
    assert_eq!(names, [("Россия", 3)]);
    delete(&clients, country, "JPN").await.unwrap();
}

#[tokio::test]
async fn k2_a_term_of_thousands_of_movies_is_renamed_while_others_write() {
    let world = World::own().await;
    let clients = editor(&world).await;
    let mut file = format!("{HEADER},crew\n");
    for row in 0..2500 {
        file += &format!("Movie {row},2001-01-01,50,Drama,.,Title,Released,English,1,1,JP,\"Old, B{row}\"\n");
    }
    import(&world, file.as_bytes()).await;
    let id = actor(&world, "Old").await;
    let writes = async {
        for number in 0..20 {
            let actors = vec!["Old".to_owned(), format!("B{number}")];
            create(&clients, Movie { actors, ..plain(&format!("Meanwhile {number}")) }).await;
        }
    };
    let (renamed, ()) = join(rename(&clients, TermKind::Actor, &id, "New"), writes).await;
    renamed.unwrap();
    // Who came with the old name before it was over got the new one, who came later a term of their own.
    let new = all(&world, of_actor("New"), "", 100).await;
    let old = all(&world, of_actor("Old"), "", 100).await;
    assert_eq!((new.len() + old.len(), new.len() >= 2500), (2520, true));
    assert!(new.iter().all(|movie| movie.actors.contains(&"New".to_owned()) && movie.actors.len() == 2));
    assert!(old.iter().all(|movie| movie.actors.contains(&"Old".to_owned()) && movie.actors.len() == 2));
    let request = SearchMoviesRequest { query: "\"new\"".to_owned(), ..Default::default() };
    assert_eq!(super::search(&world, request).await.total_size as usize, new.len());
    assert_eq!(get(&world, TermKind::Actor, &id).await.unwrap().movies as usize, new.len());
    let merged = merge(&clients, TermKind::Actor, &id, &actor(&world, "B1").await).await.unwrap();
    assert_eq!(merged.movies_changed as usize, new.len());
    assert!(all(&world, of_actor("New"), "", 100).await.is_empty());
}

#[tokio::test]
async fn s33_of_a_term_only_the_name_is_given() {
    let world = World::shared().await;
    let clients = editor(&world).await;
    let term = Term { kind: TermKind::Genre.into(), term_id: "x".to_owned(), name: String::new(), movies: 7 };
    let error = refusal(clients.taxonomy().create_term(CreateTermRequest { term: Some(term.clone()) }).await);
    assert_eq!(error.fields, ["term.movies", "term.term_id", "term.name"]);
    for paths in [vec![], vec!["movies"], vec!["name", "kind"]] {
        let update_mask = Some(FieldMask { paths: paths.into_iter().map(str::to_owned).collect() });
        let term = Some(Term { movies: 0, name: "x".to_owned(), ..term.clone() });
        let request = UpdateTermRequest { term, update_mask };
        assert_eq!(refusal(clients.taxonomy().update_term(request).await).fields, ["update_mask"]);
    }
    let none = Term { kind: 0, name: "x".to_owned(), ..Default::default() };
    let error = refusal(clients.taxonomy().create_term(CreateTermRequest { term: Some(none) }).await);
    assert_eq!(error.fields, ["term.kind"]);
    assert_eq!(refusal(get(&world, TermKind::Unspecified, "x").await).fields, ["kind"]);
}
