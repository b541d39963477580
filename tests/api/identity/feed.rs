//! The account feed: a reader's copy becomes what identity's own table is, whatever happens to the reader.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use diesel::sql_types::Text;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query};
use futures_util::future::join_all;
use quartet_chassis::random;
use quartet_chassis::upstream::Upstream;
use quartet_proto::identity::v1::account_feed_service_client::AccountFeedServiceClient;
use quartet_proto::identity::v1::email_change_service_client::EmailChangeServiceClient;
use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;
use tonic::{Status, Streaming};

use crate::harness::Bearer;
use crate::harness::prelude::*;
use crate::identity::erasure::delete;

/// The way of a service to identity: the port of an instance, or the socket in the data directory.
pub fn service(world: &World, instance: usize) -> Upstream {
    let ports = world.direct("identity");
    let address = match (world.data(), ports.get(instance % ports.len().max(1))) {
        (Some(data), _) => format!("unix:{}", data.join("quartet.sock").display()),
        (None, Some(port)) => port.to_string(),
        (None, None) => world.gateway().to_string(),
    };
    Upstream::remote(&[address]).unwrap()
}

async fn watch(world: &World, instance: usize, after: i64) -> Result<Streaming<WatchAccountsResponse>, Status> {
    let mut request = Request::new(WatchAccountsRequest { after });
    let bearer = format!("Bearer {}", world.service_token_of("media", "identity"));
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    let mut client = AccountFeedServiceClient::new(service(world, instance));
    client.watch_accounts(request).await.map(tonic::Response::into_inner)
}

