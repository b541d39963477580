//! An installation as a test sees it: clients, mail, time and faults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use quartet_chassis::auth::Auth;
use quartet_chassis::clock::Clock;
use quartet_chassis::crypt::MasterKey;
use quartet_proto::catalogue::v1::content_block_service_client::ContentBlockServiceClient;
use quartet_proto::catalogue::v1::course_service_client::CourseServiceClient;
use quartet_proto::catalogue::v1::course_teacher_service_client::CourseTeacherServiceClient;
use quartet_proto::catalogue::v1::enrolment_service_client::EnrolmentServiceClient;
use quartet_proto::catalogue::v1::grade_service_client::GradeServiceClient;
use quartet_proto::catalogue::v1::import_service_client::ImportServiceClient;
use quartet_proto::catalogue::v1::movie_service_client::MovieServiceClient;
use quartet_proto::catalogue::v1::progress_service_client::ProgressServiceClient;
use quartet_proto::catalogue::v1::section_service_client::SectionServiceClient;
use quartet_proto::catalogue::v1::taxonomy_service_client::TaxonomyServiceClient;
use quartet_proto::control::v1::control_service_client::ControlServiceClient;
use quartet_proto::control::v1::{Fault, ListMailsRequest, Mail, MoveClockRequest, SetFaultRequest};
use quartet_proto::identity::v1::account_service_client::AccountServiceClient;
use quartet_proto::identity::v1::audit_service_client::AuditServiceClient;
use quartet_proto::identity::v1::email_change_service_client::EmailChangeServiceClient;
use quartet_proto::identity::v1::key_service_client::KeyServiceClient;
use quartet_proto::identity::v1::role_service_client::RoleServiceClient;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use quartet_proto::media::v1::media_service_client::MediaServiceClient;
use quartet_proto::media::v1::project_member_service_client::ProjectMemberServiceClient;
use quartet_proto::media::v1::project_service_client::ProjectServiceClient;
use quartet_proto::media::v1::upload_service_client::UploadServiceClient;
use quartet_proto::messaging::v1::conversation_service_client::ConversationServiceClient;
use quartet_proto::messaging::v1::device_service_client::DeviceServiceClient;
use quartet_proto::messaging::v1::event_service_client::EventServiceClient;
use quartet_proto::messaging::v1::message_service_client::MessageServiceClient;
use quartet_proto::messaging::v1::participant_service_client::ParticipantServiceClient;
use quartet_proto::messaging::v1::receipt_service_client::ReceiptServiceClient;
use tokio::sync::OnceCell;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::fleet::{FLEET_SECRET, Fleet, Grounds};
use super::installation::{Installation, Mode};
use super::lone::Lone;
use super::process::{Output, Traces, quartet};
use super::times::Stopwatch;
use super::{eventually, mail};

/// An installation, and clients that belong to the runtime of the test that asked for it.
pub struct World {
    installation: Arc<Installation>,
    channel: Channel,
    _stopwatch: Stopwatch,
}

static SHARED: OnceCell<Arc<Installation>> = OnceCell::const_new();

impl World {
    /// The one that all tests of the run share.
    pub async fn shared() -> World {
        let stopwatch = Stopwatch::start();
        let shared = SHARED.get_or_init(|| async { Arc::new(Installation::start(&[]).await) }).await;
        World::of(shared.clone(), stopwatch)
    }

    /// One of the test's own, gone when it is dropped.
    pub async fn own() -> World {
        World::with(&[]).await
    }

    /// One of the test's own with these flags at every role.
    pub async fn with(flags: &[&str]) -> World {
        let stopwatch = Stopwatch::start();
        World::of(Arc::new(Installation::start(flags).await), stopwatch)
    }

    /// One of the test's own from a fleet that it has put together itself.
    pub fn from_fleet(fleet: Fleet) -> World {
        World::of(Arc::new(Installation::Fleet(fleet)), Stopwatch::start())
    }

    /// One process that is meant to crash and to be started again: on PostgreSQL identity alone.
    pub async fn lone(flags: &[&str]) -> World {
        let stopwatch = Stopwatch::start();
        World::of(Arc::new(Installation::Lone(Lone::start(flags).await)), stopwatch)
    }

