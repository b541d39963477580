//! I20: who else is here.

use quartet_proto::identity::v1::directory_service_client::DirectoryServiceClient;

use super::HOSTILE;
use super::import::import;
use super::profile::name;
use crate::harness::Bearer;
use crate::harness::prelude::*;

fn directory(world: &World, person: &Person) -> DirectoryServiceClient<Bearer> {
    DirectoryServiceClient::new(Bearer::new(world.channel(), Some(&person.access_token)))
}

pub async fn list(world: &World, person: &Person, request: ListUsersRequest) -> ListUsersResponse {
    directory(world, person).list_users(request).await.expect("no list").into_inner()
}

/// Everybody, page after page.
pub async fn all(world: &World, person: &Person, prefix: &str, page_size: i32) -> Vec<User> {
    let mut request = ListUsersRequest { page_size, name_prefix: prefix.to_owned(), ..Default::default() };
    let mut users = Vec::new();
    loop {
        let page = list(world, person, request.clone()).await;
        assert!(!page.users.is_empty() || page.next_page_token.is_empty(), "a page without anybody, and more to come");
        users.extend(page.users);
        if page.next_page_token.is_empty() {
            return users;
        }
        request.page_token = page.next_page_token;
    }
}

fn names(users: &[User]) -> Vec<String> {
    users.iter().map(|user| format!("{} {}", user.first_name, user.last_name).trim().to_owned()).collect()
}

/// A world in which these people are, and somebody without a name who asks. Both engines must give one order.
async fn crowd(people: &[(&str, &str)]) -> (World, Person) {
    let world = World::own().await;
    let asker = world.sign_up("asker").await;
    let mut file = "email,first_name,last_name\n".to_owned();
    for (number, (first, last)) in people.iter().enumerate() {
        file += &format!("person{number}@example.com,\"{first}\",\"{last}\"\n");
    }
    let report = import(&world, file.as_bytes(), "csv").await;
    assert!(
        report.ends_with(&format!("{0} lines read: {0} accounts made, 0 unchanged, 0 refused\n", people.len())),
        "{report}"
    );
    (world, asker)
}

#[tokio::test]
async fn i20_everybody_but_the_caller_is_listed_in_the_order_of_their_names() {
    let people = [
        ("Zoë", "Alpha"),
        ("émile", "Zola"),
        ("Emil", "Nolde"),
        ("", ""),
        ("Łukasz", "Nowak"),
        ("Lukas", "Novak"),
        ("ada", "Lovelace"),
        ("Ada", "Byron"),
        ("", "Plato"),
        ("Сергей", "Прокофьев"),
        ("小林", "一茶"),
        ("O'Neil", ""),
        ("\u{1f600}", ""),
        ("Ann", "Zed"),
        ("Anna", "Abel"),
    ];
    let (world, asker) = crowd(&people).await;
    name(&world, &asker, "Ada", "Caller").await;
    let ordered = [
        "Ada Byron",
        "ada Lovelace",
        "Ann Zed",
        "Anna Abel",
        "Emil Nolde",
        "émile Zola",
        "Lukas Novak",
        "Łukasz Nowak",
        "O'Neil",
        "Plato",
        "Zoë Alpha",
        "Сергей Прокофьев",
        "小林 一茶",
        "\u{1f600}",
        "",
    ];
    let everybody = all(&world, &asker, "", 100).await;
    assert_eq!(names(&everybody), ordered);
    assert!(everybody.iter().all(|user| user.account_id != asker.account_id));
    // The others see the one who asked before.
    let other = world.sign_up("other").await;
    assert_eq!(names(&all(&world, &other, "ada", 100).await), ["Ada Byron", "Ada Caller", "ada Lovelace"]);
    // Whoever takes another name is found by it, and no more by the one before.
    name(&world, &asker, "Grace", "Hopper").await;
    assert_eq!(names(&all(&world, &other, "ada", 100).await), ["Ada Byron", "ada Lovelace"]);
    assert_eq!(names(&all(&world, &other, "gräce H", 100).await), ["Grace Hopper"]);
}

#[tokio::test]
async fn i20_a_prefix_finds_names_without_regard_to_case_accents_and_blanks() {
    let people = [
        ("Zoë", "Mac Alpha"),
        ("Zoe", "Beta"),
        ("Zo", ""),
        ("Zp", ""),
        ("100%", "Real"),
        ("1000", "Years"),
        ("a_b", ""),
        ("axb", ""),
        ("", ""),
    ];
    let (world, asker) = crowd(&people).await;
    for (prefix, found) in [
        ("zo", vec!["Zo", "Zoe Beta", "Zoë Mac Alpha"]),
        ("ZOË", vec!["Zoe Beta", "Zoë Mac Alpha"]),
        ("  zoe   mac  a", vec!["Zoë Mac Alpha"]),
        ("zoe beta and more", vec![]),
        ("beta", vec![]),
        ("100%", vec!["100% Real"]),
        ("%", vec![]),
        ("a_", vec!["a_b"]),
        ("\u{301}", vec!["100% Real", "1000 Years", "axb", "a_b", "Zo", "Zoe Beta", "Zoë Mac Alpha", "Zp", ""]),
    ] {
        let mut expected = found.clone();
        let mut found = names(&all(&world, &asker, prefix, 2).await);
        if prefix == "\u{301}" {
            // Nothing but an accent is no prefix: everybody.
            expected.sort_unstable();
            found.sort_unstable();
        }
        assert_eq!(found, expected, "{prefix:?}");
    }
    let error = refusal(
        directory(&world, &asker)
            .list_users(ListUsersRequest { name_prefix: "a".repeat(101), ..Default::default() })
            .await,
    );
    assert_eq!(
        (error.is(), error.fields.join(" ").as_str()),
        ((Code::InvalidArgument, "FIELDS_INVALID"), "name_prefix")
    );
}

