//! K6: content blocks, each type with what belongs to it; the answers of quizzes stay with those who teach.

use futures_util::future::join_all;
use prost::Message as _;
use serde_json::json;

use super::class::{Class, quiz};
use super::school::{
    School, blocks, full_quiz, make_block, make_section, mask, published_lesson, published_section, sections,
};
use crate::harness::Clients;
use crate::harness::prelude::*;

async fn update(clients: &Clients, block: ContentBlock, paths: &[&str]) -> Result<ContentBlock, tonic::Status> {
    let request = UpdateBlockRequest { block: Some(block), update_mask: mask(paths) };
    Ok(clients.blocks().update_block(request).await?.into_inner().block.unwrap())
}

async fn delete(clients: &Clients, block_id: &str) -> Result<(), tonic::Status> {
    let request = DeleteBlockRequest { block_id: block_id.to_owned(), ..Default::default() };
    clients.blocks().delete_block(request).await.map(drop)
}

async fn reorder(clients: &Clients, section_id: &str, block_ids: Vec<String>) -> Result<(), tonic::Status> {
    let request = ReorderBlocksRequest { section_id: section_id.to_owned(), block_ids };
    clients.blocks().reorder_blocks(request).await.map(drop)
}

async fn order(clients: &Clients, section_id: &str) -> Vec<(String, i32)> {
    let blocks = blocks(clients, section_id).await.expect("no blocks");
    blocks.into_iter().map(|block| (block.title, block.position)).collect()
}

fn numbered(titles: &[&str]) -> Vec<(String, i32)> {
    (1..).zip(titles).map(|(place, title)| ((*title).to_owned(), place)).collect()
}

/// A section of a published course.
async fn section(school: &School) -> Section {
    let course = school.course("Algebra").await;
    school.section(&course.course_id, "One").await
}

