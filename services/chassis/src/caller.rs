//! Who calls: the account behind the token, and the program at the other end.

use std::net::IpAddr;

use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Request, Status};

use crate::auth::{AUDIENCE, Actor, Claims};
use crate::failure::Failure;
use crate::id::Id;

/// The account that calls, as the guard has verified it.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account_id: Id,
    pub session_id: Id,
    pub roles: Vec<String>,
    pub epoch: i64,
    /// How the session was begun, RFC 8176.
    pub amr: Vec<String>,
    /// `quartet`, or the one context that the token was narrowed to.
    pub audience: String,
    /// Who acts, if not the account itself.
    pub actor: Option<Actor>,
    /// When the token ends, in seconds since 1970.
    pub expire: i64,
}

impl Caller {
    /// The caller of an rpc whose access rule asks for one.
    pub fn of<T>(request: &Request<T>) -> Result<Caller, Status> {
        let missing =
            || Failure::new(Code::Unauthenticated, ErrorReason::TokenMissing, "this call needs an access token");
        Caller::find(request).ok_or_else(|| missing().into())
    }

    /// The caller, if the request came with a token.
    pub fn find<T>(request: &Request<T>) -> Option<Caller> {
        request.extensions().get::<std::sync::Arc<Claims>>().map(|claims| Caller {
            account_id: claims.sub,
            session_id: claims.sid,
            roles: claims.roles.clone(),
            epoch: claims.epoch,
            amr: claims.amr.clone(),
            audience: claims.aud.clone(),
            actor: claims.act.clone(),
            expire: claims.exp,
        })
    }

    /// Whether the account itself calls, with a token that is good for all. What a lesser token leaves behind would outlive it.
    pub fn is_whole(&self) -> bool {
        self.actor.is_none() && self.audience == AUDIENCE
    }
}

/// The service of the installation that calls, as its token says: `catalogue`, `gateway`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCaller(pub String);

impl ServiceCaller {
    /// The caller of an rpc that is for services alone.
    pub fn of<T>(request: &Request<T>) -> Result<ServiceCaller, Status> {
        let missing =
            || Failure::new(Code::Unauthenticated, ErrorReason::TokenMissing, "this call needs a service's token");
        request.extensions().get::<ServiceCaller>().cloned().ok_or_else(|| missing().into())
    }
}

/// The program at the other end. From outside it is what the gateway saw.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub address: Option<IpAddr>,
    /// At most 256 characters.
    pub user_agent: String,
    pub request_id: String,
}

impl Client {
    pub fn of<T>(request: &Request<T>) -> Client {
        request.extensions().get::<Client>().cloned().unwrap_or_default()
    }

    /// The address as it is written down; empty where it is not known.
    pub fn address_text(&self) -> String {
        self.address.map(|address| address.to_string()).unwrap_or_default()
    }
}

/// Marks a call as the machine's operator's. Put into a request by the listener on the data directory's socket and by commands, never
/// by anything that comes over a network.
#[derive(Clone, Copy, Debug)]
pub struct Operator;
