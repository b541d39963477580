//! Everything that accounts do and that is done to them, with secrets that can be recognised wherever they turn up.

use quartet_proto::identity::v1::email_change_service_client::EmailChangeServiceClient;
use quartet_proto::identity::v1::erasure_service_client::ErasureServiceClient;

use crate::harness::prelude::*;
use crate::harness::{Bearer, Clients};
use crate::identity::client::{Program, command};

/// Somebody to whom everything happens.
pub struct Life<'a> {
    pub world: &'a World,
    pub email: String,
    password: String,
    /// What nobody but its owner may ever read, with what it is.
    pub secrets: Vec<(String, String)>,
    /// Of the mails that came, until the account is erased and they with it.
    pub subjects: Vec<String>,
    serial: usize,
}

impl<'a> Life<'a> {
    pub fn new(world: &'a World) -> Life<'a> {
        let mut life = Life {
            world,
            email: world.address("canary"),
            password: String::new(),
            secrets: Vec::new(),
            subjects: Vec::new(),
            serial: 0,
        };
        life.password = life.password("first");
        life
    }

    /// A password that nothing else looks like.
    fn password(&mut self, what: &str) -> String {
        self.serial += 1;
        let password = format!("Kanari{}!{}", self.serial, hex::encode(self.email.as_bytes()));
        self.keep(what, &password);
        password
    }

    fn keep(&mut self, what: &str, secret: &str) {
        if !secret.is_empty() {
            self.secrets.push((what.to_owned(), secret.to_owned()));
        }
        // Of a token's three parts the last is what makes it good.
        if let Some((_, signature)) = secret.rsplit_once('.').filter(|(rest, _)| rest.contains('.')) {
            self.secrets.push((format!("signature of {what}"), signature.to_owned()));
        }
    }

    /// What the last of `count` mails brought.
    async fn mailed(&mut self, email: &str, subject: &str) -> (String, String) {
        let mail = eventually(subject, async || {
            self.world.mails(email).await.into_iter().rev().find(|mail| mail.subject == subject)
        })
        .await;
        self.subjects.push(mail.subject.clone());
        let (token, code) = (crate::harness::mail::token(&mail), crate::harness::mail::code(&mail));
        self.keep(&format!("the token of `{subject}`"), &token);
        self.keep(&format!("the code of `{subject}`"), &code);
        (token, code)
    }

    fn anonymous(&self) -> Clients {
        self.world.anonymous()
    }

    pub async fn all(&mut self) {
        self.stay().await;
        self.leave().await;
    }

    /// Everything but the end.
    pub async fn stay(&mut self) {
        self.join().await;
        self.come_and_go().await;
        self.change_passwords().await;
        self.move_to_another_address().await;
        self.let_others_act().await;
        self.be_administrated().await;
    }

    async fn join(&mut self) {
        let (email, password) = (self.email.clone(), self.password.clone());
        self.anonymous().accounts().register(RegisterRequest { email: email.clone(), password }).await.unwrap();
        let (first, _) = self.mailed(&email, "Activate your account").await;
        let asked = ResendActivationRequest { email: email.clone() };
        self.anonymous().accounts().resend_activation(asked).await.unwrap();
        let mut token = first.clone();
        while token == first {
            (token, _) = self.mailed(&email, "Activate your account").await;
        }
        use activate_request::Proof;
        let activate = |proof| ActivateRequest { email: email.clone(), proof: Some(proof) };
        let wrong = self.anonymous().accounts().activate(activate(Proof::Code("000000000000".to_owned()))).await;
        refusal(wrong);
        self.anonymous().accounts().activate(activate(Proof::Token(token))).await.unwrap();
    }

    async fn sign_in(&mut self) -> Person {
        let (email, password) = (self.email.clone(), self.password.clone());
        let device_name = "canary's".to_owned();
        let asked = SignInRequest { email, password, device_name, ..Default::default() };
        let signed = self.anonymous().sessions().sign_in(asked).await.unwrap().into_inner();
        self.keep("an access token", &signed.access_token);
        self.keep("a refresh token", &signed.refresh_token);
        self.keep("a device token", &signed.device_token);
        Person::new(&self.email, &self.password, signed)
    }

    async fn come_and_go(&mut self) {
        let wrong = self.password("wrong");
        refusal(self.world.try_sign_in(&self.email, &wrong).await);
        refusal(self.world.try_sign_in(&self.world.address("nobody"), &wrong).await);
        let person = self.sign_in().await;
        let first = person.refresh_token.clone();
        let mut spent = first.clone();
        for _ in 0..2 {
            let renewed = self.world.try_refresh(&spent).await.unwrap();
            self.keep("a renewed access token", &renewed.access_token);
            self.keep("a renewed refresh token", &renewed.refresh_token);
            spent = renewed.refresh_token;
        }
        assert_eq!(refusal(self.world.try_refresh(&first).await).reason, "REFRESH_TOKEN_REUSED");

        let person = self.sign_in().await;
        let other = self.sign_in().await;
        let asked = RevokeSessionRequest { session_id: other.session_id.clone() };
        person.sessions(self.world).revoke_session(asked).await.unwrap();
        person.sessions(self.world).sign_out(SignOutRequest {}).await.unwrap();
        let person = self.sign_in().await;
        person.sessions(self.world).revoke_all_sessions(RevokeAllSessionsRequest::default()).await.unwrap();

        let email = self.email.clone();
        let asked = RequestSignInCodeRequest { email: email.clone() };
        self.anonymous().sessions().request_sign_in_code(asked).await.unwrap();
        let (_, code) = self.mailed(&email, "Sign in to your account").await;
        for code in ["000000000000".to_owned(), code] {
            let proof = Some(sign_in_with_code_request::Proof::Code(code));
            let asked = SignInWithCodeRequest { email: email.clone(), proof, ..Default::default() };
            if let Ok(signed) = self.anonymous().sessions().sign_in_with_code(asked).await {
                let signed = signed.into_inner();
                self.keep("a code's access token", &signed.access_token);
                self.keep("a code's refresh token", &signed.refresh_token);
                self.keep("a code's device token", &signed.device_token);
            }
        }
    }

    async fn change_passwords(&mut self) {
        let email = self.email.clone();
        let asked = RequestPasswordResetRequest { email: email.clone() };
        self.anonymous().accounts().request_password_reset(asked).await.unwrap();
        let (_, code) = self.mailed(&email, "Reset your password").await;
        let asked = VerifyResetCodeRequest { email: email.clone(), code };
        let grant = self.anonymous().accounts().verify_reset_code(asked).await.unwrap().into_inner().reset_grant;
        self.keep("a grant", &grant);
        let password = self.password("reset");
        let proof = Some(complete_password_reset_request::Proof::ResetGrant(grant));
        let asked = CompletePasswordResetRequest { email, proof, password: password.clone() };
        self.anonymous().accounts().complete_password_reset(asked).await.unwrap();
        self.password = password;

        let person = self.sign_in().await;
        let (new_password, wrong) = (self.password("updated"), self.password("wrong again"));
        for current_password in [wrong, self.password.clone()] {
            let asked = UpdatePasswordRequest { current_password, new_password: new_password.clone() };
            let _ = person.accounts(self.world).update_password(asked).await;
        }
        self.password = new_password;
        self.sign_in().await;
    }

    async fn move_to_another_address(&mut self) {
        let person = self.sign_in().await;
        let new_email = self.world.address("canary.moved");
        let mut changes = EmailChangeServiceClient::new(self.bearer(&person));
        let asked = RequestEmailChangeRequest { new_email: new_email.clone(), password: self.password.clone() };
        changes.request_email_change(asked).await.unwrap();
        let (token, _) = self.mailed(&new_email, "Confirm your new address").await;
        let proof = Some(confirm_email_change_request::Proof::Token(token));
        let asked = ConfirmEmailChangeRequest { email: new_email.clone(), proof };
        changes.confirm_email_change(asked).await.unwrap();
        self.email = new_email;
    }

    async fn let_others_act(&mut self) {
        let person = self.sign_in().await;
        let admin = self.world.admin().await;
        self.keep("an administrator's access token", &admin.access_token);
        let Program { client_id, client_key, name } = Program::create(self.world, "token.mint").await;
        self.keep("a client's key", &client_key);
        let account_id = person.account_id.clone();
        use issue_token_request::Form;
        let narrow = Form::Narrow(NarrowToken { roles: Vec::new() });
        let mint = |client_key: String| {
            let (client_id, account_id) = (client_id.clone(), account_id.clone());
            Form::Mint(MintToken { client_id, client_key, account_id })
        };
        let reason = "a test wants to see it".to_owned();
        let impersonate = Form::Impersonate(ImpersonateToken { account_id: account_id.clone(), reason });
        let wrong = self.password("a wrong key");
        let asked = [
            (&person, narrow, "catalogue"),
            (&person, mint(client_key.clone()), ""),
            (&person, mint(wrong), ""),
            (&admin, impersonate, ""),
        ];
        for (caller, form, audience) in asked {
            let asked = IssueTokenRequest { form: Some(form), audience: audience.to_owned(), life_seconds: 0 };
            if let Ok(issued) = caller.sessions(self.world).issue_token(asked).await {
                self.keep("an issued token", &issued.into_inner().access_token);
            }
        }
        let file = tempfile::Builder::new().suffix(".ndjson").tempfile().unwrap();
        std::fs::write(file.path(), format!("{{\"email\":\"{}\"}}\n", self.world.address("imported"))).unwrap();
        let imported = command(self.world, &["import", "accounts", file.path().to_str().unwrap()]).await;
        assert!(imported.status.success(), "{imported:?}");
        let deleted = command(self.world, &["clients", "delete", &name]).await;
        assert!(deleted.status.success(), "{deleted:?}");
        let rotated = command(self.world, &["keys", "rotate"]).await;
        assert!(rotated.status.success(), "{rotated:?}");
    }

    async fn be_administrated(&mut self) {
        let person = self.sign_in().await;
        let admin = self.world.admin().await;
        let mut roles = admin.roles(self.world);
        let (account_id, role) = (person.account_id.clone(), "student".to_owned());
        let asked = AssignRoleRequest { account_id: account_id.clone(), role: role.clone() };
        roles.assign_role(asked).await.unwrap();
        roles.revoke_role(RevokeRoleRequest { account_id: account_id.clone(), role }).await.unwrap();
        for state in [AccountState::Suspended, AccountState::Active] {
            let (account_id, reason) = (account_id.clone(), "a test".to_owned());
            let asked = SetAccountStatusRequest { account_id, state: state.into(), reason };
            roles.set_account_status(asked).await.unwrap();
        }
    }

    pub async fn leave(&mut self) {
        let person = self.sign_in().await;
        let asked = DeactivateRequest { password: self.password.clone() };
        person.accounts(self.world).deactivate(asked).await.unwrap();
        let (email, password) = (self.email.clone(), self.password.clone());
        let mut asked = ReactivateRequest { email: email.clone(), password, proof: None };
        self.anonymous().accounts().reactivate(asked.clone()).await.unwrap();
        let (token, _) = self.mailed(&email, "Take your account into use again").await;
        asked.proof = Some(reactivate_request::Proof::Token(token));
        self.anonymous().accounts().reactivate(asked).await.unwrap();

        let person = self.sign_in().await;
        self.subjects.extend(self.world.mails(&email).await.into_iter().map(|mail| mail.subject));
        let asked = DeleteAccountRequest { password: self.password.clone() };
        let deleted = person.accounts(self.world).delete_account(asked).await.unwrap().into_inner();
        self.keep("an erasure's secret", &deleted.secret);
        let asked = GetErasureRequest { erasure_id: deleted.erasure_id, secret: deleted.secret };
        ErasureServiceClient::new(self.world.channel()).get_erasure(asked).await.unwrap();
    }

    fn bearer(&self, person: &Person) -> Bearer {
        Bearer::new(self.world.channel(), Some(&person.access_token))
    }
}
