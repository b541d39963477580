//! Links: what stands in for a caller's token where a program can send none. A link is for one object, ends soon, and is worth nothing once
//! the session is over that it was made in.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::token::text;
use super::{Actor, Auth, Claims, ISSUER, Refusal};
use crate::clock::unix_seconds;
use crate::id::Id;

/// How long a link lives at most, in seconds. Identity remembers what it revokes for longer than that: nobody forgets that a session is over
/// while links are about that were made in it.
pub const LONGEST_LINK: i64 = 12 * 3600;
/// The `typ` of links.
pub const LINK_TYPE: &str = "link+jwt";

/// A link that is good at this moment.
#[derive(Debug, Clone)]
pub struct Link {
    /// What it leads to.
    pub object: Id,
    pub attachment: bool,
    /// Whom it stands in for: what ends their session ends what the link has opened ([`Auth::end_of`]).
    pub holder: Arc<Claims>,
}

/// The claims of a link. Every one but `act` is required.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkClaims {
    iss: String,
    /// The context whose object it is.
    aud: String,
    #[serde(with = "text")]
    object: Id,
    attachment: bool,
    #[serde(with = "text")]
    sub: Id,
    #[serde(with = "text")]
    sid: Id,
    epoch: i64,
    /// Of the token that it was made with, as is all that follows.
    jti: String,
    kid: String,
    token_aud: String,
    #[serde(default, deserialize_with = "super::token::present", skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
    iat: i64,
    exp: i64,
}

impl Auth {
    /// A link to an object of `context` for `seconds`, or [`LONGEST_LINK`], and when it ends. One that is made with a token that acts for somebody or was
    /// narrowed ends with that token.
    pub fn link(
        &self,
        context: &str,
        holder: &Claims,
        object: Id,
        attachment: bool,
        seconds: i64,
    ) -> Result<(String, i64), Refusal> {
        let now = unix_seconds(self.0.clock.now());
        let asked = now.saturating_add(seconds.min(LONGEST_LINK));
        let exp = if holder.is_whole() { asked } else { asked.min(holder.exp) };
        let claims = LinkClaims {
            iss: ISSUER.to_owned(),
            aud: context.to_owned(),
            object,
            attachment,
            sub: holder.sub,
            sid: holder.sid,
            epoch: holder.epoch,
            jti: holder.jti.clone(),
            kid: holder.kid.clone(),
            token_aud: holder.aud.clone(),
            act: holder.act.clone(),
            iat: now,
            exp,
        };
        Ok((self.0.service_key.sign_as(LINK_TYPE, &claims)?, exp))
    }

    /// What a link leads to, if it is one to an object of `context`, its time is not over, and its holder's session lives.
    pub fn verify_link(&self, link: &str, context: &str) -> Result<Link, Refusal> {
        let claims: LinkClaims = self.0.service_key.verify_as(LINK_TYPE, link)?;
        if claims.iss != ISSUER || claims.aud != context {
            return Err(Refusal::Invalid);
        }
        let (object, attachment, holder) = (claims.object, claims.attachment, Arc::new(claims.holder()));
        holder.check_time(self.0.clock.now())?;
        self.revocations().check(&holder)?;
        Ok(Link { object, attachment, holder })
    }
}

