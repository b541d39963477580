//! Who a command is to the server: an access token that it was given, or a session of its own.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use quartet_proto::identity::v1::{RefreshRequest, SignInRequest, SignOutRequest};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::connection;
use crate::client::Client;
use crate::process::complain;
use crate::reach::failed;

/// What the owner reads in the list of their sessions.
const DEVICE: &str = "quartet";
/// A token that is this close to its end is renewed first.
const MARGIN: Duration = Duration::from_secs(60);
/// A token that is refused so soon is refused for another reason than its age.
const FRESH: Duration = Duration::from_secs(10);
/// How long a unary call may take. Completing an upload reads parts of the file at some stores.
const CALL: Duration = Duration::from_secs(300);
/// How long the last call may.
const FAREWELL: Duration = Duration::from_secs(15);

/// An account at a server.
pub struct Session {
    channel: Channel,
    bearer: MetadataValue<Ascii>,
    own: Option<Own>,
}

/// A session that this command has begun.
struct Own {
    refresh_token: String,
    renewed: Instant,
    renew: Instant,
}

impl Session {
    pub async fn open(client: &Client) -> anyhow::Result<Session> {
        let who = || anyhow::anyhow!("say who you are: `--account ADDRESS`, or an access token");
        if let Some(token) = &client.access_token {
            let bearer = bearer(token.expose_secret()).context("`QUARTET_ACCESS_TOKEN` is no token")?;
            return Ok(Session { channel: connection::open(&client.server).await?, bearer, own: None });
        }
        let email = client.account.as_ref().ok_or_else(who)?;
        let password = match &client.account_password {
            Some(password) => password.clone(),
            None => ask(email)?,
        };
        let channel = connection::open(&client.server).await?;
        let asked = SignInRequest {
            email: email.clone(),
            password: password.expose_secret().to_owned(),
            device_name: DEVICE.to_owned(),
            ..Default::default()
        };
        let signed_in = SessionServiceClient::new(channel.clone()).sign_in(asked).await.map_err(failed)?.into_inner();
        let renew = renewal(signed_in.expires_in_seconds);
        let own = Own { refresh_token: signed_in.refresh_token, renewed: Instant::now(), renew };
        Ok(Session { channel, bearer: bearer(&signed_in.access_token)?, own: Some(own) })
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A request of the account's, for an rpc that takes as long as it takes.
    pub async fn request<T>(&mut self, message: T) -> Result<Request<T>, Status> {
        if self.own.as_ref().is_some_and(|own| Instant::now() >= own.renew) {
            self.renew().await?;
        }
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        Ok(request)
    }

    /// A unary call. One whose token was not good, as after a night's sleep of this machine, is made once more with a new one.
    pub async fn call<T: Clone, A>(
        &mut self,
        message: T,
        call: impl AsyncFn(Channel, Request<T>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let mut request = self.request(message.clone()).await?;
        request.set_timeout(CALL);
        let answer = call(self.channel(), request).await;
        let Err(status) = answer else { return answer.map(Response::into_inner) };
        match self.after(status).await {
            Some(status) => Err(status),
            None => {
                let mut request = self.request(message).await?;
                request.set_timeout(CALL);
                call(self.channel(), request).await.map(Response::into_inner)
            }
        }
    }

    /// What is left of a failure: nothing, when the token was refused and there is another one by now.
    pub async fn after(&mut self, status: Status) -> Option<Status> {
        let is_fresh = self.own.as_ref().is_none_or(|own| own.renewed.elapsed() < FRESH);
        if status.code() != Code::Unauthenticated || is_fresh {
            return Some(status);
        }
        self.renew().await.err()
    }

    async fn renew(&mut self) -> Result<(), Status> {
        let Some(own) = &mut self.own else { return Ok(()) };
        let asked = RefreshRequest { refresh_token: own.refresh_token.clone() };
        let renewed = SessionServiceClient::new(self.channel.clone()).refresh(asked).await?.into_inner();
        own.refresh_token = renewed.refresh_token;
        own.renewed = Instant::now();
        own.renew = renewal(renewed.expires_in_seconds);
        self.bearer = bearer(&renewed.access_token).map_err(|error| Status::internal(error.to_string()))?;
        Ok(())
    }

    /// Signs out of a session that this command has begun.
    pub async fn end(mut self) {
        if self.own.is_none() {
            return;
        }
        let channel = self.channel();
        let farewell = async {
            let request = self.request(SignOutRequest {}).await?;
            SessionServiceClient::new(channel).sign_out(request).await
        };
        if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(_))) {
            complain("the session could not be ended: it ends by itself, or in the list of your sessions");
        }
    }
}

fn bearer(token: &str) -> anyhow::Result<MetadataValue<Ascii>> {
    let mut bearer: MetadataValue<Ascii> = format!("Bearer {token}").parse().context("not a token")?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

fn renewal(lives_seconds: i32) -> Instant {
    let lives = Duration::from_secs(u64::try_from(lives_seconds).unwrap_or_default());
    Instant::now() + lives.saturating_sub(MARGIN).max(lives / 2)
}

fn ask(email: &str) -> anyhow::Result<SecretString> {
    let no_terminal = "there is no terminal to ask for the password on: set `QUARTET_ACCOUNT_PASSWORD_FILE`";
    Ok(rpassword::prompt_password(format!("Password for {email}: ")).context(no_terminal)?.into())
}