    /// The same with its data in a folder, where they may have been before and stay. On SQLite alone.
    pub async fn lone_in(place: &Path, flags: &[&str]) -> World {
        let stopwatch = Stopwatch::start();
        World::of(Arc::new(Installation::Lone(Lone::start_in(place, flags).await)), stopwatch)
    }

    fn of(installation: Arc<Installation>, stopwatch: Stopwatch) -> World {
        let channel = channel(installation.gateway());
        World { installation, channel, _stopwatch: stopwatch }
    }

    pub fn is_fleet(&self) -> bool {
        self.fleet().is_some()
    }

    pub fn is_embedded(&self) -> bool {
        !self.is_fleet()
    }

    /// The processes, in a fleet.
    pub fn fleet(&self) -> Option<&Fleet> {
        match &*self.installation {
            Installation::Fleet(fleet) => Some(fleet),
            Installation::Embedded(_) | Installation::Lone(_) => None,
        }
    }

    /// The processes of a fleet of the test's own, to end some of them and to put others in their place.
    pub fn fleet_mut(&mut self) -> &mut Fleet {
        match Arc::get_mut(&mut self.installation) {
            Some(Installation::Fleet(fleet)) => fleet,
            _ => panic!("no fleet of the test's own"),
        }
    }

    /// What the processes of a fleet, or a lone identity, stand on.
    pub fn grounds(&self) -> Option<&Grounds> {
        match &*self.installation {
            Installation::Fleet(fleet) => Some(&fleet.grounds),
            Installation::Embedded(_) => None,
            Installation::Lone(lone) => lone.grounds.as_ref(),
        }
    }

    /// The process that is meant to crash, in a world that is one.
    pub fn process(&self) -> &Lone {
        match &*self.installation {
            Installation::Lone(lone) => lone,
            _ => panic!("no process of this world is meant to crash: take a `World::lone`"),
        }
    }

    pub fn gateway(&self) -> SocketAddr {
        self.installation.gateway()
    }

    /// Every process's admin port: liveness, readiness, metrics.
    pub fn admin_ports(&self) -> Vec<SocketAddr> {
        self.installation.admins()
    }

    /// The data directory, when everything is in one process.
    pub fn data(&self) -> Option<PathBuf> {
        self.installation.data()
    }

    /// A role's own ports, past the gateway. None where everything is in one process.
    pub fn direct(&self, role: &str) -> Vec<SocketAddr> {
        let Some(fleet) = self.fleet() else { return Vec::new() };
        match role {
            "identity" => fleet.identities.iter().map(|process| process.started.listen).collect(),
            "catalogue" => vec![fleet.catalogue.started.listen],
            "media" => fleet.medias.iter().map(|process| process.started.listen).collect(),
            "messaging" => fleet.messagings.iter().map(|process| process.started.listen).collect(),
            _ => panic!("no role `{role}`"),
        }
    }

    /// The connection to the gateway.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Clients that show this access token.
    pub fn as_token(&self, token: &str) -> Clients {
        Clients(Bearer::new(self.channel(), Some(token)))
    }

    /// Clients without a token.
    pub fn anonymous(&self) -> Clients {
        Clients(Bearer::new(self.channel(), None))
    }

    pub fn accounts(&self) -> AccountServiceClient<Bearer> {
        self.anonymous().accounts()
    }

    pub fn sessions(&self) -> SessionServiceClient<Bearer> {
        self.anonymous().sessions()
    }

    pub fn keys(&self) -> KeyServiceClient<Bearer> {
        self.anonymous().keys()
    }

    pub fn movies(&self) -> MovieServiceClient<Bearer> {
        self.anonymous().movies()
    }

    pub fn taxonomy(&self) -> TaxonomyServiceClient<Bearer> {
        self.anonymous().taxonomy()
    }

    pub fn imports(&self) -> ImportServiceClient<Bearer> {
        self.anonymous().imports()
    }

    /// What the processes tell of themselves; nothing where all of it runs in this very process.
    pub async fn traces(&self) -> Vec<Traces> {
        match &*self.installation {
            Installation::Fleet(fleet) => fleet.processes().map(Traces::of).collect(),
            Installation::Embedded(_) => Vec::new(),
            Installation::Lone(lone) => vec![lone.traces().await],
        }
    }

