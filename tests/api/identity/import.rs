//! Accounts that come from other programs, by `quartet import accounts FILE`.

use std::io::Write as _;

use super::directory::all;
use crate::harness::prelude::*;
use crate::harness::{Output, quartet, quartet_command};

/// The command on the databases or the running server of a world.
fn command(world: &World, file: &str, more: &[&str]) -> Vec<String> {
    match world.fleet() {
        Some(fleet) => fleet.grounds.command(&format!("import accounts {file}"), more),
        None => {
            let data = world.data().unwrap();
            let words = ["import", "accounts", file, "--data", data.to_str().unwrap()];
            words.iter().chain(more).map(|word| (*word).to_owned()).collect()
        }
    }
}

async fn try_import(world: &World, file: &[u8], form: &str) -> Output {
    let mut path = tempfile::Builder::new().suffix(&format!(".{form}")).tempfile().unwrap();
    path.write_all(file).unwrap();
    let command = command(world, path.path().to_str().unwrap(), &[]);
    let output = tokio::task::spawn_blocking(move || quartet(&command)).await.unwrap();
    drop(path);
    output
}

/// Imports a file and answers the report.
pub async fn import(world: &World, file: &[u8], form: &str) -> String {
    let output = try_import(world, file, form).await;
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Lines, accounts made, unchanged, refused.
fn counts(report: &str) -> [usize; 4] {
    let last = report.lines().last().unwrap_or_default();
    let numbers: Vec<usize> = last.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{report}"))
}

fn hash(password: &str, version: &str) -> String {
    bcrypt::hash(password, 4).unwrap().replacen("$2b$", version, 1)
}

#[tokio::test]
async fn import_accounts_who_comes_signs_in_with_the_old_password_and_gets_a_new_hash() {
    let world = World::own().await;
    let passwords = ["$2a$", "$2b$", "$2y$"].map(|version| (version, format!("old {version} päss")));
    let mut csv = "email,password_hash,first_name\n".to_owned();
    let mut lines = String::new();
    for (number, (version, password)) in passwords.iter().enumerate() {
        csv += &format!("csv{number}@example.com,{},Csv\n", hash(password, version));
        let line = serde_json::json!({ "email": format!("JSON{number}@example.com"), "password_hash": hash(password, version) });
        lines += &format!("{line}\n");
    }
    assert_eq!(counts(&import(&world, csv.as_bytes(), "csv").await), [3, 3, 0, 0]);
    assert_eq!(counts(&import(&world, lines.as_bytes(), "jsonl").await), [3, 3, 0, 0]);
    assert_eq!(hashes(&world, "q1$").await, 0);
    for (number, (_, password)) in passwords.iter().enumerate() {
        for email in [format!("csv{number}@example.com"), format!("json{number}@example.com")] {
            let wrong = world.try_sign_in(&email, "wrong").await.map_err(Refusal::from).expect_err("signed in");
            assert_eq!(wrong.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
            world.sign_in(&email, password).await;
            world.sign_in(&email, password).await;
        }
    }
    assert_eq!(hashes(&world, "q1$").await, 6, "each has been renewed");
    let mails = world.mails("csv0@example.com").await;
    assert!(mails.iter().all(|mail| !mail.subject.to_lowercase().contains("activat")), "{mails:?}");
}

/// How many accounts have a hash that begins so.
async fn hashes(world: &World, begin: &str) -> usize {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query};

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let sql = format!("select count(*) as count from account where password_hash like '{begin}%'");
    match world.fleet() {
        Some(fleet) => fleet.grounds.postgres.run(&fleet.grounds.database("identity"), &sql).await.parse().unwrap(),
        None => {
            let path = world.data().unwrap().join("identity.db");
            let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            store.batch_execute("pragma busy_timeout = 5000").unwrap();
            sql_query(sql).get_result::<Count>(&mut store).unwrap().count as usize
        }
    }
}

#[tokio::test]
async fn import_accounts_without_a_hash_one_signs_in_after_a_reset_and_with_no_password_before() {
    let world = World::own().await;
    assert_eq!(counts(&import(&world, b"email\nada@example.com\n", "csv").await), [1, 1, 0, 0]);
    for password in ["x", "$2b$", PASSWORD] {
        let error = world.try_sign_in("ada@example.com", password).await.map_err(Refusal::from).expect_err("signed in");
        assert_eq!(error.is(), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    }
    let asked = RequestPasswordResetRequest { email: "ada@example.com".into() };
    world.accounts().request_password_reset(asked).await.unwrap();
    let token = world.mail_token("ada@example.com").await;
    let asked = CompletePasswordResetRequest {
        email: "ada@example.com".into(),
        password: PASSWORD.into(),
        proof: Some(complete_password_reset_request::Proof::Token(token)),
    };
    world.accounts().complete_password_reset(asked).await.expect("not reset");
    world.sign_in("ada@example.com", PASSWORD).await;
}

#[tokio::test]
async fn import_accounts_an_address_that_is_not_confirmed_comes_in_as_a_registration() {
    let world = World::own().await;
    let asker = world.sign_up("asker").await;
    let file = format!(
        "email,password_hash,email_verified,create_time\nada@example.com,{},false,2020-01-01T00:00:00Z\n",
        hash(PASSWORD, "$2b$")
    );
    import(&world, file.as_bytes(), "csv").await;
    assert_eq!(all(&world, &asker, "", 100).await, []);
    let error = world.try_sign_in("ada@example.com", PASSWORD).await.map_err(Refusal::from).expect_err("signed in");
    assert_eq!(error.is(), (Code::PermissionDenied, "ACCOUNT_NOT_ACTIVATED"));
    world.accounts().resend_activation(ResendActivationRequest { email: "ada@example.com".into() }).await.unwrap();
    let token = world.mail_token("ada@example.com").await;
    let asked = ActivateRequest { email: "ada@example.com".into(), proof: Some(activate_request::Proof::Token(token)) };
    world.accounts().activate(asked).await.expect("not activated");
    world.sign_in("ada@example.com", PASSWORD).await;

    // Where none need be confirmed, it signs in at once.
    let world = World::with(&["--identity-require-verified-email", "false"]).await;
    import(&world, file.as_bytes(), "csv").await;
    let ada = world.sign_in("ada@example.com", PASSWORD).await;
    let account = ada.accounts(&world).get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap();
    assert_eq!((account.email_verified, account.create_time.unwrap().seconds), (false, 1_577_836_800));
}

#[tokio::test]
async fn i22_roles_and_times_come_along_and_the_audit_log_says_who_brought_them() {
    let world = World::own().await;
    let file = format!(
        "roles,email,create_time,password_hash\nmoderator user,ada@example.com,2020-01-01T00:00:00+00:00,{0}\nadmin,root@example.com,,{0}\n",
        hash(PASSWORD, "$2y$")
    );
    assert_eq!(counts(&import(&world, file.as_bytes(), "csv").await), [2, 2, 0, 0]);
    let ada = world.sign_in("ada@example.com", PASSWORD).await;
    let account = ada.accounts(&world).get_me(GetMeRequest {}).await.unwrap().into_inner().account.unwrap();
    assert_eq!(account.roles, ["moderator", "user"]);
    assert_eq!((account.email_verified, account.create_time.unwrap().seconds), (true, 1_577_836_800));

    let root = world.sign_in("root@example.com", PASSWORD).await;
    let mut audit = audit_service_client::AuditServiceClient::new(crate::harness::Bearer::new(
        world.channel(),
        Some(&root.access_token),
    ));
    let asked = ListAuditEventsRequest { action: "accounts.imported".into(), ..Default::default() };
    let events = audit.list_audit_events(asked).await.expect("no log").into_inner().events;
    let said: Vec<_> = events.iter().map(|event| (event.actor.as_str(), event.details["progress"].as_str())).collect();
    assert_eq!(said, [("operator", "done"), ("operator", "begun")]);
    assert_eq!((events[0].details["created"].as_str(), events[0].details["refused"].as_str()), ("2", "0"));
}

#[tokio::test]
async fn import_accounts_the_same_file_again_changes_nothing() {
    let world = World::own().await;
    let asker = world.sign_up("asker").await;
    let mut file = "email,first_name,last_name\n".to_owned();
    for number in 0..1_500 {
        file += &format!("person{number}@example.com,First{number},Last\n");
    }
    file += "PERSON7@example.com,Another,Name\nasker,No,Address\n";
    let own = format!("{},Thief,Thief\n", asker.email);
    file += &own;
    assert_eq!(counts(&import(&world, file.as_bytes(), "csv").await), [1_503, 1_500, 2, 1]);
    let everybody = all(&world, &asker, "", 100).await;
    assert_eq!(everybody.len(), 1_500);
    assert_eq!(all(&world, &asker, "first7 last", 100).await.len(), 1, "the first line of an address wins");
    assert_eq!(all(&world, &asker, "another", 100).await, []);
    let changed = file.replace("Last", "Changed");
    for file in [&file, &changed] {
        assert_eq!(counts(&import(&world, file.as_bytes(), "csv").await), [1_503, 0, 1_502, 1]);
    }
    assert_eq!(all(&world, &asker, "", 100).await, everybody);
    world.sign_in(&asker.email, &asker.password).await;
}

#[tokio::test]
async fn import_accounts_every_bad_line_is_told_by_its_number_and_stops_no_other() {
    let world = World::own().await;
    let file = "email,password_hash,roles,first_name\n\
                ada@example.com,,,Ada\n\
                no address,,,\n\
                bob@example.com,5f4dcc3b5aa765d61d8327deb882cf99,root,B\tb\n\
                cleo@example.com,,\n\
                \n\
                dora@example.com,,,Dora\n";
    let report = import(&world, file.as_bytes(), "csv").await;
    insta::assert_snapshot!(report, @"
    line 3: `email` must be an address such as `ada@example.com`
    line 4: `password_hash` must be bcrypt as `$2b$12$…`, of a cost from 4 to 16; `first_name` must not hold control characters; `roles` must be one of `admin`, `moderator`, `student`, `teacher`, `user`
    line 5: has 3 cells, the header 4
    5 lines read: 2 accounts made, 0 unchanged, 3 refused
    ");
    assert!(!report.contains("5f4dcc3b") && !report.contains("bob"), "{report}");
    let lines = "{\"email\":\"emil@example.com\"}\n{\"email\":7}\n{\"email\":\"\"\n";
    insta::assert_snapshot!(import(&world, lines.as_bytes(), "jsonl").await, @"
    line 2: has a key twice or with a value of the wrong type, before column 10
    line 3: is no JSON object, from column 11 on
    3 lines read: 1 accounts made, 0 unchanged, 2 refused
    ");

    for (file, form) in [(&b"address,name\n"[..], "csv"), (b"", "csv"), (b"email,roles,roles\n", "csv")] {
        let output = try_import(&world, file, form).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains("the file's first line"), "{output:?}");
    }
    assert_eq!(counts(&import(&world, b"", "jsonl").await), [0, 0, 0, 0]);
    let output = try_import(&world, b"email\n", "txt").await;
    assert!(output.stderr.contains("--format csv"), "{output:?}");
}

#[tokio::test]
async fn s36_hostile_texts_in_a_file_are_stored_or_refused_by_line() {
    let world = World::own().await;
    let asker = world.sign_up("asker").await;
    let mut lines = String::new();
    for (number, text) in super::HOSTILE.iter().enumerate() {
        for key in ["first_name", "last_name", "password_hash", "create_time", "email_verified", "email"] {
            let mut line = serde_json::json!({ "email": format!("h{number}.{key}@example.com"), "roles": [] });
            line[key] = (*text).into();
            lines += &format!("{line}\n");
        }
        lines += &format!("{}\n", serde_json::json!({ "email": format!("r{number}@example.com"), "roles": [text] }));
    }
    let [read, made, unchanged, refused] = counts(&import(&world, lines.as_bytes(), "jsonl").await);
    assert_eq!((read, unchanged, made + refused), (super::HOSTILE.len() * 7, 0, read));
    assert_eq!(all(&world, &asker, "", 100).await.len(), made);
}

/// The file is a pipe that never comes to its end: what was stored when the command is killed stays, and a second run adds the rest.
#[tokio::test]
async fn import_accounts_killed_in_the_middle_it_is_finished_by_another_run() {
    let world = World::own().await;
    let asker = world.sign_up("asker").await;
    let rows =
        |from: usize, to: usize| -> String { (from..to).map(|n| format!("p{n}@example.com,First{n:05}\n")).collect() };
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let words = command(&world, pipe.to_str().unwrap(), &["--format", "csv"]);
    let mut child = quartet_command(&words).stdin(std::process::Stdio::null()).spawn().unwrap();
    let half = format!("email,first_name\n{}", rows(0, 4_000));
    let writer = tokio::task::spawn_blocking(move || {
        let mut pipe = std::fs::File::options().write(true).open(pipe).unwrap();
        pipe.write_all(half.as_bytes()).unwrap();
        pipe
    });
    let pipe = writer.await.unwrap();
    eventually("some are stored", async || (!all(&world, &asker, "first", 100).await.is_empty()).then_some(())).await;
    child.kill().unwrap();
    child.wait().unwrap();
    drop(pipe);

    let file = format!("email,first_name\n{}", rows(0, 5_000));
    let [read, made, unchanged, refused] = counts(&import(&world, file.as_bytes(), "csv").await);
    assert_eq!((read, made + unchanged, refused), (5_000, 5_000, 0));
    assert!(made >= 1_000 && unchanged >= 1_000, "{made} {unchanged}");
    let everybody = all(&world, &asker, "", 100).await;
    let expected: Vec<String> = (0..5_000).map(|n| format!("First{n:05}")).collect();
    assert_eq!(
        everybody.into_iter().map(|user| user.first_name).filter(|name| !name.is_empty()).collect::<Vec<_>>(),
        expected
    );
}

#[tokio::test]
async fn import_accounts_without_a_server_the_command_works_on_the_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").to_str().unwrap().to_owned();
    let file = folder.path().join("people.ndjson");
    std::fs::write(&file, "{\"email\":\"ada@example.com\"}\n").unwrap();
    let words = ["import", "accounts", file.to_str().unwrap(), "--data", &data].map(str::to_owned);
    for expected in [[1, 1, 0, 0], [1, 0, 1, 0]] {
        let words = words.clone();
        let output = tokio::task::spawn_blocking(move || quartet(&words)).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(counts(&output.stdout), expected);
    }
}

#[tokio::test]
async fn import_accounts_two_imports_at_once_make_each_account_once() {
    let world = World::own().await;
    let rows: Vec<String> = (0..3_000).map(|number| format!("p{number}@example.com,Name\n")).collect();
    let forwards = format!("email,first_name\n{}", rows.concat());
    let backwards = format!("email,first_name\n{}", rows.iter().rev().cloned().collect::<String>());
    let imports = [&forwards, &backwards, &forwards].map(|file| import(&world, file.as_bytes(), "csv"));
    let reports = futures_util::future::join_all(imports).await;
    let made: usize = reports.iter().map(|report| counts(report)[1]).sum();
    assert!(
        made == 3_000 && reports.iter().all(|report| counts(report)[1] + counts(report)[2] == 3_000),
        "{reports:?}"
    );
}
