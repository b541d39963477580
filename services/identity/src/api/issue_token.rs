//! `SessionService.IssueToken`: access tokens for others, in three forms and no fourth.

use chrono::TimeDelta;
use quartet_chassis::auth::access::contexts;
use quartet_chassis::auth::{AUDIENCE, Actor, Refusal};
use quartet_chassis::caller::{Caller, Client};
use quartet_chassis::clock::{Time, from_unix_seconds};
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::id::Id;
use quartet_proto::identity::v1::issue_token_request::Form;
use quartet_proto::identity::v1::*;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;

use super::session_view::BEARER;
use crate::attempts::Attempts;
use crate::client::{ClientKeys, MINT};
use crate::error::Error;
use crate::keys::Keys;
use crate::role;
use crate::security::{Event, Outcome, note};
use crate::store::Store;
use crate::store::client::ClientRow;
use crate::store::issue::{Acting, Impersonation};
use crate::token::{LONGEST_LIFE, Subject, Terms};

/// How long a token lives when nothing else is asked for.
const LIFE: TimeDelta = TimeDelta::minutes(5);
/// Roles that no client gets along with an account: what they are for is done by people.
const POWERS: [&str; 2] = [role::ADMIN, "moderator"];

/// Issues tokens for others.
pub struct Issuer {
    pub store: Store,
    pub keys: Keys,
    pub attempts: Attempts,
    pub client_keys: ClientKeys,
}

/// A token, and how many seconds it lives.
type Token = (String, i32);

impl Issuer {
    pub async fn issue(
        &self,
        caller: Option<Caller>,
        client: &Client,
        request: IssueTokenRequest,
    ) -> Result<IssueTokenResponse, Error> {
        let asked = Asked::of(&request, self.store.now());
        let caller = || caller.ok_or_else(|| Error::from(Failure::from(Refusal::Missing)));
        let (access_token, expires_in_seconds) = match request.form {
            Some(Form::Narrow(form)) => self.narrow(&caller()?, form, asked).await?,
            Some(Form::Mint(form)) => self.mint(form, asked, client).await?,
            Some(Form::Impersonate(form)) => self.impersonate(&caller()?, form, asked, client).await?,
            None => return Err(asked.without_form()),
        };
        Ok(IssueTokenResponse { access_token, token_type: BEARER.to_owned(), expires_in_seconds })
    }

    /// Of the caller's own session: some of its roles, in one context, not for longer than its own.
    async fn narrow(&self, caller: &Caller, form: NarrowToken, mut asked: Asked) -> Result<Token, Error> {
        if caller.actor.is_some() {
            return Err(Error::ActorRefused);
        }
        if asked.audience == AUDIENCE {
            asked.fields.refuse("audience", "must name the context that is to accept the token");
        }
        if !form.roles.iter().all(|role| caller.roles.contains(role)) {
            asked.fields.refuse("roles", "must each be one of the caller's own");
        }
        asked.stay_within(caller);
        asked.end_with(caller);
        let terms = asked.terms(None)?;
        let roles = caller.roles.iter().filter(|role| form.roles.contains(role)).cloned().collect();
        let subject = Subject {
            account_id: caller.account_id,
            session_id: caller.session_id,
            roles,
            epoch: caller.epoch,
            amr: caller.amr.clone(),
        };
        self.keys.sign_on(&subject, &terms).await
    }

    /// For an account, by a client of the operator's.
    async fn mint(&self, form: MintToken, mut asked: Asked, client: &Client) -> Result<Token, Error> {
        let by = self.authenticate(&form, client).await?;
        if !by.may(MINT) {
            return Err(Error::ScopeMissing(MINT));
        }
        let account_id = asked.fields.take("account_id", form.account_id.parse()).unwrap_or(Id::NIL);
        let terms = asked.terms(Some(Actor::Client(by.name.clone())))?;
        let mut acting = self.store.mint(&by, account_id, terms.expire, client).await?;
        note(Event::TokenMinted, Outcome::Done, Some(acting.owner.pseudonym), client);
        acting.standing.roles.retain(|role| !POWERS.contains(&role.as_str()));
        self.keys.sign_on(&subject(acting), &terms).await
    }

    /// Of an account, by an administrator who says why.
    async fn impersonate(
        &self,
        caller: &Caller,
        form: ImpersonateToken,
        mut asked: Asked,
        client: &Client,
    ) -> Result<Token, Error> {
        let actor = administrator(caller)?;
        asked.stay_within(caller);
        let account_id = asked.fields.take("account_id", form.account_id.parse()).unwrap_or(Id::NIL);
        let reason = asked.fields.take("reason", reason(&form.reason)).unwrap_or_default();
        let minutes = asked.minutes(self.store.now());
        let terms = asked.terms(Some(actor))?;
        let impersonation = Impersonation { account_id, administrator: caller.account_id, reason: &reason, minutes };
        let acting = self.store.impersonate(&impersonation, terms.expire, client).await?;
        note(Event::Impersonation, Outcome::Done, Some(acting.owner.pseudonym), client);
        self.keys.sign_on(&subject(acting), &terms).await
    }

