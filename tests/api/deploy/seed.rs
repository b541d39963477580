//! `quartet seed`, with and without a server on the data directory, and on a fleet's databases.

use std::path::Path;

use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};

use super::command::well;
use super::home::Server;
use crate::harness::prelude::*;
use crate::harness::quartet;
use crate::identity::client::command;

const SEED: [&str; 3] = ["seed", "--identity-bcrypt-cost", "4"];
const NOTHING: &str = "Nothing is changed: the demonstration was made before.\n";

/// The password of somebody, as it was printed.
fn password_of(output: &str, email: &str) -> String {
    let line = output.lines().find_map(|line| line.trim().strip_prefix(email)).expect("no such person");
    line.split_whitespace().next().expect("no password").to_owned()
}

async fn refused(data: &Path) -> String {
    let arguments: Vec<String> =
        SEED.iter().map(|word| (*word).to_owned()).chain(["--data".into(), data.display().to_string()]).collect();
    let output = tokio::task::spawn_blocking(move || quartet(&arguments)).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    output.stderr
}

#[tokio::test]
async fn p7_a_demonstration_is_made_once_whether_or_not_a_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let without = well(&first, &SEED).await;
    assert_eq!(well(&first, &SEED).await, NOTHING);
    let _server = Server::start(&first).await;
    assert_eq!(well(&first, &SEED).await, NOTHING);

    let _server = Server::start(&second).await;
    let with = well(&second, &SEED).await;
    assert_eq!(well(&second, &SEED).await, NOTHING);
    for output in [&without, &with] {
        assert!(output.starts_with("40 movies stored, 0 unchanged\n"), "{output}");
        assert!(output.contains("of which a student has done 3 of 4 blocks"), "{output}");
    }
    let passwords = [&without, &with].map(|output| password_of(output, "teacher@demo.example"));
    assert_ne!(passwords[0], passwords[1], "every installation has its own");
    assert_ne!(password_of(&with, "student@demo.example"), passwords[1]);
}

#[tokio::test]
async fn p7_a_demonstration_does_not_come_among_real_accounts_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let password = folder.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let create = ["admin", "create", "root@example.com", "--password-file", password.to_str().unwrap()];
    well(&data, &[&create[..], &["--identity-bcrypt-cost", "4"]].concat()).await;

    let refusal = refused(&data).await;
    assert!(refusal.contains("`--yes`"), "{refusal}");
    let output = well(&data, &[&SEED[..], &["--yes"]].concat()).await;
    assert!(output.starts_with("40 movies stored, 0 unchanged\n"), "nothing came before: {output}");
    assert_eq!(well(&data, &SEED).await, NOTHING);
}

#[tokio::test]
async fn p7_a_run_that_was_cut_off_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = well(&data, &SEED).await;
    // As it is when the last step did not happen.
    let mut database = SqliteConnection::establish(data.join("identity.db").to_str().unwrap()).unwrap();
    let away = "update account set email = 'away@demo.example', email_key = 'away@demo.example' \
                where email = 'moderator@demo.example'";
    assert_eq!(diesel::sql_query(away).execute(&mut database).unwrap(), 1);
    drop(database);
    let again = well(&data, &[&SEED[..], &["--yes"]].concat()).await;
    assert!(again.starts_with("0 movies stored, 40 unchanged\n"), "{again}");
    let course = |output: &str| output.lines().find(|line| line.starts_with("A course")).map(str::to_owned);
    assert_eq!(course(&first), course(&again), "the same course, the same work, one grade");
    assert_eq!(password_of(&first, "teacher@demo.example"), password_of(&again, "teacher@demo.example"));
}

#[tokio::test]
async fn p7_the_people_of_a_demonstration_sign_in_and_find_their_course() {
    let world = World::own().await;
    let seeded = command(&world, &SEED).await;
    assert!(seeded.status.success(), "{seeded:?}");
    let output = seeded.stdout;
    assert_eq!(command(&world, &SEED).await.stdout, NOTHING);
    let [teacher, student] = ["teacher", "student"].map(|who| format!("{who}@demo.example"));
    let teacher = world.sign_in(&teacher, &password_of(&output, &teacher)).await;
    let student = world.sign_in(&student, &password_of(&output, &student)).await;

    let taking = ListCoursesRequest { scope: CourseScope::Taking.into(), ..Default::default() };
    let courses = world.as_token(&student.access_token).courses().list_courses(taking).await.unwrap().into_inner();
    let [course] = &courses.courses[..] else { panic!("{courses:?}") };
    assert_eq!((course.section_count, course.block_count), (2, 4));
    assert_eq!(course.owner_account_id, teacher.account_id);

    let ask = GetGradebookRequest { course_id: course.course_id.clone(), ..Default::default() };
    let book = world.as_token(&teacher.access_token).grades().get_gradebook(ask).await.unwrap().into_inner();
    let [row] = &book.rows[..] else { panic!("{book:?}") };
    let grades: Vec<Option<i32>> = row.blocks.iter().map(|block| block.grade).collect();
    assert_eq!(
        (row.account_id.as_str(), &grades[..]),
        (student.account_id.as_str(), &[None, Some(67), None, Some(90)][..])
    );

    let search = SearchMoviesRequest { query: "chaplin".to_owned(), with_facets: true, ..Default::default() };
    let found = world.movies().search_movies(search).await.unwrap().into_inner();
    assert_eq!(found.total_size, 5, "{found:?}");
    let sessions = world.as_token(&student.access_token).sessions().list_sessions(ListSessionsRequest::default()).await;
    assert_eq!(sessions.unwrap().into_inner().sessions.len(), 1, "the command's own sessions have ended");
}