#[tokio::test]
async fn k6_each_type_of_block_is_made_and_told() {
    let school = School::shared().await;
    let section_id = section(&school).await.section_id;
    let plain = ContentBlock { content: String::new(), ..published_lesson(&section_id, "Block") };
    let of = |kind: BlockType| ContentBlock { r#type: kind.into(), ..plain.clone() };
    let (url, media_id) = ("https://example.com/a?b=c".to_owned(), "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60".to_owned());
    let right = [
        ContentBlock { content: "# Text\n\n    code\n".to_owned(), ..of(BlockType::Lesson) },
        ContentBlock { quiz: Some(full_quiz()), ..of(BlockType::Quiz) },
        ContentBlock { content: "Do it".to_owned(), ..of(BlockType::Assignment) },
        ContentBlock { url: url.clone(), ..of(BlockType::Video) },
        ContentBlock { media_id: media_id.clone(), ..of(BlockType::File) },
        ContentBlock { url: url.clone(), ..of(BlockType::Link) },
    ];
    for (place, given) in (1..).zip(right) {
        let made = make_block(&school.teacher.clients, given.clone()).await.unwrap();
        let expected = ContentBlock {
            block_id: made.block_id.clone(),
            course_id: made.course_id.clone(),
            position: place,
            etag: made.etag.clone(),
            create_time: made.create_time,
            update_time: made.create_time,
            ..given
        };
        assert_eq!(made, expected);
        let request = GetBlockRequest { block_id: made.block_id.clone() };
        let told = school.teacher.clients.blocks().get_block(request).await.unwrap().into_inner().block;
        assert_eq!(told, Some(made));
    }
    let wrong = [
        (ContentBlock { r#type: 0, ..plain.clone() }, "block.type"),
        (ContentBlock { url: url.clone(), ..of(BlockType::Lesson) }, "block.url"),
        (of(BlockType::Quiz), "block.quiz"),
        (ContentBlock { quiz: Some(Quiz::default()), ..of(BlockType::Quiz) }, "block.quiz.questions"),
        (of(BlockType::Video), "block.url"),
        (ContentBlock { url, media_id, ..of(BlockType::File) }, "block.url"),
        (ContentBlock { media_id: "no id".to_owned(), ..of(BlockType::File) }, "block.media_id"),
        (ContentBlock { url: "http://example.com".to_owned(), ..of(BlockType::Link) }, "block.url"),
        (ContentBlock { content: "x".repeat(200_001), ..of(BlockType::Lesson) }, "block.content"),
        (ContentBlock { content: "a\0".to_owned(), ..of(BlockType::Lesson) }, "block.content"),
        (ContentBlock { position: 99, ..of(BlockType::Lesson) }, "block.position"),
    ];
    for (given, field) in wrong {
        assert_eq!(refusal(make_block(&school.teacher.clients, given).await).fields, [field]);
    }
    let huge = ContentBlock { content: "x".repeat(10_000_000), ..of(BlockType::Lesson) };
    let error = refusal(make_block(&school.teacher.clients, huge).await);
    assert_eq!(error.is(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn k6_a_block_changes_as_the_mask_says_if_it_is_the_one_that_was_seen() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let section_id = section(&school).await.section_id;
    let made = school.lesson(&section_id, "One").await;
    let named = ContentBlock { block_id: made.block_id.clone(), ..Default::default() };
    let given =
        ContentBlock { title: "Two".to_owned(), content: "new".to_owned(), etag: made.etag.clone(), ..named.clone() };
    let changed = update(clients, given.clone(), &["content"]).await.unwrap();
    let expected = ContentBlock {
        content: "new".to_owned(),
        etag: changed.etag.clone(),
        update_time: changed.update_time,
        ..made
    };
    assert_eq!(changed, expected);
    assert_eq!(refusal(update(clients, given, &["title"]).await).is(), (Code::Aborted, "ETAG_STALE"));
    let url = ContentBlock { url: "https://example.com".to_owned(), ..named.clone() };
    assert_eq!(refusal(update(clients, url, &["url"]).await).fields, ["block.url"], "a lesson has none");
    let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    for (field, given) in [
        ("block.section_id", ContentBlock { section_id: "x".to_owned(), ..named.clone() }),
        ("block.course_id", ContentBlock { course_id: "x".to_owned(), ..named.clone() }),
        ("block.type", ContentBlock { r#type: 1, ..named.clone() }),
        ("block.position", ContentBlock { position: 1, ..named.clone() }),
        ("block.create_time", ContentBlock { create_time: time, ..named.clone() }),
        ("block.update_time", ContentBlock { update_time: time, ..named.clone() }),
    ] {
        assert_eq!(refusal(update(clients, given, &["content"]).await).fields, [field]);
    }
}

/// Whatever a student is sent of a quiz: none of its answers, in no rpc that tells of blocks (S-33).
#[tokio::test]
async fn k6_s33_answers_never_leave_for_students() {
    let school = School::shared().await;
    let section = section(&school).await;
    let made = school.quiz(&section.section_id, full_quiz()).await;
    assert_eq!(made.quiz, Some(full_quiz()), "its teacher reads them");
    let (student, moderator) = (school.student(&section.course_id).await, school.with_role("moderator").await);
    for member in [&student, &moderator] {
        let request = GetBlockRequest { block_id: made.block_id.clone() };
        let one = member.clients.blocks().get_block(request).await.unwrap().into_inner().block.unwrap();
        let all = blocks(&member.clients, &section.section_id).await.unwrap();
        assert_eq!(all, std::slice::from_ref(&one));
        let quiz = one.quiz.as_ref().unwrap();
        assert_eq!((quiz.questions.len(), quiz.pass_percent, quiz.max_attempts), (4, 50, 3));
        for (question, full) in quiz.questions.iter().zip(full_quiz().questions) {
            assert_eq!((&question.text, question.points), (&full.text, full.points));
            let (kind, full) = (question.kind.clone().unwrap(), full.kind.unwrap());
            let expected = match full {
                question::Kind::SingleChoice(full) => {
                    question::Kind::SingleChoice(SingleChoice { answer: None, ..full })
                }
                question::Kind::MultipleChoice(full) => {
                    question::Kind::MultipleChoice(MultipleChoice { answers: Vec::new(), ..full })
                }
                question::Kind::Number(_) => question::Kind::Number(NumberQuestion::default()),
                question::Kind::ShortText(_) => question::Kind::ShortText(ShortText::default()),
            };
            assert_eq!(kind, expected);
        }
        let bytes = one.encode_to_vec();
        let holds = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!holds(b"Sesame") && !holds("Sésam".as_bytes()) && !holds(&2.5_f64.to_le_bytes()));
    }
}

#[tokio::test]
async fn k6_blocks_are_put_at_places_and_move_between_sections() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let one = section(&school).await;
    let two = school.section(&one.course_id, "Two").await;
    let mut ids = std::collections::BTreeMap::new();
    for (section, title, position) in [(&one, "b", 0), (&one, "a", 1), (&one, "c", 3), (&two, "x", 0), (&two, "y", 0)] {
        let block = ContentBlock { position, ..published_lesson(&section.section_id, title) };
        ids.insert(title, make_block(clients, block).await.unwrap().block_id);
    }
    let of = |titles: &[&str]| titles.iter().map(|title| ids[title].clone()).collect::<Vec<_>>();
    assert_eq!(order(clients, &one.section_id).await, numbered(&["a", "b", "c"]));
    reorder(clients, &one.section_id, of(&["c", "x", "a", "b"])).await.unwrap();
    assert_eq!(order(clients, &one.section_id).await, numbered(&["c", "x", "a", "b"]));
    assert_eq!(order(clients, &two.section_id).await, numbered(&["y"]));
    delete(clients, &ids["x"]).await.unwrap();
    assert_eq!(order(clients, &one.section_id).await, numbered(&["c", "a", "b"]));
    let foreign = school.lesson(&section(&school).await.section_id, "foreign").await.block_id;
    for wrong in [
        of(&["a", "b"]),
        of(&["a", "b", "c", "c"]),
        of(&["a", "b", "c", "x"]),
        [of(&["a", "b", "c"]), vec![foreign]].concat(),
        vec!["no id".to_owned()],
        vec![ids["a"].clone(); 1_001],
    ] {
        assert_eq!(refusal(reorder(clients, &one.section_id, wrong).await).fields, ["block_ids"]);
    }
    let gone = DeleteSectionRequest { section_id: one.section_id.clone(), ..Default::default() };
    clients.sections().delete_section(gone).await.unwrap();
    assert_eq!(refusal(delete(clients, &ids["a"]).await).is(), (Code::NotFound, "BLOCK_NOT_FOUND"));
    assert_eq!(order(clients, &two.section_id).await, numbered(&["y"]));
}

#[tokio::test]
async fn k6_s34_positions_stay_dense_in_all_sections_whoever_changes_them_at_once() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let one = section(&school).await;
    let two = school.section(&one.course_id, "Two").await;
    let homes = [&one.section_id, &two.section_id];
    for home in homes {
        for number in 0..4 {
            school.lesson(home, &format!("first {number}")).await;
        }
    }
    for round in 0..5 {
        let mut ids = Vec::new();
        for home in homes {
            ids.push(blocks(clients, home).await.unwrap().into_iter().map(|block| block.block_id).collect::<Vec<_>>());
        }
        let new = (0..4).map(|number| {
            let block = published_lesson(homes[number % 2], &format!("{round}.{number}"));
            make_block(clients, ContentBlock { position: (number / 2) as i32, ..block })
        });
        let gone = [&ids[0][0], &ids[1][1]].map(|id| delete(clients, id));
        // Each section tries to take blocks of the other one.
        let swap = [[&ids[0][..], &ids[1][2..]].concat(), [&ids[1][..], &ids[0][2..]].concat()];
        let swaps = homes.iter().zip(swap).map(|(home, order)| reorder(clients, home, order));
        let (made, deleted, swapped) = tokio::join!(join_all(new), join_all(gone), join_all(swaps));
        assert!(made.iter().all(Result::is_ok) && deleted.iter().all(Result::is_ok));
        for error in swapped.into_iter().filter_map(Result::err) {
            assert_eq!(Refusal::from(error).fields, ["block_ids"]);
        }
        let mut count = 0;
        for home in homes {
            let places: Vec<i32> = blocks(clients, home).await.unwrap().iter().map(|block| block.position).collect();
            assert_eq!(places, (1..=places.len() as i32).collect::<Vec<_>>());
            count += places.len();
        }
        assert_eq!(count, 8 + 2 * (round + 1));
        // Each begins the next round with enough to lose.
        for home in homes {
            while blocks(clients, home).await.unwrap().len() < 3 {
                let other = if home == homes[0] { homes[1] } else { homes[0] };
                let own = blocks(clients, home).await.unwrap().into_iter().map(|block| block.block_id);
                let taken = blocks(clients, other).await.unwrap()[0].block_id.clone();
                reorder(clients, home, own.chain([taken]).collect()).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn k6_s40_a_page_of_long_blocks_is_a_short_one() {
    let school = School::shared().await;
    let section_id = section(&school).await.section_id;
    // Letters of four bytes each: what is counted is bytes, and descriptions count.
    for _ in 0..4 {
        let long = ContentBlock { content: "\u{1f600}".repeat(200_000), ..published_lesson(&section_id, "Long") };
        make_block(&school.teacher.clients, long).await.unwrap();
    }
    for _ in 0..8 {
        let described = ContentBlock {
            title: "\u{1f600}".repeat(200),
            description: "\u{1f600}".repeat(10_000),
            content: "x".repeat(200_000),
            ..published_lesson(&section_id, "")
        };
        make_block(&school.teacher.clients, described).await.unwrap();
    }
    let mut request = ListBlocksRequest { section_id: section_id.clone(), page_size: 100, ..Default::default() };
    let (mut lengths, mut course_id) = (Vec::new(), String::new());
    loop {
        let page = school.teacher.clients.blocks().list_blocks(request.clone()).await.unwrap().into_inner();
        assert!(page.encoded_len() < 4_000_000, "{}", page.encoded_len());
        lengths.push(page.blocks.len());
        course_id = page.blocks.first().map(|block| block.course_id.clone()).unwrap_or(course_id);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(lengths, [5, 7]);
    let error = refusal(school.teacher.clients.courses().export_course(ExportCourseRequest { course_id }).await);
    assert_eq!(error.is(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn k6_a_quiz_that_was_tried_stays_as_it_was_asked() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let clients = &class.owner.clients;
    let request = GetBlockRequest { block_id: class.quiz.clone() };
    let before = clients.blocks().get_block(request.clone()).await.unwrap().into_inner().block.unwrap();
    let other = Quiz { pass_percent: 90, ..before.quiz.clone().unwrap() };
    let named = ContentBlock { block_id: class.quiz.clone(), ..Default::default() };
    let with = |quiz: &Quiz| ContentBlock { quiz: Some(quiz.clone()), ..named.clone() };
    update(clients, with(&other), &["quiz"]).await.unwrap();
    class.student.attempt(&class.quiz, 3, "").await.unwrap();
    let refused = refusal(update(clients, with(before.quiz.as_ref().unwrap()), &["quiz"]).await);
    assert_eq!(refused.is(), (Code::FailedPrecondition, "QUIZ_IN_USE"));
    // The same again is no change, and all else may be changed.
    update(clients, with(&other), &["quiz"]).await.unwrap();
    let renamed = ContentBlock { title: "Another title".to_owned(), ..named };
    update(clients, renamed, &["title"]).await.unwrap();
    let after = clients.blocks().get_block(request).await.unwrap().into_inner().block.unwrap();
    assert_eq!((after.quiz, after.title.as_str()), (Some(other), "Another title"));
}

/// Whoever tries a quiz while it is changed has tried either the one or the other.
#[tokio::test]
async fn k6_s34_a_quiz_is_not_changed_under_who_tries_it() {
    let world = World::shared().await;
    let class = Class::new(&world).await;
    let clients = &class.owner.clients;
    for round in 0..5 {
        let block_id = class.owner.block(&class.section, quiz("Quiz", 0)).await;
        let changed = Quiz { pass_percent: 100, ..quiz("Quiz", 0).quiz.unwrap() };
        let block = ContentBlock { block_id: block_id.clone(), quiz: Some(changed), ..Default::default() };
        let (tried, changed) = tokio::join!(class.student.attempt(&block_id, 2, ""), update(clients, block, &["quiz"]));
        let passed = tried.unwrap().passed;
        let outcome = changed.map(drop).map_err(|status| Refusal::from(status).reason);
        // Two of three points pass the first quiz and not the second.
        let expected = if passed { Err("QUIZ_IN_USE".to_owned()) } else { Ok(()) };
        assert_eq!(outcome, expected, "round {round}");
    }
}

/// A file of a course with so many sections, and so many blocks in the first one.
fn large(sections: usize, blocks: usize) -> Vec<u8> {
    let block =
        |number: usize| json!({"type": "LESSON", "title": format!("{number}"), "description": "", "state": "DRAFT"});
    let section = |number: usize| {
        let blocks: Vec<_> = (0..if number == 0 { blocks } else { 0 }).map(block).collect();
        json!({"title": format!("{number}"), "description": "", "state": "DRAFT", "blocks": blocks})
    };
    let sections: Vec<_> = (0..sections).map(section).collect();
    let course = json!({"title": "Large", "description": "", "enrolment_policy": "OPEN", "sections": sections});
    serde_json::to_vec(&json!({"format": "quartet-course", "version": 1, "course": course})).unwrap()
}

#[tokio::test]
async fn k5_k6_s40_a_course_has_500_sections_and_1000_blocks_at_most() {
    let school = School::shared().await;
    let clients = &school.teacher.clients;
    let import = async |sections, blocks| {
        let content = large(sections, blocks).into();
        clients.courses().import_course(ImportCourseRequest { content }).await
    };
    for (sections, blocks) in [(501, 0), (1, 1_001), (501, 1_001)] {
        let refused = refusal(import(sections, blocks).await);
        assert_eq!(refused.is(), (Code::InvalidArgument, "COURSE_FILE_INVALID"));
        assert_eq!(refused.fields, ["course.sections"]);
    }
    let course = import(500, 1_000).await.unwrap().into_inner().course.unwrap();
    assert_eq!((course.section_count, course.block_count), (500, 1_000));
    let all = sections(clients, &course.course_id).await.unwrap();
    assert_eq!(all.len(), 500);
    let refused = refusal(make_section(clients, published_section(&course.course_id, "More")).await);
    assert_eq!(refused.fields, ["section.course_id"]);
    // A block counts in whichever section it is.
    for section in [&all[0], &all[499]] {
        let refused = refusal(make_block(clients, published_lesson(&section.section_id, "More")).await);
        assert_eq!(refused.fields, ["block.section_id"]);
    }
    let first = blocks(clients, &all[0].section_id).await.unwrap();
    assert_eq!(first.len(), 1_000);
    delete(clients, &first[0].block_id).await.unwrap();
    make_block(clients, published_lesson(&all[499].section_id, "Instead")).await.unwrap();
    let gone = DeleteSectionRequest { section_id: all[250].section_id.clone(), ..Default::default() };
    clients.sections().delete_section(gone).await.unwrap();
    make_section(clients, published_section(&course.course_id, "Instead")).await.unwrap();
}
