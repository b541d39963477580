//! Streams end with the session that has opened them.

use chrono::TimeDelta;
use issue_token_request::Form;
use quartet_chassis::auth::{Auth, PublicKey, Revocation, Target};
use quartet_chassis::bus::Bus;
use quartet_chassis::clock::{Clock, unix_seconds};
use quartet_chassis::crypt::MasterKey;
use quartet_chassis::guard::Guard;
use quartet_chassis::id::Id;
use quartet_chassis::parts::Parts;
use quartet_chassis::throttle::Throttle;
use quartet_chassis::upstream::Upstream;
use quartet_proto::catalogue::v1::import_service_client::ImportServiceClient;
use quartet_proto::catalogue::v1::import_service_server::{ImportService, ImportServiceServer};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Response, Status, Streaming};

use super::token::{self, changed};
use crate::harness::prelude::*;

/// How long an end is waited for.
const PATIENT: Duration = Duration::from_secs(60);

/// An import that waits for more of its file.
struct Open {
    pieces: mpsc::Sender<ImportMoviesRequest>,
    answer: JoinHandle<Result<Response<ImportMoviesResponse>, Status>>,
}

impl Open {
    /// Begins to send a file. The catalogue has the call when this returns, because more was taken than fits on the way.
    async fn begin(world: &World, token: &str) -> Open {
        let (pieces, stream) = mpsc::channel(1);
        let mut imports = world.as_token(token).imports();
        let answer = tokio::spawn(async move { imports.import_movies(ReceiverStream::new(stream)).await });
        let open = Open { pieces, answer };
        open.send(b"names,date_x,score,genre,overview,crew,orig_title,status,orig_lang,budget_x,revenue,country\n")
            .await;
        for _ in 0..64 {
            open.send(&vec![b'\n'; 64 * 1024]).await;
        }
        open
    }

    async fn send(&self, piece: &[u8]) {
        let content = piece.to_vec().into();
        self.pieces.send(ImportMoviesRequest { content }).await.expect("the import has ended");
    }

    /// How it ends, without another word from here.
    async fn end(self) -> Result<ImportSummary, Refusal> {
        let answer = tokio::time::timeout(PATIENT, self.answer).await.expect("it does not end").unwrap();
        drop(self.pieces);
        answer.map(|answer| answer.into_inner().summary.unwrap()).map_err(Refusal::from)
    }

    /// How it ends when the file does.
    async fn finish(self) -> Result<ImportSummary, Refusal> {
        let Open { pieces, answer } = self;
        drop(pieces);
        answer.await.unwrap().map(|answer| answer.into_inner().summary.unwrap()).map_err(Refusal::from)
    }
}

async fn moderator(world: &World) -> Person {
    let mut person = world.sign_up("moderator").await;
    world.with_role(&mut person, "moderator").await;
    person
}

async fn set_status(world: &World, admin: &Person, person: &Person, state: AccountState) {
    let account_id = person.account_id.clone();
    let asked = SetAccountStatusRequest { account_id, state: state.into(), reason: "a test of streams".to_owned() };
    admin.roles(world).set_account_status(asked).await.unwrap();
}

#[tokio::test]
async fn s15_an_open_stream_ends_when_its_owner_signs_out_or_is_suspended() {
    let world = World::shared().await;
    let (ada, bob, cyd, admin) =
        (moderator(&world).await, moderator(&world).await, moderator(&world).await, world.admin().await);
    let (of_ada, of_bob, of_cyd) = (
        Open::begin(&world, &ada.access_token).await,
        Open::begin(&world, &bob.access_token).await,
        Open::begin(&world, &cyd.access_token).await,
    );
    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    assert_eq!(of_ada.end().await.unwrap_err().is(), (Code::Unauthenticated, "SESSION_REVOKED"));

    set_status(&world, &admin, &bob, AccountState::Suspended).await;
    let refused = of_bob.end().await.unwrap_err();
    assert_eq!(refused.code, Code::Unauthenticated, "{refused:?}");
    assert!(["SESSION_REVOKED", "TOKEN_STALE"].contains(&refused.reason.as_str()), "{refused:?}");

    assert_eq!(of_cyd.finish().await.unwrap().rows_read, 0, "a stranger's stream goes on");
}

#[tokio::test]
async fn s15_an_open_stream_ends_when_its_owner_loses_the_role() {
    let world = World::shared().await;
    let (ada, admin) = (moderator(&world).await, world.admin().await);
    let open = Open::begin(&world, &ada.access_token).await;
    let revoke = RevokeRoleRequest { account_id: ada.account_id.clone(), role: "moderator".to_owned() };
    admin.roles(&world).revoke_role(revoke).await.unwrap();
    assert_eq!(open.end().await.unwrap_err().is(), (Code::Unauthenticated, "TOKEN_STALE"));
}

