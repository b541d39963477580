//! People who use the installation.

use quartet_proto::catalogue::v1::import_service_client::ImportServiceClient;
use quartet_proto::identity::v1::account_service_client::AccountServiceClient;
use quartet_proto::identity::v1::activate_request::Proof;
use quartet_proto::identity::v1::audit_service_client::AuditServiceClient;
use quartet_proto::identity::v1::role_service_client::RoleServiceClient;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use quartet_proto::identity::v1::{
    ActivateRequest, AssignRoleRequest, RefreshRequest, RefreshResponse, RegisterRequest, SignInRequest, SignInResponse,
};
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
use tonic::Status;

use super::process::quartet;
use super::world::{Bearer, World};
use super::{eventually, unique};

/// The password of everybody who has no reason for another.
pub const PASSWORD: &str = "Correct1!horse";

/// Somebody who has registered and not yet activated the account.
#[derive(Debug, Clone)]
pub struct Registered {
    pub email: String,
    pub password: String,
    pub account_id: String,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    pub email: String,
    pub password: String,
    pub account_id: String,
    pub session_id: String,
    pub access_token: String,
    pub refresh_token: String,
}

impl Person {
    pub fn accounts(&self, world: &World) -> AccountServiceClient<Bearer> {
        world.as_token(&self.access_token).accounts()
    }

    pub fn sessions(&self, world: &World) -> SessionServiceClient<Bearer> {
        world.as_token(&self.access_token).sessions()
    }

    pub fn imports(&self, world: &World) -> ImportServiceClient<Bearer> {
        world.as_token(&self.access_token).imports()
    }

    pub fn roles(&self, world: &World) -> RoleServiceClient<Bearer> {
        world.as_token(&self.access_token).roles()
    }

    pub fn audit(&self, world: &World) -> AuditServiceClient<Bearer> {
        world.as_token(&self.access_token).audit()
    }

    pub fn projects(&self, world: &World) -> ProjectServiceClient<Bearer> {
        world.as_token(&self.access_token).projects()
    }

    pub fn members(&self, world: &World) -> ProjectMemberServiceClient<Bearer> {
        world.as_token(&self.access_token).members()
    }

    pub fn uploads(&self, world: &World) -> UploadServiceClient<Bearer> {
        world.as_token(&self.access_token).uploads()
    }

    pub fn media(&self, world: &World) -> MediaServiceClient<Bearer> {
        world.as_token(&self.access_token).media()
    }

    pub fn conversations(&self, world: &World) -> ConversationServiceClient<Bearer> {
        world.as_token(&self.access_token).conversations()
    }

    pub fn participants(&self, world: &World) -> ParticipantServiceClient<Bearer> {
        world.as_token(&self.access_token).participants()
    }

    pub fn messages(&self, world: &World) -> MessageServiceClient<Bearer> {
        world.as_token(&self.access_token).messages()
    }

    pub fn receipts(&self, world: &World) -> ReceiptServiceClient<Bearer> {
        world.as_token(&self.access_token).receipts()
    }

    pub fn events(&self, world: &World) -> EventServiceClient<Bearer> {
        world.as_token(&self.access_token).events()
    }

    pub fn devices(&self, world: &World) -> DeviceServiceClient<Bearer> {
        world.as_token(&self.access_token).devices()
    }

    /// Takes over what a refresh answered.
    pub fn renewed(&mut self, tokens: RefreshResponse) {
        self.access_token = tokens.access_token;
        self.refresh_token = tokens.refresh_token;
    }

    pub fn new(email: &str, password: &str, tokens: SignInResponse) -> Person {
        Person {
            email: email.to_owned(),
            password: password.to_owned(),
            account_id: tokens.account_id,
            session_id: tokens.session_id,
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
        }
    }
}

impl World {
    /// An address that nobody has.
    pub fn address(&self, prefix: &str) -> String {
        format!("{prefix}.{}@example.com", unique())
    }