/// All that lies behind a number: the messages up to the first beat.
async fn behind(world: &World, after: i64) -> Vec<AccountChange> {
    let mut stream = watch(world, 0, after).await.unwrap();
    let mut found = Vec::new();
    while let Some(WatchAccountsResponse { changes }) = stream.message().await.unwrap() {
        if changes.is_empty() {
            return found;
        }
        found.extend(changes);
    }
    panic!("the stream has ended");
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

/// What a context's table of accounts holds, a line each. `{ID}` stands for the id as digits.
async fn rows(world: &World, context: &str, columns: &str, rest: &str) -> Vec<String> {
    match world.grounds() {
        Some(grounds) => {
            let sql = format!("select {} {rest}", columns.replace("{ID}", "encode(id, 'hex')"));
            let database = grounds.database(context);
            grounds.postgres.run(&database, &sql).await.lines().map(str::to_owned).collect()
        }
        None => {
            let sql = format!("select {} as text {rest}", columns.replace("{ID}", "lower(hex(id))"));
            let path = world.data().unwrap().join(format!("{context}.db"));
            let mut store = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            sql_query("pragma busy_timeout = 5000").execute(&mut store).unwrap();
            let lines: Vec<Line> = sql_query(sql).load(&mut store).unwrap();
            lines.into_iter().map(|line| line.text).collect()
        }
    }
}

const COLUMNS: &str = "{ID} || '|' || email || '|' || first_name || '|' || last_name || '|' || state";

async fn of_identity(world: &World) -> Vec<String> {
    let rest = "from account join profile on account_id = id where state <> 'PENDING' order by id";
    rows(world, "identity", COLUMNS, rest).await
}

async fn of_catalogue(world: &World) -> Vec<String> {
    rows(world, "catalogue", COLUMNS, "from account order by id").await
}

async fn catalogue_is_equal(world: &World) {
    eventually("the catalogue's copy is equal", async || {
        (of_catalogue(world).await == of_identity(world).await).then_some(())
    })
    .await;
}

/// A copy with its cursor, as a reader would keep them in its database.
#[derive(Default)]
struct Copy {
    cursor: i64,
    accounts: BTreeMap<String, String>,
}

impl Copy {
    fn apply(&mut self, changes: Vec<AccountChange>) {
        for change in changes {
            assert!(change.number > self.cursor, "numbers rise: {} after {}", change.number, self.cursor);
            self.cursor = change.number;
            let state = change.state().as_str_name().trim_start_matches("ACCOUNT_STATE_");
            let id = change.account_id.replace('-', "");
            let line = format!("{id}|{}|{}|{}|{state}", change.email, change.first_name, change.last_name);
            self.accounts.insert(id, line);
        }
    }

    fn lines(&self) -> Vec<String> {
        self.accounts.values().cloned().collect()
    }
}

/// Reads from where the copy stands until it is killed.
async fn read(world: Arc<World>, copy: Arc<Mutex<Copy>>, instance: usize) {
    loop {
        let after = copy.lock().unwrap().cursor;
        let Ok(mut stream) = watch(&world, instance, after).await else { continue };
        while let Ok(Some(WatchAccountsResponse { changes })) = stream.message().await {
            copy.lock().unwrap().apply(changes);
        }
    }
}

async fn rename(world: &World, person: &Person, name: &str) {
    let mut profiles = ProfileServiceClient::new(Bearer::new(world.channel(), Some(&person.access_token)));
    let profile = Profile { first_name: name.into(), last_name: "Writer".into(), ..Default::default() };
    let paths = vec!["first_name".to_owned(), "last_name".to_owned()];
    let asked = UpdateProfileRequest { profile: Some(profile), update_mask: Some(prost_types::FieldMask { paths }) };
    profiles.update_profile(asked).await.expect("not renamed");
}

async fn set_state(world: &World, admin: &Person, person: &Person, state: AccountState) {
    let (account_id, reason) = (person.account_id.clone(), "a test".to_owned());
    let asked = SetAccountStatusRequest { account_id, state: state.into(), reason };
    admin.roles(world).set_account_status(asked).await.expect("the state is not set");
}

async fn give_role(world: &World, admin: &Person, person: &Person) {
    let asked = AssignRoleRequest { account_id: person.account_id.clone(), role: "teacher".to_owned() };
    admin.roles(world).assign_role(asked).await.expect("the role is not given");
}

/// Moves somebody to a new address.
pub async fn move_address(world: &World, person: &mut Person) {
    let mut changes = EmailChangeServiceClient::new(Bearer::new(world.channel(), Some(&person.access_token)));
    let new_email = world.address("moved");
    let asked = RequestEmailChangeRequest { new_email: new_email.clone(), password: person.password.clone() };
    changes.request_email_change(asked).await.expect("not asked");
    let proof = Some(confirm_email_change_request::Proof::Token(world.mail_token(&new_email).await));
    changes
        .confirm_email_change(ConfirmEmailChangeRequest { email: new_email.clone(), proof })
        .await
        .expect("not moved");
    person.email = new_email;
}

/// Changes an account in every way there is, for a while.
async fn write(world: &World, admin: &Person, number: usize) {
    let mut person = world.sign_up("writer").await;
    for round in 0..5 {
        rename(world, &person, &format!("{number}-{round}")).await;
        set_state(world, admin, &person, AccountState::Suspended).await;
        set_state(world, admin, &person, AccountState::Active).await;
        person = world.sign_in(&person.email, PASSWORD).await;
        match round % 3 {
            0 => drop(world.sign_up("fresh").await),
            1 => move_address(world, &mut person).await,
            _ => give_role(world, admin, &person).await,
        }
        person = world.sign_in(&person.email, PASSWORD).await;
        tokio::join!(rename(world, &person, "one"), rename(world, &person, "other"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i16_a_reader_that_is_killed_fifty_times_under_sixteen_writers_misses_nothing() {
    let world = Arc::new(World::own().await);
    let admin = world.admin().await;
    let copy = Arc::new(Mutex::new(Copy::default()));
    let written = Cell::new(false);
    let writing = async {
        join_all((0..16).map(|number| write(&world, &admin, number))).await;
        written.set(true);
    };
    let killing = async {
        let mut reader = tokio::spawn(read(world.clone(), copy.clone(), 0));
        let mut kills = 0;
        while kills < 50 || !written.get() {
            // Not to wait for anything: the moments are any.
            tokio::time::sleep(Duration::from_millis(5 + u64::from(random::bytes::<1>()[0] / 4))).await;
            reader.abort();
            // It may be at work at this moment: two that write into one copy are no reader.
            reader.await.ok();
            kills += 1;
            reader = tokio::spawn(read(world.clone(), copy.clone(), kills));
        }
        [reader]
    };
    let ((), [reader]) = tokio::join!(writing, killing);
    let truth = of_identity(&world).await;
    assert!(truth.len() >= 16 * 3, "{}", truth.len());
    eventually("the reader's copy is equal", async || (copy.lock().unwrap().lines() == truth).then_some(())).await;
    catalogue_is_equal(&world).await;
    reader.abort();
}

#[tokio::test]
async fn i16_a_context_that_was_away_catches_up_and_so_does_one_whose_identity_was_away() {
    let mut world = World::own().await;
    let admin = world.admin().await;
    let mut ada = world.sign_up("ada").await;
    catalogue_is_equal(&world).await;
    if world.is_embedded() {
        // Where all is one process nobody is away alone. What a reader has missed it is told.
        let seen = behind(&world, 0).await.last().unwrap().number;
        move_address(&world, &mut ada).await;
        let missed = behind(&world, seen).await;
        assert_eq!(missed.iter().map(|change| change.email.as_str()).collect::<Vec<_>>(), [ada.email.as_str()]);
        return;
    }
    world.fleet_mut().catalogue.kill().await;
    move_address(&world, &mut ada).await;
    let bob = world.sign_up("bob").await;
    set_state(&world, &admin, &bob, AccountState::Suspended).await;
    world.fleet_mut().catalogue.restart().await;
    catalogue_is_equal(&world).await;

    // The catalogue stays, and identity goes and comes back with something new in its database.
    for process in &mut world.fleet_mut().identities {
        process.kill().await;
        process.restart().await;
    }
    eventually("somebody new", async || world.try_sign_in(&ada.email, PASSWORD).await.ok()).await;
    world.sign_up("carl").await;
    catalogue_is_equal(&world).await;
}

#[tokio::test]
async fn i16_of_many_changes_of_one_account_a_late_reader_gets_the_last_one() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let seen = behind(&world, 0).await.last().unwrap().number;
    for number in 1..=1000 {
        rename(&world, &ada, &number.to_string()).await;
    }
    let late = behind(&world, seen).await;
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!((late[0].account_id.as_str(), late[0].first_name.as_str()), (ada.account_id.as_str(), "1000"));
    assert!(late[0].number >= seen + 1000);
    let all = behind(&world, 0).await;
    assert_eq!(
        behind(&world, i64::MAX).await,
        all,
        "to who has read from a newer copy of the database all is told anew"
    );
    assert_eq!(all.iter().map(|change| &change.account_id).collect::<Vec<_>>(), [&bob.account_id, &ada.account_id]);
}

#[tokio::test]
async fn i16_the_feed_tells_of_nobody_who_was_never_active_and_nothing_personal_of_who_is_erased() {
    let world = World::with(&["--identity-erasure-contexts", "catalogue,archive"]).await;
    let (ada, waiting) = (world.sign_up("ada").await, world.register("waiting").await);
    let before = behind(&world, 0).await;
    assert!(before.iter().all(|change| change.account_id != waiting.account_id), "{before:?}");
    assert_eq!((before[0].email.as_str(), before[0].state()), (ada.email.as_str(), AccountState::Active));

    let begun = delete(&world, &ada).await;
    let after = behind(&world, before[0].number).await;
    let number = after[0].number;
    let bare = AccountChange {
        number,
        account_id: ada.account_id,
        state: AccountState::Erasing.into(),
        erasure_id: begun.erasure_id,
        ..Default::default()
    };
    assert_eq!(after, [bare]);
}

#[tokio::test]
async fn s32_readers_that_do_not_read_hold_up_nobody_and_outsiders_read_nothing() {
    let world = World::own().await;
    let mut held = Vec::new();
    for instance in 0..64 {
        held.push(watch(&world, instance, 0).await.unwrap());
    }
    let ada = world.sign_up("ada").await;
    let seen = eventually("a reader who reads", async || behind(&world, 0).await.pop()).await;
    assert_eq!(seen.account_id, ada.account_id);
    let mut client = AccountFeedServiceClient::new(Bearer::new(world.channel(), Some(&ada.access_token)));
    let refused = refusal(client.watch_accounts(WatchAccountsRequest::default()).await);
    assert_eq!(refused.is(), (Code::Unimplemented, "METHOD_UNKNOWN"), "outside there is no such rpc");
    drop(held);
}