#[tokio::test]
async fn s15_a_stream_lives_as_long_as_the_session_and_that_of_a_lesser_token_as_long_as_the_token() {
    let world = World::own().await;
    let ada = moderator(&world).await;
    let narrow = Form::Narrow(NarrowToken { roles: vec!["moderator".to_owned()] });
    let asked = IssueTokenRequest { form: Some(narrow), audience: "catalogue".to_owned(), life_seconds: 60 };
    let narrowed = ada.sessions(&world).issue_token(asked).await.unwrap().into_inner().access_token;
    let (whole, lesser) = (Open::begin(&world, &ada.access_token).await, Open::begin(&world, &narrowed).await);
    world.move_clock(Duration::from_secs(700)).await;
    assert_eq!(lesser.end().await.unwrap_err().is(), (Code::Unauthenticated, "TOKEN_EXPIRED"));
    let refused = refusal(ada.accounts(&world).get_me(GetMeRequest {}).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "TOKEN_EXPIRED"));
    whole.finish().await.expect("the session lives");
}

#[tokio::test]
async fn s15_the_stream_of_who_acts_for_somebody_ends_with_the_session_of_who_acts() {
    let world = World::own().await;
    let (ada, admin) = (moderator(&world).await, world.admin().await);
    let account_id = ada.account_id.clone();
    let form = Form::Impersonate(ImpersonateToken { account_id, reason: "a test of streams".to_owned() });
    let asked = IssueTokenRequest { form: Some(form), ..Default::default() };
    let acting = admin.sessions(&world).issue_token(asked).await.unwrap().into_inner().access_token;
    let open = Open::begin(&world, &acting).await;
    admin.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    assert_eq!(open.end().await.unwrap_err().is(), (Code::Unauthenticated, "SESSION_REVOKED"));
}

/// A service that says something at once, and then nothing for ever.
struct Silent;

#[tonic::async_trait]
impl ImportService for Silent {
    type ImportMovieFileStream = ReceiverStream<Result<ImportMovieFileResponse, Status>>;

    async fn import_movies(
        &self,
        _: Request<Streaming<ImportMoviesRequest>>,
    ) -> Result<Response<ImportMoviesResponse>, Status> {
        std::future::pending().await
    }

    async fn import_movie_file(
        &self,
        _: Request<ImportMovieFileRequest>,
    ) -> Result<Response<Self::ImportMovieFileStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            sender.send(Ok(ImportMovieFileResponse::default())).await.ok();
            sender.closed().await;
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// The silent service behind a guard of its own.
struct Lone {
    parts: Parts,
    guard: Guard,
    _folder: tempfile::TempDir,
}

impl Lone {
    fn new() -> Lone {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::movable(&folder.path().join("clock")).unwrap();
        let auth = Auth::new(clock.clone(), b"secret");
        auth.set_keys(&[PublicKey { kid: "k".to_owned(), x: token::public_key() }]);
        auth.revocations().set_complete();
        let bus = Bus::Local(auth.revocations().clone());
        let parts = Parts {
            throttle: Throttle::new(&bus, &clock),
            clock,
            master: MasterKey::parse(&"ab".repeat(32)).unwrap(),
            bus,
            auth,
            faults: Default::default(),
            stopping: Default::default(),
            tasks: Default::default(),
            limits: Default::default(),
        };
        let routes = Routes::new(ImportServiceServer::new(Silent));
        let guard = Guard::new("catalogue", routes, &parts).unwrap();
        Lone { parts, guard, _folder: folder }
    }

    fn id(&self) -> Id {
        Id::new(&self.parts.clock)
    }