    /// Registers somebody.
    pub async fn register(&self, prefix: &str) -> Registered {
        let (email, password) = (self.address(prefix), PASSWORD.to_owned());
        let asked = RegisterRequest { email: email.clone(), password: password.clone() };
        let account_id = self.accounts().register(asked).await.expect("not registered").into_inner().account_id;
        Registered { email, password, account_id }
    }

    /// Registers somebody and activates the account by the mail's link.
    pub async fn activated(&self, prefix: &str) -> Registered {
        let registered = self.register(prefix).await;
        let token = self.mail_token(&registered.email).await;
        let asked = ActivateRequest { email: registered.email.clone(), proof: Some(Proof::Token(token)) };
        self.accounts().activate(asked).await.expect("not activated");
        registered
    }

    /// Registers somebody, activates the account and signs in.
    pub async fn sign_up(&self, prefix: &str) -> Person {
        let registered = self.activated(prefix).await;
        self.sign_in(&registered.email, &registered.password).await
    }

    /// The same on a PostgreSQL of the test's own, for which nobody waits: tried until it is answered, each time with another address.
    pub async fn sign_up_at_last(&self, prefix: &str) -> Person {
        eventually("somebody is there", async || {
            let (email, password) = (self.address(prefix), PASSWORD.to_owned());
            let asked = RegisterRequest { email: email.clone(), password: password.clone() };
            self.accounts().register(asked).await.ok()?;
            let proof = Some(Proof::Token(self.mail_token(&email).await));
            self.accounts().activate(ActivateRequest { email: email.clone(), proof }).await.ok()?;
            Some(Person::new(&email, &password, self.try_sign_in(&email, &password).await.ok()?))
        })
        .await
    }

    /// Signs in, which must go well.
    pub async fn sign_in(&self, email: &str, password: &str) -> Person {
        let tokens = self.try_sign_in(email, password).await.expect("not signed in");
        Person::new(email, password, tokens)
    }

    pub async fn try_sign_in(&self, email: &str, password: &str) -> Result<SignInResponse, Status> {
        let asked = SignInRequest { email: email.to_owned(), password: password.to_owned(), ..Default::default() };
        self.sessions().sign_in(asked).await.map(tonic::Response::into_inner)
    }

    pub async fn try_refresh(&self, refresh_token: &str) -> Result<RefreshResponse, Status> {
        let asked = RefreshRequest { refresh_token: refresh_token.to_owned() };
        self.sessions().refresh(asked).await.map(tonic::Response::into_inner)
    }

    /// Gives somebody a role, as an administrator does, and the token that says so.
    pub async fn with_role(&self, person: &mut Person, role: &str) {
        let admin = self.admin().await;
        self.with_role_by(&admin, person, role).await;
        person.renewed(self.try_refresh(&person.refresh_token).await.expect("not renewed"));
    }

    /// Gives somebody a role, as this administrator.
    pub async fn with_role_by(&self, admin: &Person, person: &Person, role: &str) {
        let asked = AssignRoleRequest { account_id: person.account_id.clone(), role: role.to_owned() };
        admin.roles(self).assign_role(asked).await.expect("not assigned");
    }

    /// An administrator, made as the machine's operator makes one.
    pub async fn admin(&self) -> Person {
        let email = self.administrator().await;
        self.sign_in(&email, PASSWORD).await
    }

    /// The address of an administrator who has not signed in.
    pub async fn administrator(&self) -> String {
        let email = self.address("admin");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), PASSWORD).unwrap();
        let password_file = file.path().to_str().unwrap();
        let command = match self.grounds() {
            Some(grounds) => {
                let words = format!("admin create {email}");
                grounds.command(&words, &["--password-file", password_file])
            }
            None => {
                let data = self.data().unwrap();
                let data = data.to_str().unwrap();
                ["admin", "create", &email, "--password-file", password_file, "--data", data]
                    .map(str::to_owned)
                    .to_vec()
            }
        };
        let output = tokio::task::spawn_blocking(move || quartet(&command)).await.unwrap();
        assert!(output.status.success(), "admin create: {output:?}");
        email
    }
}
