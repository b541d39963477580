//! K5: sections, in an order without gaps whoever changes it at once.

use futures_util::future::join_all;
use prost::Message as _;

use super::school::{School, make_section, mask, published_section, sections};
use crate::harness::Clients;
use crate::harness::prelude::*;

async fn order(clients: &Clients, course_id: &str) -> Vec<(String, i32)> {
    let sections = sections(clients, course_id).await.expect("no sections");
    sections.into_iter().map(|section| (section.title, section.position)).collect()
}

fn numbered(titles: &[&str]) -> Vec<(String, i32)> {
    (1..).zip(titles).map(|(place, title)| ((*title).to_owned(), place)).collect()
}

async fn reorder(clients: &Clients, course_id: &str, section_ids: Vec<String>) -> Result<(), tonic::Status> {
    let request = ReorderSectionsRequest { course_id: course_id.to_owned(), section_ids };
    clients.sections().reorder_sections(request).await.map(drop)
}

async fn delete(clients: &Clients, section_id: &str) -> Result<(), tonic::Status> {
    let request = DeleteSectionRequest { section_id: section_id.to_owned(), ..Default::default() };
    clients.sections().delete_section(request).await.map(drop)
}

#[tokio::test]
async fn k5_sections_are_put_at_places_and_move_up() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let course_id = &school.draft("Algebra").await.course_id;
    let at = async |title: &str, position| {
        make_section(clients, Section { position, ..published_section(course_id, title) }).await
    };
    let b = at("b", 0).await.unwrap();
    let a = at("a", 1).await.unwrap();
    let d = at("d", 3).await.unwrap();
    let c = at("c", 3).await.unwrap();
    assert_eq!(order(clients, course_id).await, numbered(&["a", "b", "c", "d"]));
    for wrong in [-1, 6, i32::MAX, i32::MIN] {
        assert_eq!(refusal(at("x", wrong).await).fields, ["section.position"], "{wrong}");
    }
    let ids = |sections: [&Section; 4]| sections.map(|section| section.section_id.clone()).to_vec();
    reorder(clients, course_id, ids([&d, &a, &c, &b])).await.unwrap();
    assert_eq!(order(clients, course_id).await, numbered(&["d", "a", "c", "b"]));
    delete(clients, &a.section_id).await.unwrap();
    assert_eq!(order(clients, course_id).await, numbered(&["d", "c", "b"]));
    assert_eq!(refusal(delete(clients, &a.section_id).await).is(), (Code::NotFound, "SECTION_NOT_FOUND"));

    let other = school.section(&school.draft("Botany").await.course_id, "other").await;
    let id = |section: &Section| section.section_id.clone();
    for wrong in [
        vec![id(&d), id(&c)],
        vec![id(&d), id(&c), id(&b), id(&b)],
        vec![id(&d), id(&c), id(&other)],
        vec![id(&d), id(&c), id(&a)],
        vec![id(&d), id(&c), "no id".to_owned()],
        vec![id(&d); 501],
        vec![],
    ] {
        let error = refusal(reorder(clients, course_id, wrong).await);
        assert_eq!((error.is().0, error.fields), (Code::InvalidArgument, vec!["section_ids".to_owned()]));
    }
    assert_eq!(order(clients, course_id).await, numbered(&["d", "c", "b"]), "nothing has moved");
}

#[tokio::test]
async fn k5_a_section_changes_as_the_mask_says_if_it_is_the_one_that_was_seen() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let section = school.section(&school.draft("Algebra").await.course_id, "One").await;
    let change = async |given: Section, paths: &[&str]| {
        let given = Section { section_id: section.section_id.clone(), ..given };
        let request = UpdateSectionRequest { section: Some(given), update_mask: mask(paths) };
        let answer = clients.sections().update_section(request).await?;
        Ok::<_, tonic::Status>(answer.into_inner().section.unwrap())
    };
    let given = Section { title: "Two".to_owned(), state: 1, etag: section.etag.clone(), ..Default::default() };
    let changed = change(given.clone(), &["title"]).await.unwrap();
    assert_eq!((changed.title.as_str(), changed.state()), ("Two", PublicationState::Published));
    assert_eq!(refusal(change(given.clone(), &["state"]).await).is(), (Code::Aborted, "ETAG_STALE"));
    let all = Section { etag: changed.etag, description: "d".to_owned(), ..given };
    let changed = change(all, &["*"]).await.unwrap();
    assert_eq!((changed.description.as_str(), changed.state()), ("d", PublicationState::Draft));
    let wrong = Section { title: "a\nb".to_owned(), description: "x".repeat(10_001), state: 9, ..Default::default() };
    let fields = ["section.title", "section.description", "section.state"];
    assert_eq!(refusal(change(wrong, &["*"]).await).fields, fields);
    // What the server sets is refused (S-33).
    let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    for (field, given) in [
        ("section.course_id", Section { course_id: "x".to_owned(), ..Default::default() }),
        ("section.position", Section { position: 1, ..Default::default() }),
        ("section.create_time", Section { create_time: time, ..Default::default() }),
        ("section.update_time", Section { update_time: time, ..Default::default() }),
    ] {
        assert_eq!(refusal(change(Section { title: "x".to_owned(), ..given }, &["title"]).await).fields, [field]);
    }
}

