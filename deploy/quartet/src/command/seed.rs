//! `quartet seed`: people, movies and a course to try things with, made by the calls that make everybody's.
//!
//! A run that was cut off is taken up by the next. So passwords are drawn from the installation's key, which gives the same again and
//! differs from installation to installation, and the last people come when all the rest is there: they are the sign that it is done.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use quartet_chassis::crypt::MasterKey;
use quartet_chassis::upstream::Upstream;
use quartet_proto::catalogue::v1::ImportMoviesRequest;
use quartet_proto::catalogue::v1::import_service_client::ImportServiceClient;
use quartet_proto::identity::v1::account_import_service_client::AccountImportServiceClient;
use quartet_proto::identity::v1::role_service_client::RoleServiceClient;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use quartet_proto::identity::v1::{
    AccountFileFormat, ImportAccountsRequest, ListAccountsRequest, SignInRequest, SignOutRequest,
};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

use super::{say, seed_course};
use crate::reach::{Both, failed, operator};
use crate::settings::Options;

/// Forty films that belong to everybody by now. Their scores are made up.
const MOVIES: &[u8] = include_bytes!("seed_movies.csv");

/// Somebody to try things as. Mail goes nowhere: `.example` is nobody's.
struct Person {
    email: &'static str,
    first_name: &'static str,
    last_name: &'static str,
    role: &'static str,
}

const TEACHER: Person =
    Person { email: "teacher@demo.example", first_name: "Ines", last_name: "Okafor", role: "teacher" };
const STUDENT: Person =
    Person { email: "student@demo.example", first_name: "Jonas", last_name: "Berg", role: "student" };
/// Who has done nothing yet.
const BEGINNER: Person =
    Person { email: "beginner@demo.example", first_name: "Mei", last_name: "Tanaka", role: "student" };
const MODERATOR: Person =
    Person { email: "moderator@demo.example", first_name: "Omar", last_name: "Haddad", role: "moderator" };
const PEOPLE: [Person; 4] = [TEACHER, STUDENT, BEGINNER, MODERATOR];

/// Somebody who is signed in.
pub struct Pass {
    pub account_id: String,
    bearer: MetadataValue<Ascii>,
}

impl Pass {
    /// A request of theirs.
    pub fn asks<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }
}

pub async fn run(options: &Options, yes: bool) -> anyhow::Result<()> {
    let reached = Both::open(options).await?;
    let done = plant(&reached, options.identity.bcrypt_cost, yes).await;
    reached.close().await;
    done
}

async fn plant(reached: &Both, cost: u32, yes: bool) -> anyhow::Result<()> {
    let listed = |request| async { accounts(&reached.identity, request).await };
    let last = ListAccountsRequest { email: MODERATOR.email.to_owned(), ..Default::default() };
    if !listed(last).await?.is_empty() {
        say("Nothing is changed: the demonstration was made before.");
        return Ok(());
    }
    // One more than ours: if there is anybody else, one of these is.
    let some = ListAccountsRequest { page_size: PEOPLE.len() as i32 + 1, ..Default::default() };
    let is_ours = |email: &String| PEOPLE.iter().any(|person| person.email == email);
    if !yes && !listed(some).await?.iter().all(is_ours) {
        bail!(
            "this installation has accounts: demonstration people, movies and a course would stand among what is real; \
             `--yes` makes them all the same"
        );
    }
    import_movies(reached.catalogue.clone()).await?;
    import_people(reached, cost, &[TEACHER, STUDENT]).await?;
    let [teacher, student] = [sign_in(reached, &TEACHER).await?, sign_in(reached, &STUDENT).await?];
    let made = seed_course::make(&reached.catalogue, &teacher, &student).await;
    for pass in [teacher, student] {
        let out = SessionServiceClient::new(reached.identity.clone()).sign_out(pass.asks(SignOutRequest {})).await;
        out.map_err(failed)?;
    }
    say(made?);
    introduce(&reached.master);
    import_people(reached, cost, &[BEGINNER, MODERATOR]).await
}

/// Addresses of accounts.
async fn accounts(identity: &Upstream, request: ListAccountsRequest) -> anyhow::Result<Vec<String>> {
    let answer = RoleServiceClient::new(identity.clone()).list_accounts(operator(request)).await;
    Ok(answer.map_err(failed)?.into_inner().accounts.into_iter().map(|account| account.email).collect())
}

async fn import_movies(catalogue: Upstream) -> anyhow::Result<()> {
    let file = tokio_stream::iter([ImportMoviesRequest { content: Bytes::from_static(MOVIES) }]);
    let answer = ImportServiceClient::new(catalogue).import_movies(operator(file)).await;
    let summary = answer.map_err(failed)?.into_inner().summary.unwrap_or_default();
    say(format_args!("{} movies stored, {} unchanged", summary.movies_stored, summary.movies_unchanged));
    Ok(())
}

async fn import_people(reached: &Both, cost: u32, people: &[Person]) -> anyhow::Result<()> {
    let mut content = Vec::new();
    for person in people {
        let line = serde_json::json!({
            "email": person.email,
            "password_hash": bcrypt::hash(password(&reached.master, person), cost)?,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "roles": [person.role],
        });
        serde_json::to_writer(&mut content, &line)?;
        content.push(b'\n');
    }
    let file = [ImportAccountsRequest { format: AccountFileFormat::JsonLines.into(), content }];
    let answer = AccountImportServiceClient::new(reached.identity.clone())
        .import_accounts(operator(tokio_stream::iter(file)))
        .await;
    let problems = answer.map_err(failed)?.into_inner().problems;
    problems.first().map_or(Ok(()), |problem| bail!("the demonstration people can't be made: {}", problem.reason))
}

/// 96 bits that only this installation's key gives.
fn password(master: &MasterKey, person: &Person) -> String {
    let tag = master.tagger("demonstration passwords").tag(&[person.email.as_bytes()]);
    hex::encode(tag.get(..12).unwrap_or(&tag))
}

async fn sign_in(reached: &Both, person: &Person) -> anyhow::Result<Pass> {
    let request = SignInRequest {
        email: person.email.to_owned(),
        password: password(&reached.master, person),
        device_name: "quartet seed".to_owned(),
        ..Default::default()
    };
    let answer = SessionServiceClient::new(reached.identity.clone()).sign_in(request).await;
    let answer = answer.map_err(failed).with_context(|| {
        format!("an earlier run was cut off, and {} has another password by now: delete the account", person.email)
    })?;
    let answer = answer.into_inner();
    let bearer = format!("Bearer {}", answer.access_token).parse()?;
    Ok(Pass { account_id: answer.account_id, bearer })
}

/// Says once how to sign in.
fn introduce(master: &MasterKey) {
    say("People, with passwords that are shown this once:");
    for person in &PEOPLE {
        let Person { email, first_name, last_name, role } = person;
        say(format_args!("  {email}  {}  {role} {first_name} {last_name}", password(master, person)));
    }
    say("Sign in with `SessionService.SignIn`, as the README's first five minutes do.");
}