    /// The client whose key it is. An unknown one takes as long as a known one and answers the same.
    async fn authenticate(&self, form: &MintToken, client: &Client) -> Result<ClientRow, Error> {
        let attempt = self.attempts.client_key(client).await?;
        let id = form.client_id.parse().unwrap_or(Id::NIL);
        let row = match self.store.client(id).await {
            Ok(row) => row,
            Err(error) => {
                attempt.forget().await;
                return Err(error.into());
            }
        };
        let stored = row.as_ref().map(|row| row.key_hash.as_slice());
        let is_right = self.client_keys.is_right(id, &form.client_key, stored);
        let Some(row) = row.filter(|_| is_right) else {
            note(Event::ClientKey, Outcome::Refused, None, client);
            return Err(Error::ClientInvalid);
        };
        attempt.succeed().await;
        Ok(row)
    }
}

/// What every form asks for.
struct Asked {
    audience: String,
    expire: Time,
    fields: Fields,
}

impl Asked {
    fn of(request: &IssueTokenRequest, now: Time) -> Asked {
        let mut fields = Fields::default();
        let life = fields.take("life_seconds", life(request.life_seconds)).unwrap_or(LIFE);
        let audience = fields.take("audience", audience(&request.audience)).unwrap_or_default();
        Asked { audience, expire: now + life, fields }
    }

    /// A caller's narrowed token leads to none that is wider.
    fn stay_within(&mut self, caller: &Caller) {
        if caller.audience == AUDIENCE {
            return;
        }
        if self.audience != caller.audience {
            self.fields.refuse("audience", "must be the one of the caller's own token");
        }
        self.end_with(caller);
    }

    fn end_with(&mut self, caller: &Caller) {
        self.expire = from_unix_seconds(caller.expire).unwrap_or(self.expire).min(self.expire);
    }

    /// How long it is at most until the end, as people count.
    fn minutes(&self, now: Time) -> i64 {
        (self.expire - now).num_seconds().max(1).saturating_add(59) / 60
    }

    fn terms(self, actor: Option<Actor>) -> Result<Terms, Error> {
        self.fields.finish()?;
        Ok(Terms { audience: self.audience, expire: self.expire, actor })
    }

    fn without_form(mut self) -> Error {
        self.fields.refuse("form", "must be one of `narrow`, `mint` and `impersonate`");
        self.fields.into()
    }
}

fn life(seconds: i32) -> Result<TimeDelta, String> {
    let longest = LONGEST_LIFE.num_seconds();
    match i64::from(seconds) {
        0 => Ok(LIFE),
        seconds if (1..=longest).contains(&seconds) => Ok(TimeDelta::seconds(seconds)),
        _ => Err(format!("must be 0 to {longest}")),
    }
}

/// The audience of the token: one context, or all of them where none is named.
fn audience(context: &str) -> Result<String, String> {
    let contexts = contexts();
    match context {
        "" => Ok(AUDIENCE.to_owned()),
        _ if contexts.contains(&context) => Ok(context.to_owned()),
        _ => Err(format!("must be one of `{}`", contexts.join("`, `"))),
    }
}

fn reason(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let is_plain = !text.chars().any(char::is_control);
    if is_plain && (10..=500).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("must be 10 to 500 characters without line breaks")
    }
}

/// The administrator that the caller is, and nobody who acts for one.
fn administrator(caller: &Caller) -> Result<Actor, Error> {
    if caller.actor.is_some() {
        return Err(Error::ActorRefused);
    }
    if !caller.roles.iter().any(|role| role == role::ADMIN) {
        let message = format!("this call needs one of the roles {}", role::ADMIN);
        let failure = Failure::new(Code::PermissionDenied, ErrorReason::RoleMissing, message);
        return Err(failure.with("roles", role::ADMIN).into());
    }
    let Caller { account_id, session_id, epoch, .. } = *caller;
    Ok(Actor::Administrator { account_id, session_id, epoch })
}

fn subject(acting: Acting) -> Subject {
    let Acting { session_id, owner, standing } = acting;
    Subject { account_id: owner.id, session_id, roles: standing.roles, epoch: standing.epoch, amr: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i18_a_token_for_others_lives_fifteen_minutes_at_most() {
        assert_eq!(life(0), Ok(LIFE));
        assert_eq!((life(1), life(900)), (Ok(TimeDelta::seconds(1)), Ok(LONGEST_LIFE)));
        assert!(life(-1).is_err() && life(901).is_err() && life(i32::MIN).is_err());
    }

    #[test]
    fn i18_a_reason_is_a_sentence_of_one_line() {
        assert_eq!(reason("  ticket 4711: can't see the course "), Ok("ticket 4711: can't see the course".to_owned()));
        for none in ["", "because", "   short    ", "two\nlines of a reason", &"x".repeat(501)] {
            assert!(reason(none).is_err(), "{none:?}");
        }
    }

    #[test]
    fn s21_an_audience_is_a_context() {
        assert_eq!(audience(""), Ok(AUDIENCE.to_owned()));
        assert_eq!(audience("catalogue"), Ok("catalogue".to_owned()));
        for none in ["quartet", "control", "Catalogue", "gateway", "*"] {
            assert!(audience(none).is_err(), "{none}");
        }
    }
}
