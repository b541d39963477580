//! Which rpcs there are from outside, and where each goes.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use quartet_chassis::auth::access::{Access, rules};
use quartet_chassis::failure::Failure;
use quartet_chassis::limits::{self, LONGER};
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;

use crate::meter::Meter;

/// Rpcs that send a mail to whatever address they are given.
const MAILS: [&str; 5] = [
    "/quartet.identity.v1.AccountService/Register",
    "/quartet.identity.v1.AccountService/ResendActivation",
    "/quartet.identity.v1.AccountService/RequestPasswordReset",
    "/quartet.identity.v1.SessionService/RequestSignInCode",
    "/quartet.identity.v1.EmailChangeService/RequestEmailChange",
];
/// What the gateway answers by itself: path, whether it is unary.
const OWN: [(&str, bool); 4] = [
    ("/grpc.health.v1.Health/Check", true),
    ("/grpc.health.v1.Health/Watch", false),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", false),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", false),
];

/// Every rpc that can be called from outside, by its exact path (S-31).
pub struct Table(HashMap<&'static str, Arc<Method>>);

/// An rpc as the gateway sees it.
pub struct Method {
    pub destination: Destination,
    /// The context that it goes to, as tokens name it: `identity`.
    pub context: String,
    pub token: Token,
    pub sends_mail: bool,
    pub is_unary: bool,
    pub has_stream_answer: bool,
    /// The longest message of a request, in bytes.
    pub message_limit: usize,
    pub meter: Meter,
}

/// Where an rpc goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the context with this number.
    To(usize),
    /// Nowhere: the gateway answers itself.
    Own,
}

/// What an rpc asks of the token in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Ignored,
    /// A bad one is refused, none is fine.
    Optional,
    Needed,
}

impl Table {
    /// The rpcs of the contexts whose packages these are, in this order, and the gateway's own.
    pub fn new(packages: &[String], reflection: bool) -> anyhow::Result<Table> {
        let mut methods = HashMap::new();
        for (path, rule) in rules()? {
            let Some(context) = packages.iter().position(|package| is_in(path, package)) else { continue };
            let token = match rule.access {
                Access::Public => Token::Ignored,
                Access::Optional => Token::Optional,
                Access::Account | Access::Roles(_) => Token::Needed,
                // For the installation's own use: from outside it does not exist.
                Access::Service | Access::Operator => continue,
            };
            let mut method = Method::new(path, Destination::To(context), token, rule.is_unary());
            method.has_stream_answer = rule.server_streaming;
            method.context = packages[context].rsplit('.').next().unwrap_or_default().to_owned();
            methods.insert(path.as_str(), Arc::new(method));
        }
        for (path, is_unary) in OWN {
            if reflection || !path.starts_with("/grpc.reflection.") {
                methods.insert(path, Arc::new(Method::new(path, Destination::Own, Token::Ignored, is_unary)));
            }
        }
        let table = Table(methods);
        table.check(packages)?;
        Ok(table)
    }

    /// The rpc at exactly this path.
    pub fn find(&self, uri: &http::Uri) -> Result<&Arc<Method>, Failure> {
        let found = self.0.get(uri.path()).filter(|_| uri.query().is_none());
        found.ok_or_else(|| Failure::new(Code::Unimplemented, ErrorReason::MethodUnknown, "there is no such rpc"))
    }

    /// The full names of the services that have an rpc here.
    pub fn services(&self) -> Vec<String> {
        let name = |path: &&str| path.trim_start_matches('/').split('/').next().map(str::to_owned);
        let mut names: Vec<String> =
            self.0.keys().filter(|path| path.starts_with("/quartet.")).filter_map(name).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The rpcs that are named above must be in the contracts: a renamed one must not lose its limit in silence.
    fn check(&self, packages: &[String]) -> anyhow::Result<()> {
        let named = LONGER.iter().map(|(path, _)| *path).chain(MAILS);
        for path in named {
            if packages.iter().any(|package| is_in(path, package)) && !self.0.contains_key(path) {
                bail!("the gateway names `{path}`, which is in no contract");
            }
        }
        packages.iter().find(|package| !self.0.keys().any(|path| is_in(path, package))).map_or(Ok(()), |package| {
            Err(anyhow::anyhow!("`{package}`")).context("a route leads to a package without rpcs")
        })
    }
}

impl Method {
    fn new(path: &str, destination: Destination, token: Token, is_unary: bool) -> Method {
        let message_limit = limits::message(path);
        Method {
            destination,
            context: String::new(),
            token,
            sends_mail: MAILS.contains(&path),
            is_unary,
            has_stream_answer: !is_unary,
            message_limit,
            meter: Meter::new(path),
        }
    }
}

/// Whether the path's service lies in the package or below it.
fn is_in(path: &str, package: &str) -> bool {
    path.strip_prefix('/').and_then(|path| path.strip_prefix(package)).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(&["quartet.identity".to_owned(), "quartet.catalogue".to_owned()], false).expect("a table")
    }

    #[test]
    fn s31_only_the_exact_path_of_an_rpc_is_found() {
        let table = table();
        let destination = |path: &str| table.find(&path.parse().expect("a path")).map(|method| method.destination).ok();
        assert_eq!(destination("/quartet.identity.v1.SessionService/SignIn"), Some(Destination::To(0)));
        assert_eq!(destination("/quartet.catalogue.v1.MovieService/GetMovie"), Some(Destination::To(1)));
        assert_eq!(destination("/grpc.health.v1.Health/Check"), Some(Destination::Own));
        for wrong in [
            "/",
            "//quartet.identity.v1.SessionService/SignIn",
            "/quartet.identity.v1.SessionService//SignIn",
            "/quartet.identity.v1.SessionService/SignIn/",
            "/quartet.identity.v1.SessionService/SignIn?x",
            "/quartet.identity.v1.SessionService%2FSignIn",
            "/quartet.identity.v1.SessionService/signin",
            "/Quartet.identity.v1.SessionService/SignIn",
            "/quartet.identity.v1.SessionService/Nothing",
            "/quartet.identity.v1.SessionService/Introspect",
            "/quartet.identity.v1.RevocationService/WatchRevocations",
            "/quartet.identity.v1.KeyService/RotateKeys",
            "/quartet.identity.v1.AdministrationService/CreateAdministrator",
            "/quartet.control.v1.ControlService/MoveClock",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(destination(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_route_to_nowhere_is_refused() {
        assert!(Table::new(&["quartet.nothing".to_owned()], false).is_err());
    }
}
