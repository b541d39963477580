//! Who somebody is by a password, at the door and again inside.

use chrono::TimeDelta;
use quartet_chassis::auth::AUDIENCE;
use quartet_chassis::caller::{Caller, Client};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;

use crate::attempts::Attempts;
use crate::device::DeviceKey;
use crate::email::Email;
use crate::error::Error;
use crate::hasher::{Hasher, Verdict};
use crate::password::Password;
use crate::security::{Event, Outcome, note};
use crate::store::Store;
use crate::store::account::{AccountRow, State};

/// How young a session must be to stand for a password that the account does not have.
const FRESH: TimeDelta = TimeDelta::minutes(5);

/// Checks passwords, as often as the throttles allow.
#[derive(Clone)]
pub struct Authenticator {
    pub store: Store,
    pub hasher: Hasher,
    pub attempts: Attempts,
    pub devices: DeviceKey,
}

/// Somebody who has shown an account's password.
#[derive(Debug)]
pub struct Authenticated {
    pub account: AccountRow,
    /// The hash to store instead, where the stored one is outdated.
    pub renewed: Option<String>,
    /// The device that it was done from, where the account knows it.
    pub device: Option<Id>,
}

impl Authenticator {
    /// Checks the password of an account in any state. An unknown address takes as long as a known one and answers the same; what
    /// state an account is in must learn only who has its password.
    pub async fn password(
        &self,
        email: &Email,
        password: Password,
        client: &Client,
        device_token: Option<&str>,
    ) -> Result<Authenticated, Error> {
        let account = self.store.account_by_email(email).await?;
        let device = self.known_device(account.as_ref(), device_token).await?;
        let pseudonym = account.as_ref().map(|account| account.pseudonym);
        let attempt = self.attempts.sign_in(email, device, client).await;
        let attempt = attempt.inspect_err(|_| note(Event::SignInThrottled, Outcome::Refused, pseudonym, client))?;

        let stored = account.as_ref().map(|account| account.password_hash.clone());
        let verdict = match self.hasher.verify(password, stored).await {
            Ok(verdict) => verdict,
            Err(error) => {
                attempt.forget().await;
                return Err(error);
            }
        };
        let (Some(account), Verdict::Right { renewed }) = (account, verdict) else {
            note(Event::SignIn, Outcome::Refused, pseudonym, client);
            return Err(Error::CredentialsInvalid);
        };
        attempt.succeed().await;
        Ok(Authenticated { account, renewed, device })
    }

    /// Makes sure that the caller is the account's owner and not whoever holds a device of theirs: by the password, or where the
    /// account has none by a sign-in of the last minutes. A token that was narrowed for others shows no sign-in: whoever got it would
    /// have the account.
    pub async fn owner(&self, caller: &Caller, password: String, client: &Client) -> Result<AccountRow, Error> {
        if caller.actor.is_some() {
            return Err(Error::ActorRefused);
        }
        let owner = self.store.session_owner(caller.session_id).await?;
        let owner = owner.filter(|(account, _)| account.id == caller.account_id);
        let (account, session) = owner.ok_or(Error::SessionNotFound)?;
        if account.state != State::Active {
            return Err(Error::AccountDisabled);
        }
        if password.is_empty() && account.password_hash.is_empty() {
            let is_fresh = caller.audience == AUDIENCE && self.store.now() < session.create_time + FRESH;
            return if is_fresh { Ok(account) } else { Err(Error::SignInStale) };
        }
        let mut fields = Fields::default();
        let password = fields.take("password", Password::given(password)).ok_or(fields)?;
        self.compare(account, password, client).await
    }

    /// The device that a token stands for, if the account knows it.
    pub async fn known_device(&self, account: Option<&AccountRow>, token: Option<&str>) -> Result<Option<Id>, Error> {
        let device = token.and_then(|token| self.devices.read(token));
        let (Some(account), Some(device)) = (account, device) else { return Ok(None) };
        if device.account_id != account.id || !self.store.has_device(account.id, device.id).await? {
            return Ok(None);
        }
        Ok(Some(device.id))
    }

    async fn compare(&self, account: AccountRow, password: Password, client: &Client) -> Result<AccountRow, Error> {
        let throttled =
            |_: &Error| note(Event::PasswordCheckThrottled, Outcome::Refused, Some(account.pseudonym), client);
        let attempt = self.attempts.owner(account.id).await.inspect_err(throttled)?;
        match self.hasher.verify(password, Some(account.password_hash.clone())).await {
            Ok(Verdict::Right { .. }) => {
                attempt.succeed().await;
                Ok(account)
            }
            Ok(Verdict::Wrong) => {
                note(Event::PasswordCheck, Outcome::Refused, Some(account.pseudonym), client);
                Err(Error::CredentialsInvalid)
            }
            Err(error) => {
                attempt.forget().await;
                Err(error)
            }
        }
    }
}
