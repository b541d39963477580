//! K5 to K8: what an answer says is of one moment, whatever changes while it is made.

use super::class::{Somebody, lesson, outcome};
use super::invited::teacher;
use crate::harness::prelude::*;
use crate::harness::{bytes, left_out, told_amid};
use crate::identity::erasure::copied;

/// The names of a class, in the order in which it is listed.
async fn class(who: &Somebody, course_id: &str) -> Result<Vec<(String, String)>, tonic::Status> {
    let asked = ListEnrolmentsRequest { course_id: course_id.to_owned(), page_size: 100, ..Default::default() };
    let page = who.clients.enrolments().list_enrolments(asked).await?.into_inner();
    Ok(page.enrolments.into_iter().map(|one| (one.first_name, one.last_name)).collect())
}

#[tokio::test]
async fn k7_s34_who_is_renamed_while_they_enrol_stands_where_their_name_belongs() {
    let world = World::own().await;
    let owner = teacher(&world).await;
    let course = owner.course(EnrolmentPolicy::Open, "").await;
    let mut names = Vec::new();
    for number in 0..12 {
        // Some are known already, and of some the catalogue has not heard yet.
        let somebody = Somebody::new(&world, "pupil").await;
        if number % 2 == 0 {
            somebody.is_called(&world, "Zoe", "Before").await;
            copied(&world).await;
        }
        let name = format!("{:02}", (number * 7) % 12);
        let (enrolled, ()) = tokio::join!(somebody.enrol(&course, ""), somebody.is_called(&world, &name, "After"));
        enrolled.unwrap();
        names.push(name);
    }
    names.sort();
    let class = eventually("all names are known", async || {
        let class = class(&owner, &course).await.unwrap();
        (class.len() == names.len() && class.iter().all(|(_, last)| last == "After")).then_some(class)
    })
    .await;
    let order: Vec<String> = class.into_iter().map(|(first, _)| first).collect();
    assert_eq!(order, names);
}

#[tokio::test]
async fn k7_s34_a_class_stands_in_the_order_of_the_names_that_are_shown_who_is_renamed_meanwhile() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return left_out("nothing can be put between two reads of SQLite") };
    let owner = teacher(&world).await;
    let course = owner.course(EnrolmentPolicy::Open, "").await;
    let (ada, mia) = (Somebody::new(&world, "ada").await, Somebody::new(&world, "mia").await);
    for (somebody, name) in [(&ada, "Ada"), (&mia, "Mia")] {
        somebody.is_called(&world, name, "Pupil").await;
        somebody.enrol(&course, "").await.unwrap();
    }
    let named = |names: [&str; 2]| names.map(|first| (first.to_owned(), "Pupil".to_owned())).to_vec();
    let (before, after) = (named(["Ada", "Mia"]), named(["Mia", "Zoe"]));
    // From here on the feed has nothing to say of them.
    eventually("the names are known", async || {
        let class = class(&owner, &course).await.unwrap();
        (class == before).then_some(())
    })
    .await;
    let rename = format!(
        "update enrolment set name_key = 'zoe pupil' where student_id = {ada};
        update account set first_name = 'Zoe' where id = {ada};",
        ada = bytes(&ada.id()),
    );
    let told = told_amid(&fleet.grounds, "catalogue", "account", &rename, async || class(&owner, &course).await).await;
    for class in told {
        let class = class.unwrap();
        assert!(class == before || class == after, "{class:?}");
    }
    assert_eq!(class(&owner, &course).await.unwrap(), after);
}

/// What a student reads, and where that is stored.
#[derive(Debug, Clone, Copy)]
enum Read {
    Section,
    Block,
    Submission,
    Assessment,
}

impl Read {
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Read::Section => ("section", "title"),
            Read::Block => ("content_block", "title"),
            Read::Submission => ("submission", "remarks"),
            Read::Assessment => ("assessment", "feedback"),
        }
    }
}

/// What there is to read.
struct Material {
    id: String,
    section: String,
    lesson: String,
}

impl Material {
    async fn new(owner: &Somebody) -> Material {
        let id = owner.course(EnrolmentPolicy::Open, "").await;
        let section = owner.section(&id, PublicationState::Published).await;
        let lesson = owner.block(&section, lesson("A lesson")).await;
        Material { id, section, lesson }
    }

    async fn read(&self, student: &Somebody, what: Read) -> Result<Vec<String>, tonic::Status> {
        let clients = &student.clients;
        Ok(match what {
            Read::Section => {
                let asked = ListSectionsRequest { course_id: self.id.clone(), ..Default::default() };
                let page = clients.sections().list_sections(asked).await?.into_inner();
                page.sections.into_iter().map(|section| section.title).collect()
            }
            Read::Block => {
                let asked = ListBlocksRequest { section_id: self.section.clone(), ..Default::default() };
                let page = clients.blocks().list_blocks(asked).await?.into_inner();
                page.blocks.into_iter().map(|block| block.title).collect()
            }
            Read::Submission => vec![student.submission(&self.lesson, "").await?.remarks],
            Read::Assessment => {
                let asked = ListAssessmentsRequest { block_id: self.lesson.clone(), ..Default::default() };
                let page = clients.grades().list_assessments(asked).await?.into_inner();
                page.assessments.into_iter().map(|said| said.feedback).collect()
            }
        })
    }
}

#[tokio::test]
async fn k5_k6_k8_s34_who_leaves_while_they_read_is_told_nothing_from_behind_that() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return left_out("nothing can be put between two reads of SQLite") };
    let (owner, student) = (teacher(&world).await, Somebody::new(&world, "student").await);
    let course = Material::new(&owner).await;
    student.enrol(&course.id, "").await.unwrap();
    student.complete(&course.lesson).await.unwrap();
    owner.grade(&course.lesson, &student.id(), Some(90), "Well done").await.unwrap();
    for (what, missing) in [
        (Read::Section, "COURSE_RIGHT_MISSING"),
        (Read::Block, "SECTION_NOT_FOUND"),
        (Read::Submission, "BLOCK_NOT_FOUND"),
        (Read::Assessment, "BLOCK_NOT_FOUND"),
    ] {
        let before = course.read(&student, what).await.unwrap();
        let (table, column) = what.place();
        let leave = format!(
            "update enrolment set active = false where student_id = {student};
            update {table} set {column} = 'Behind it';",
            student = bytes(&student.id()),
        );
        let told =
            told_amid(&fleet.grounds, "catalogue", table, &leave, async || course.read(&student, what).await).await;
        for told in told {
            match told {
                Ok(told) => assert_eq!(told, before, "{what:?}"),
                Err(refused) => assert_eq!(refused.reason, missing, "{what:?}"),
            }
        }
        assert_eq!(outcome(course.read(&student, what).await), missing);
        student.enrol(&course.id, "").await.unwrap();
        assert_eq!(course.read(&student, what).await.unwrap(), ["Behind it"]);
    }
}
