//! What goes in and out of the rpcs of sessions, beside the sessions themselves.

use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::identity::v1::*;

use crate::challenge::Proof;
use crate::error::Error;
use crate::store::session::SessionRow;

/// The type of every access token.
pub const BEARER: &str = "bearer";
/// The most characters of what a person calls a device.
const DEVICE_NAME: usize = 100;

/// A session's tokens.
pub struct Tokens {
    pub access: String,
    pub expires_in_seconds: i32,
    pub refresh: String,
}

/// What a person calls the device.
pub fn device_name(text: String) -> Result<String, &'static str> {
    if text.chars().count() > DEVICE_NAME {
        return Err("must have at most 100 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters");
    }
    Ok(text)
}

/// What the mail brought, and whether it is the link's token.
pub fn sign_in_proof(fields: &mut Fields, proof: Option<sign_in_with_code_request::Proof>) -> Option<(Proof, bool)> {
    use sign_in_with_code_request::Proof as Wire;
    match proof {
        Some(Wire::Token(token)) => fields.take("token", Proof::parse(token)).map(|token| (token, true)),
        Some(Wire::Code(code)) => fields.take("code", Proof::parse(code)).map(|code| (code, false)),
        None => fields.take("token", Err("must not be empty")),
    }
}

/// The page that follows from one row more than it has.
pub fn session_page(mut rows: Vec<SessionRow>, size: i64, current: Id) -> ListSessionsResponse {
    let next_page_token = page::cut(&mut rows, size, |row| page::encode(&row.id.to_string()));
    let sessions = rows.into_iter().map(|row| session(row, current)).collect();
    ListSessionsResponse { sessions, next_page_token }
}

/// The id of a session in a request.
pub fn session_id(text: &str) -> Result<Id, Error> {
    let mut fields = Fields::default();
    fields.take("session_id", text.parse::<Id>()).ok_or_else(|| fields.into())
}

fn session(row: SessionRow, current: Id) -> Session {
    Session {
        session_id: row.id.to_string(),
        create_time: Some(timestamp(row.create_time)),
        last_use_time: Some(timestamp(row.last_use_time)),
        expire_time: Some(timestamp(row.expire_time)),
        client_address: row.client_address,
        user_agent: row.user_agent,
        current: row.id == current,
        device_name: row.device_name,
        actor: row.actor,
    }
}