#[tokio::test]
async fn i20_pages_of_any_size_hold_everybody_once() {
    let people: Vec<(&str, &str)> = (0..230)
        .map(|number| match number % 3 {
            0 => ("", ""),
            1 => ("Same", "Name"),
            _ => ("Another", ""),
        })
        .collect();
    let (world, asker) = crowd(&people).await;
    let everybody = all(&world, &asker, "", 100).await;
    let mut ids: Vec<&str> = everybody.iter().map(|user| user.account_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((everybody.len(), ids.len()), (230, 230));
    for size in [1, 7, 0, 1000] {
        assert_eq!(all(&world, &asker, "", size).await, everybody, "pages of {size}");
    }
    let first = list(&world, &asker, ListUsersRequest::default()).await;
    assert_eq!(
        (
            first.users.len(),
            list(&world, &asker, ListUsersRequest { page_size: 101, ..Default::default() }).await.users.len()
        ),
        (25, 100)
    );
    let error =
        refusal(directory(&world, &asker).list_users(ListUsersRequest { page_size: -1, ..Default::default() }).await);
    assert_eq!(error.fields, ["page_size"]);
    // Somebody who is listed behind the page and takes a name before it is not seen again, and nobody else is missed.
    let last = world.sign_in(&asker.email, &asker.password).await;
    name(&world, &last, "Aaa", "").await;
    let rest = ListUsersRequest { page_token: first.next_page_token, page_size: 100, ..Default::default() };
    assert_eq!(list(&world, &asker, rest).await.users, everybody[25..125]);
}

#[tokio::test]
async fn i20_only_accounts_in_use_are_listed() {
    let world = World::own().await;
    let asker = world.sign_up("asker").await;
    let pending = world.register("pending").await;
    assert_eq!(all(&world, &asker, "", 100).await, []);
    let token = world.mail_token(&pending.email).await;
    let asked = ActivateRequest { email: pending.email.clone(), proof: Some(activate_request::Proof::Token(token)) };
    world.accounts().activate(asked).await.expect("not activated");
    let listed = all(&world, &asker, "", 100).await;
    assert_eq!(listed.iter().map(|user| user.account_id.as_str()).collect::<Vec<_>>(), [pending.account_id.as_str()]);
    let me = world.sign_in(&pending.email, &pending.password).await;
    let asked = DeactivateRequest { password: pending.password.clone() };
    me.accounts(&world).deactivate(asked).await.expect("not deactivated");
    assert_eq!(all(&world, &asker, "", 100).await, [], "who has left is not listed");
}

#[tokio::test]
async fn i20_the_directory_can_be_the_administrators() {
    let world = World::with(&["--identity-directory", "admin"]).await;
    let (ada, admin) = (world.sign_up("ada").await, world.admin().await);
    let error = refusal(directory(&world, &ada).list_users(ListUsersRequest::default()).await);
    assert_eq!((error.is(), error.metadata["roles"].as_str()), ((Code::PermissionDenied, "ROLE_MISSING"), "admin"));
    assert_eq!(all(&world, &admin, "", 100).await.len(), 1);
}

#[tokio::test]
async fn s35_a_mutated_token_is_refused_or_gives_a_page() {
    let people: Vec<(String, &str)> = (0..40).map(|number| (format!("Name{number:02}"), "Ünal")).collect();
    let people: Vec<(&str, &str)> = people.iter().map(|(first, last)| (first.as_str(), *last)).collect();
    let (world, asker) = crowd(&people).await;
    for prefix in ["", "name"] {
        let request = ListUsersRequest { page_size: 5, name_prefix: prefix.to_owned(), ..Default::default() };
        let token = list(&world, &asker, request.clone()).await.next_page_token;
        let mut mutants: Vec<String> = Vec::new();
        for place in 0..token.len() {
            for letter in [b'A', b'z', b'9', b'-', b'\''] {
                let mut mutant = token.clone().into_bytes();
                mutant[place] = letter;
                mutants.push(String::from_utf8(mutant).unwrap());
            }
        }
        mutants.extend([token[..token.len() - 1].to_owned(), format!("{token}A"), token.repeat(30)]);
        for page_token in mutants {
            match directory(&world, &asker).list_users(ListUsersRequest { page_token, ..request.clone() }).await {
                Ok(answer) => assert!(answer.into_inner().users.len() <= 5),
                Err(status) => {
                    let error = Refusal::from(status);
                    assert_eq!(
                        (error.is(), error.fields.join(" ").as_str()),
                        ((Code::InvalidArgument, "FIELDS_INVALID"), "page_token")
                    );
                }
            }
        }
        let other = ListUsersRequest { page_token: token, name_prefix: "other".into(), ..request };
        assert_eq!(
            refusal(directory(&world, &asker).list_users(other).await).fields,
            ["page_token"],
            "of another request"
        );
    }
}

#[tokio::test]
async fn s36_what_looks_like_sql_is_a_prefix_like_any_other() {
    let world = World::shared().await;
    let asker = world.sign_up("asker").await;
    for text in HOSTILE {
        let request = ListUsersRequest { name_prefix: text.to_owned(), ..Default::default() };
        match directory(&world, &asker).list_users(request).await {
            Ok(_) => assert!(!text.contains(['\0', '\u{1b}']), "{text:?}"),
            Err(status) => assert_eq!(Refusal::from(status).fields, ["name_prefix"], "{text:?}"),
        }
        let request = ListUsersRequest { page_token: text.to_owned(), ..Default::default() };
        assert_eq!(refusal(directory(&world, &asker).list_users(request).await).fields, ["page_token"], "{text:?}");
    }
}