#[tokio::test]
async fn k5_s34_positions_stay_dense_whoever_changes_them_at_once() {
    let school = School::shared().await;
    let course_id = &school.draft("Algebra").await.course_id;
    let colleague = school.co_teacher(course_id).await;
    let hands = [&school.teacher.clients, &colleague.clients];
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(school.section(course_id, &format!("first {number}")).await.section_id);
    }
    for round in 0..5 {
        let new = (0..6).map(|number| {
            let section = published_section(course_id, &format!("{round}.{number}"));
            make_section(hands[number % 2], Section { position: (number % 3) as i32, ..section })
        });
        let gone = ids[..3].iter().zip(hands.iter().cycle()).map(|(id, clients)| delete(clients, id));
        let mut turned = ids.clone();
        turned.reverse();
        let order = (0..2).map(|hand| reorder(hands[hand], course_id, turned.clone()));
        let (made, deleted, reordered) = tokio::join!(join_all(new), join_all(gone), join_all(order));
        assert!(made.iter().all(Result::is_ok) && deleted.iter().all(Result::is_ok));
        // A new order is for the sections that there were: either it came before the others, or not at all.
        for error in reordered.into_iter().filter_map(Result::err) {
            assert_eq!(Refusal::from(error).fields, ["section_ids"]);
        }
        let now = sections(&school.teacher.clients, course_id).await.unwrap();
        let places: Vec<i32> = now.iter().map(|section| section.position).collect();
        assert_eq!(places, (1..=places.len() as i32).collect::<Vec<_>>());
        ids = now.into_iter().map(|section| section.section_id).collect();
        assert_eq!(ids.len(), 6 + 3 * (round + 1));
    }
}

#[tokio::test]
async fn s35_a_token_of_sections_is_for_its_course_alone() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let (one, other) = (school.draft("A").await.course_id, school.draft("B").await.course_id);
    for title in ["a", "b"] {
        school.section(&one, title).await;
    }
    let request = ListSectionsRequest { course_id: one, page_size: 1, ..Default::default() };
    let page_token = clients.sections().list_sections(request.clone()).await.unwrap().into_inner().next_page_token;
    let wrong = ListSectionsRequest { course_id: other, page_token: page_token.clone(), ..request.clone() };
    assert_eq!(refusal(clients.sections().list_sections(wrong).await).fields, ["page_token"]);
    for place in 0..page_token.len() {
        let mut mutated = page_token.clone().into_bytes();
        mutated[place] = if mutated[place] == b'A' { b'9' } else { b'A' };
        let page_token = String::from_utf8(mutated).unwrap();
        match clients.sections().list_sections(ListSectionsRequest { page_token, ..request.clone() }).await {
            Ok(answer) => assert!(answer.into_inner().sections.len() <= 1),
            Err(status) => assert_eq!(Refusal::from(status).fields, ["page_token"]),
        }
    }
}

#[tokio::test]
async fn k5_s40_a_page_of_long_sections_fits_into_a_message() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let course_id = school.draft("Algebra").await.course_id;
    for _ in 0..95 {
        let long = Section {
            title: "\u{1f600}".repeat(200),
            description: "\u{1f600}".repeat(10_000),
            ..published_section(&course_id, "")
        };
        make_section(clients, long).await.unwrap();
    }
    let mut request = ListSectionsRequest { course_id, page_size: 100, ..Default::default() };
    let first = clients.sections().list_sections(request.clone()).await.unwrap().into_inner();
    assert!(first.encoded_len() < 3_600_000 && first.sections.len() < 95, "{}", first.sections.len());
    request.page_token = first.next_page_token;
    let second = clients.sections().list_sections(request).await.unwrap().into_inner();
    let places: Vec<i32> = first.sections.iter().chain(&second.sections).map(|section| section.position).collect();
    assert_eq!((places, second.next_page_token.as_str()), ((1..=95).collect(), ""));
}