    /// One of the test's own whose processes are not this one, so that their logs can be read: everything in one, or a fleet.
    pub async fn apart(flags: &[&str]) -> World {
        match Mode::of_this_run() {
            Mode::Embedded => World::lone(flags).await,
            Mode::Fleet => World::with(flags).await,
        }
    }

    /// The port of identity's control service.
    pub fn control_port(&self) -> SocketAddr {
        self.installation.controls()[0]
    }

    /// The control service of identity's process.
    pub fn control(&self) -> ControlServiceClient<Channel> {
        ControlServiceClient::new(channel(self.control_port()))
    }

    /// A token by which a service of this very installation would show itself to a context.
    pub fn service_token(&self, context: &str) -> String {
        self.service_token_of("gateway", context)
    }

    /// The same for a service that the test names.
    pub fn service_token_of(&self, name: &str, context: &str) -> String {
        let secret = MasterKey::parse(FLEET_SECRET).unwrap().derive("service tokens");
        let clock = match self.grounds() {
            Some(grounds) => Clock::movable(&grounds.path("clock")).unwrap(),
            None => Clock::movable(&self.data().unwrap().join("clock")).unwrap(),
        };
        Auth::new(clock, &secret).service_token(name, context).unwrap()
    }

    /// The mails to an address, the oldest first.
    pub async fn mails(&self, to: &str) -> Vec<Mail> {
        let asked = ListMailsRequest { to: to.to_owned() };
        self.control().list_mails(asked).await.expect("no mails").into_inner().mails
    }

    /// The last mail to an address, once there is one.
    pub async fn last_mail(&self, to: &str) -> Mail {
        eventually("a mail", async || self.mails(to).await.pop()).await
    }

    /// The token of the link in the last mail to an address that has one: notices have none.
    pub async fn mail_token(&self, to: &str) -> String {
        mail::token(&self.last_mail_with_link(to).await)
    }

    /// The code in the last mail to an address that has one.
    pub async fn mail_code(&self, to: &str) -> String {
        mail::code(&self.last_mail_with_link(to).await)
    }

    async fn last_mail_with_link(&self, to: &str) -> Mail {
        let has_link = |mail: &Mail| mail.text.contains("token=");
        eventually("a mail with a link", async || self.mails(to).await.into_iter().rfind(has_link)).await
    }

    /// Waits, when the clock has gone on and no mail can be sent, until every code from before the last registration is replaced by a new one: a
    /// mail that was under way could still go out with a code that expired in its hands.
    pub async fn codes_are_new(&self) {
        let old = "select count(*) from challenge where used_time is null \
            and create_time <= (select max(create_time) from account)";
        eventually("the codes are new", async || (self.number("identity", old).await == 0).then_some(())).await;
    }

    /// Moves the clock of the whole installation forward. Only in a world of the test's own.
    pub async fn move_clock(&self, step: Duration) {
        self.assert_own();
        let step = MoveClockRequest { offset_milliseconds: step.as_millis() as i64 };
        self.control().move_clock(step).await.expect("the clock does not move");
    }

    /// Makes a part of every process fail, or work again. Only in a world of the test's own.
    pub async fn fault(&self, fault: Fault, failing: bool) {
        self.assert_own();
        for control in self.installation.controls() {
            let asked = SetFaultRequest { fault: fault.into(), failing, ..Default::default() };
            ControlServiceClient::new(channel(control)).set_fault(asked).await.expect("the fault can't be set");
        }
    }

    /// Runs a command of the executable to its end.
    pub async fn quartet(&self, arguments: &[&str]) -> Output {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        tokio::task::spawn_blocking(move || quartet(&arguments)).await.unwrap()
    }

    fn assert_own(&self) {
        let shared = SHARED.get().is_some_and(|shared| Arc::ptr_eq(shared, &self.installation));
        assert!(!shared, "other tests use this world: take one of your own");
    }
}

/// A connection to a port, made when it is first used.
pub fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

/// A client for each service.
#[derive(Clone)]
pub struct Clients(Bearer);

impl Clients {
    pub fn new(channel: Channel, token: Option<&str>) -> Clients {
        Clients(Bearer::new(channel, token))
    }

    pub fn accounts(&self) -> AccountServiceClient<Bearer> {
        AccountServiceClient::new(self.0.clone())
    }

    pub fn sessions(&self) -> SessionServiceClient<Bearer> {
        SessionServiceClient::new(self.0.clone())
    }

