//! Sign-ins with a mailed code or link.

use quartet_chassis::auth::Revocation;
use quartet_chassis::db::Conn;

use super::Store;
use super::account::{AccountRow, State};
use super::challenge::ChallengeRow;
use crate::challenge::{Proof, Purpose, matches};
use crate::email::Email;
use crate::error::Error;

impl Store {
    /// The account that a link's token signs in to. The token is used up.
    pub async fn sign_in_by_token(&self, email: &Email, token: &Proof) -> Result<Option<AccountRow>, Error> {
        let signed_in = self
            .db
            .transaction(async |conn| {
                let Some((account, row)) = self.find_challenge(conn, email, Purpose::SignIn).await? else {
                    return Ok(None);
                };
                let tag = self.marker.token(account.bond(Purpose::SignIn), token.expose());
                if !matches(&row.token_hash, &tag) {
                    return Ok(None);
                }
                self.let_in(conn, account, &row).await
            })
            .await?;
        Ok(self.announced(signed_in).await)
    }

    /// The account that a mail's code signs in to. The code is used up.
    pub async fn sign_in_by_code(&self, email: &Email, code: &Proof) -> Result<Option<AccountRow>, Error> {
        let Some((account, row)) = self.try_code(email, code, Purpose::SignIn).await? else { return Ok(None) };
        let signed_in = self
            .db
            .transaction(async |conn| {
                self.forgive_try(conn, account.id).await?;
                self.let_in(conn, account, &row).await
            })
            .await?;
        Ok(self.announced(signed_in).await)
    }

    /// Uses the challenge up. Who has it reads the address's mail: that confirms it.
    async fn let_in(
        &self,
        conn: &mut Conn,
        mut account: AccountRow,
        row: &ChallengeRow,
    ) -> Result<Option<(AccountRow, Vec<Revocation>)>, Error> {
        let state = self.hold_account(conn, account.id).await?;
        if state.as_deref() != Some(State::Active.as_str()) || !self.use_up(conn, row.id).await? {
            return Ok(None);
        }
        if account.email_verified {
            return Ok(Some((account, Vec::new())));
        }
        let revoked = self.hand_over(conn, &mut account, row.id, None).await?;
        self.publish(conn, account.id).await?;
        Ok(Some((account, revoked)))
    }

    async fn announced(&self, signed_in: Option<(AccountRow, Vec<Revocation>)>) -> Option<AccountRow> {
        let (account, revoked) = signed_in?;
        self.committed(revoked).await;
        Some(account)
    }
}
