//! The operator's commands, with and without a server on the data directory.

use std::path::Path;

use super::home::Server;
use crate::harness::prelude::*;
use crate::harness::{Output, quartet};

/// Runs a command on a data directory.
async fn run(data: &Path, arguments: &[&str]) -> Output {
    let mut all: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    all.extend(["--data".to_owned(), data.to_str().unwrap().to_owned()]);
    tokio::task::spawn_blocking(move || quartet(&all)).await.unwrap()
}

pub async fn well(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

#[tokio::test]
async fn an_administrator_is_made_whether_or_not_a_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let password = folder.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let create = ["admin", "create", "root@example.com", "--password-file", password.to_str().unwrap()];
    let create = [&create[..], &["--identity-bcrypt-cost", "4"]].concat();

    assert!(well(&data, &create).await.contains("root@example.com is a new administrator"));
    let _server = Server::start(&data).await;
    assert!(well(&data, &create).await.contains("root@example.com is an administrator now"));

    std::fs::write(&password, "short").unwrap();
    let refused = run(&data, &create).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("`password`"), "{}", refused.stderr);
    let no_terminal = run(&data, &["admin", "create", "other@example.com"]).await;
    assert!(!no_terminal.status.success(), "{no_terminal:?}");
}

#[tokio::test]
async fn k3_the_import_by_command_reports_whether_or_not_a_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = fixture("movies.csv");
    let import = ["import", "movies", file.to_str().unwrap()];
    let first = well(&data, &import).await;
    let _server = Server::start(&data).await;
    let second = well(&data, &import).await;

    let counts = |output: &str| -> Vec<i64> {
        let last = output.lines().last().unwrap_or_default().to_owned();
        last.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let [read, stored, unchanged, duplicates, rejected] = counts(&first)[..] else { panic!("{first}") };
    assert_eq!((read, unchanged), (stored + duplicates + rejected, 0), "{first}");
    assert!(stored > 0);
    assert_eq!(counts(&second), [read, 0, stored, duplicates, rejected], "a second import changes nothing: {second}");
    let lines = first.lines().filter(|line| line.starts_with("line ")).count();
    assert_eq!(lines as i64, duplicates + rejected, "each is reported with its line: {first}");

    let missing = run(&data, &["import", "movies", "/nowhere.csv"]).await;
    assert!(missing.stderr.contains("/nowhere.csv"), "{}", missing.stderr);
}

#[tokio::test]
async fn i24_mail_prints_the_last_one_or_says_that_there_is_none() {
    let world = World::own().await;
    let Some(data) = world.data() else { return };
    let ada = world.register("ada").await;
    let bob = world.register("bob").await;
    let _ = world.mails(&bob.email).await;
    let mail = well(&data, &["mail", "--to", &ada.email]).await;
    assert!(mail.starts_with(&format!("To: {}\nSubject: ", ada.email)), "{mail}");
    let code = mail.lines().find_map(|line| line.strip_prefix("Code: ")).unwrap_or_default();
    assert_eq!(code, world.mail_code(&ada.email).await);
    assert!(well(&data, &["mail"]).await.contains(&bob.email));
    let all = well(&data, &["mail", "--all"]).await;
    assert!(all.contains(&ada.email) && all.contains(&bob.email), "{all}");
    let none = run(&data, &["mail", "--to", "nobody@example.com"]).await;
    assert_eq!(none.status.code(), Some(1));
    assert!(none.stderr.contains("there is no mail to nobody@example.com"), "{}", none.stderr);
}

#[tokio::test]
async fn i24_mail_waits_for_what_was_asked_for_before() {
    let world = World::own().await;
    let Some(data) = world.data() else { return };
    let ada = world.activated("ada").await;
    let read = ["mail", "--to", &ada.email];
    assert!(well(&data, &read).await.contains("\nSubject: Activate your account\n"));

    // The reset's mail fails at first, and comes while the command already runs.
    world.fault(Fault::Mail, true).await;
    let asked = RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(asked).await.unwrap();
    let mended = async {
        world.fault(Fault::Mail, false).await;
        // Its worker may rest for some seconds after it has failed.
        world.move_clock(Duration::from_secs(60)).await;
    };
    let (mail, ()) = tokio::join!(well(&data, &read), mended);
    assert!(mail.contains("\nSubject: Reset your password\n"), "{mail}");
}

#[tokio::test]
async fn x7_keys_rotate_by_command_whether_or_not_a_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(well(&data, &["keys", "rotate"]).await.contains("is published"));
    let _server = Server::start(&data).await;
    assert!(well(&data, &["keys", "rotate"]).await.contains("is published"));
    assert!(well(&data, &["keys", "rotate", "--withdraw-now"]).await.contains("is refused"));
}

#[tokio::test]
async fn i25_migrate_makes_the_databases_and_leaves_a_running_server_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = well(&data, &["migrate", "--only", "catalogue"]).await;
    assert_eq!(output, "the catalogue: up to date\n");
    assert!(data.join("catalogue.db").exists() && !data.join("identity.db").exists());
    assert_eq!(well(&data, &["migrate", "--only", "messaging"]).await, "messaging: up to date\n");
    assert!(data.join("messaging.db").exists() && !data.join("identity.db").exists());
    assert_eq!(well(&data, &["migrate"]).await.lines().count(), 4, "every context has one");
    let _server = Server::start(&data).await;
    let refused = run(&data, &["migrate"]).await;
    assert!(refused.stderr.contains("holds the data directory"), "{}", refused.stderr);
}