    pub fn keys(&self) -> KeyServiceClient<Bearer> {
        KeyServiceClient::new(self.0.clone())
    }

    pub fn movies(&self) -> MovieServiceClient<Bearer> {
        MovieServiceClient::new(self.0.clone())
    }

    pub fn taxonomy(&self) -> TaxonomyServiceClient<Bearer> {
        TaxonomyServiceClient::new(self.0.clone())
    }

    pub fn imports(&self) -> ImportServiceClient<Bearer> {
        ImportServiceClient::new(self.0.clone())
    }

    pub fn courses(&self) -> CourseServiceClient<Bearer> {
        CourseServiceClient::new(self.0.clone())
    }

    pub fn course_teachers(&self) -> CourseTeacherServiceClient<Bearer> {
        CourseTeacherServiceClient::new(self.0.clone())
    }

    pub fn sections(&self) -> SectionServiceClient<Bearer> {
        SectionServiceClient::new(self.0.clone())
    }

    pub fn blocks(&self) -> ContentBlockServiceClient<Bearer> {
        ContentBlockServiceClient::new(self.0.clone())
    }

    pub fn enrolments(&self) -> EnrolmentServiceClient<Bearer> {
        EnrolmentServiceClient::new(self.0.clone())
    }

    pub fn progress(&self) -> ProgressServiceClient<Bearer> {
        ProgressServiceClient::new(self.0.clone())
    }

    pub fn grades(&self) -> GradeServiceClient<Bearer> {
        GradeServiceClient::new(self.0.clone())
    }

    pub fn projects(&self) -> ProjectServiceClient<Bearer> {
        ProjectServiceClient::new(self.0.clone())
    }

    pub fn members(&self) -> ProjectMemberServiceClient<Bearer> {
        ProjectMemberServiceClient::new(self.0.clone())
    }

    pub fn uploads(&self) -> UploadServiceClient<Bearer> {
        UploadServiceClient::new(self.0.clone())
    }

    pub fn media(&self) -> MediaServiceClient<Bearer> {
        MediaServiceClient::new(self.0.clone())
    }

    pub fn conversations(&self) -> ConversationServiceClient<Bearer> {
        ConversationServiceClient::new(self.0.clone())
    }

    pub fn participants(&self) -> ParticipantServiceClient<Bearer> {
        ParticipantServiceClient::new(self.0.clone())
    }

    pub fn messages(&self) -> MessageServiceClient<Bearer> {
        MessageServiceClient::new(self.0.clone())
    }

    pub fn receipts(&self) -> ReceiptServiceClient<Bearer> {
        ReceiptServiceClient::new(self.0.clone())
    }

    pub fn events(&self) -> EventServiceClient<Bearer> {
        EventServiceClient::new(self.0.clone())
    }

    pub fn devices(&self) -> DeviceServiceClient<Bearer> {
        DeviceServiceClient::new(self.0.clone())
    }

    pub fn roles(&self) -> RoleServiceClient<Bearer> {
        RoleServiceClient::new(self.0.clone())
    }

    pub fn audit(&self) -> AuditServiceClient<Bearer> {
        AuditServiceClient::new(self.0.clone())
    }

    pub fn email_changes(&self) -> EmailChangeServiceClient<Bearer> {
        EmailChangeServiceClient::new(self.0.clone())
    }

    /// The clients on another kind of connection.
    pub fn of(bearer: Bearer) -> Clients {
        Clients(bearer)
    }
}

/// A connection that shows an access token with every call.
#[derive(Clone)]
pub struct Bearer {
    channel: Channel,
    token: Option<HeaderValue>,
    headers: HeaderMap,
}

impl Bearer {
    pub fn new(channel: Channel, token: Option<&str>) -> Bearer {
        Bearer { channel, token: None, headers: HeaderMap::new() }.with_token(token)
    }

    pub fn with_token(self, token: Option<&str>) -> Bearer {
        let token = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        Bearer { token, ..self }
    }

    /// The same with these headers at every call.
    pub fn with_headers(self, headers: HeaderMap) -> Bearer {
        Bearer { headers, ..self }
    }
}

impl Service<http::Request<tonic::body::Body>> for Bearer {
    type Response = http::Response<tonic::body::Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<http::Request<tonic::body::Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        request.headers_mut().extend(self.headers.clone());
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        self.channel.call(request)
    }
}