    /// A moderator's token with some claims changed, or removed by a null.
    fn token(&self, changes: Value) -> String {
        let now = unix_seconds(self.parts.clock.now());
        let claims = json!({
            "iss": "quartet", "aud": "quartet", "sub": self.id().to_string(), "sid": self.id().to_string(), "roles": ["moderator"], "epoch": 1,
            "iat": now, "nbf": now, "exp": now + 600, "jti": "one",
        });
        token::signed(&json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k" }), &changed(&claims, changes))
    }

    /// A server's stream that has begun to speak.
    async fn open(&self, token: &str) -> Streaming<ImportMovieFileResponse> {
        self.try_open(token).await.unwrap()
    }

    async fn try_open(&self, token: &str) -> Result<Streaming<ImportMovieFileResponse>, tonic::Status> {
        let mut client = ImportServiceClient::new(Upstream::Local(self.guard.clone()));
        let mut request = Request::new(ImportMovieFileRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let mut stream = client.import_movie_file(request).await?.into_inner();
        stream.message().await?.expect("it speaks");
        Ok(stream)
    }

    fn revoke(&self, target: Target) {
        let expire = self.parts.clock.now() + TimeDelta::hours(1);
        self.parts.auth.revocations().apply(&[Revocation { target, expire }]);
    }
}

async fn end(mut stream: Streaming<ImportMovieFileResponse>) -> Refusal {
    let next = tokio::time::timeout(PATIENT, stream.message()).await.expect("it does not end");
    Refusal::from(next.expect_err("it ends with a reason"))
}

#[tokio::test]
async fn s15_a_server_s_stream_says_in_its_trailers_why_it_ends() {
    let lone = Lone::new();
    let [account, session, admin, admin_session] = [(); 4].map(|()| lone.id());
    let own = json!({ "sub": account.to_string(), "sid": session.to_string() });
    let acting = json!({ "act": { "sub": admin.to_string(), "sid": admin_session.to_string(), "epoch": 4 } });
    for (changes, target, reason) in [
        (&own, Target::Session(session), "SESSION_REVOKED"),
        (&own, Target::Account { id: account, epoch: 2 }, "TOKEN_STALE"),
        (&json!({ "jti": "another" }), Target::Token("another".to_owned()), "SESSION_REVOKED"),
        (&acting, Target::Account { id: admin, epoch: 5 }, "SESSION_REVOKED"),
        (&acting, Target::Session(admin_session), "SESSION_REVOKED"),
        (&json!({}), Target::Key("k".to_owned()), "TOKEN_STALE"),
    ] {
        let lone = Lone::new();
        let (stream, other) = (lone.open(&lone.token(changes.clone())).await, lone.open(&lone.token(json!({}))).await);
        lone.revoke(Target::Session(lone.id()));
        lone.revoke(target.clone());
        assert_eq!(end(stream).await.is(), (Code::Unauthenticated, reason), "{target:?}");
        if !matches!(target, Target::Key(_)) {
            let mut other = other;
            assert!(tokio::time::timeout(Duration::from_millis(1), other.message()).await.is_err(), "{target:?}");
        }
    }
}

#[tokio::test]
async fn s15_a_server_s_stream_outlives_a_whole_token_and_no_lesser_one() {
    let lone = Lone::new();
    let whole = lone.open(&lone.token(json!({}))).await;
    let lesser = [
        lone.open(&lone.token(json!({ "aud": "catalogue" }))).await,
        lone.open(&lone.token(json!({ "act": { "sub": "client:app" } }))).await,
    ];
    lone.parts.clock.move_by(TimeDelta::seconds(601)).unwrap();
    for stream in lesser {
        assert_eq!(end(stream).await.is(), (Code::Unauthenticated, "TOKEN_EXPIRED"));
    }
    let mut whole = whole;
    assert!(tokio::time::timeout(Duration::from_millis(1), whole.message()).await.is_err(), "the session lives");
}

/// Nobody knows any more what is revoked: no stream goes on in good faith, and none is told to sign in again.
#[tokio::test]
async fn s27_a_stream_ends_when_it_can_t_be_known_whether_its_session_lives() {
    let folder = tempfile::tempdir().unwrap();
    let lone = Lone::new();
    let auth = Auth::new(Clock::movable(&folder.path().join("clock")).unwrap(), b"secret");
    auth.set_keys(&[PublicKey { kid: "k".to_owned(), x: token::public_key() }]);
    let parts = Parts { auth: auth.clone(), ..lone.parts.clone() };
    let guard = Guard::new("catalogue", Routes::new(ImportServiceServer::new(Silent)), &parts).unwrap();
    let lone = Lone { parts, guard, _folder: folder };
    let token = lone.token(json!({}));
    // It is known for four seconds what is revoked.
    let stream = patiently("begun", async || {
        auth.revocations().beat();
        lone.try_open(&token).await
    });
    let stream = stream.await.unwrap();
    let refused = end(stream).await;
    assert_eq!(refused.is(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"));
}

/// Two thousand streams at once.
#[tokio::test]
async fn s15_many_streams_each_hear_of_their_own_end() {
    let lone = Lone::new();
    let sessions: Vec<Id> = (0..2000).map(|_| lone.id()).collect();
    let mut streams = Vec::new();
    for session in &sessions {
        streams.push(lone.open(&lone.token(json!({ "sid": session.to_string(), "jti": session.to_string() }))).await);
    }
    let targets = sessions.iter().map(|session| Target::Session(*session));
    let expire = lone.parts.clock.now() + TimeDelta::hours(1);
    let all: Vec<Revocation> = targets.map(|target| Revocation { target, expire }).collect();
    lone.parts.auth.revocations().apply(&all);
    for stream in streams {
        assert_eq!(end(stream).await.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
    }
}