impl LinkClaims {
    fn holder(self) -> Claims {
        Claims {
            iss: self.iss,
            aud: self.token_aud,
            sub: self.sub,
            sid: self.sid,
            roles: Vec::new(),
            epoch: self.epoch,
            iat: self.iat,
            nbf: self.iat,
            exp: self.exp,
            jti: self.jti,
            amr: Vec::new(),
            act: self.act,
            kid: self.kid,
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::auth::{AUDIENCE, Revocation, Target};
    use crate::clock::Clock;

    fn auth() -> (Auth, Clock, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::movable(&folder.path().join("clock")).expect("a clock");
        let auth = Auth::new(clock.clone(), b"secret");
        auth.revocations().set_complete();
        (auth, clock, folder)
    }

    fn claims(clock: &Clock, aud: &str) -> Claims {
        let now = unix_seconds(clock.now());
        Claims {
            iss: ISSUER.to_owned(),
            aud: aud.to_owned(),
            sub: Id::new(clock),
            sid: Id::new(clock),
            roles: vec!["admin".to_owned()],
            epoch: 1,
            iat: now,
            nbf: now,
            exp: now + 60,
            jti: "t".to_owned(),
            amr: Vec::new(),
            act: None,
            kid: "k".to_owned(),
        }
    }

    #[test]
    fn s54_a_link_is_for_one_object_of_one_context_and_for_its_time() {
        let (auth, clock, _folder) = auth();
        let (object, holder) = (Id::new(&clock), claims(&clock, AUDIENCE));
        let (link, end) = auth.link("media", &holder, object, true, 300).expect("a link");
        // A second may have ended since.
        assert!((299..=300).contains(&(end - unix_seconds(clock.now()))));
        let good = auth.verify_link(&link, "media").expect("a good link");
        assert_eq!((good.object, good.attachment, good.holder.sub), (object, true, holder.sub));
        assert!(good.holder.roles.is_empty(), "a link has no rights beyond its object");
        assert_eq!(auth.verify_link(&link, "identity").err(), Some(Refusal::Invalid));
        clock.move_by(TimeDelta::seconds(301)).expect("a moved clock");
        assert_eq!(auth.verify_link(&link, "media").err(), Some(Refusal::Expired));
    }

    #[test]
    fn s54_a_link_dies_with_its_session_and_with_a_lesser_token() {
        let (auth, clock, _folder) = auth();
        let (object, holder) = (Id::new(&clock), claims(&clock, AUDIENCE));
        let (link, _) = auth.link("media", &holder, object, false, 300).expect("a link");
        let narrowed = claims(&clock, "media");
        assert_eq!(auth.link("media", &narrowed, object, false, 300).expect("a link").1, narrowed.exp);
        let expire = clock.now() + TimeDelta::hours(1);
        auth.revocations().apply(&[Revocation { target: Target::Session(holder.sid), expire }]);
        assert_eq!(auth.verify_link(&link, "media").err(), Some(Refusal::Revoked));
    }

    #[test]
    fn s54_a_link_lives_no_longer_than_it_is_known_that_its_session_is_over() {
        let (auth, clock, _folder) = auth();
        let (object, holder) = (Id::new(&clock), claims(&clock, AUDIENCE));
        let (link, end) = auth.link("media", &holder, object, false, i64::MAX).expect("a link");
        assert!((LONGEST_LINK - 1..=LONGEST_LINK).contains(&(end - unix_seconds(clock.now()))));
        let expire = clock.now() + TimeDelta::seconds(LONGEST_LINK + 60);
        auth.revocations().apply(&[Revocation { target: Target::Session(holder.sid), expire }]);
        for _ in 0..4 {
            clock.move_by(TimeDelta::seconds(LONGEST_LINK / 4 - 1)).expect("a moved clock");
            auth.revocations().sweep(clock.now());
            assert_eq!(auth.verify_link(&link, "media").err(), Some(Refusal::Revoked));
        }
        clock.move_by(TimeDelta::seconds(5)).expect("a moved clock");
        assert_eq!(auth.verify_link(&link, "media").err(), Some(Refusal::Expired));
    }

    #[test]
    fn s21_a_link_and_a_service_token_do_not_stand_in_for_one_another() {
        let (auth, clock, _folder) = auth();
        let (link, _) = auth.link("media", &claims(&clock, AUDIENCE), Id::new(&clock), false, 300).expect("a link");
        assert_eq!(auth.verify_service(&link, "media").err(), Some(Refusal::Invalid));
        let token = auth.service_token("gateway", "media").expect("a token");
        assert_eq!(auth.verify_link(&token, "media").err(), Some(Refusal::Invalid));
        for wrong in ["", "x", "a.b.c", &format!("{link}x"), &link.replace('.', "")] {
            assert_eq!(auth.verify_link(wrong, "media").err(), Some(Refusal::Invalid), "{wrong}");
        }
        let others = Auth::new(clock, b"another secret");
        assert_eq!(others.verify_link(&link, "media").err(), Some(Refusal::Invalid));
    }
}
