//! Somebody's way in, which lasts longer than a token does.

use std::net::SocketAddr;
use std::time::Instant;

use tonic::transport::Channel;

use super::ask::answered;
use crate::harness::prelude::*;
use crate::harness::{Clients, channel};

/// After how long they sign in anew: a token lives for ten minutes.
const RENEWED: Duration = Duration::from_secs(240);

/// A connection of somebody's own, with a token.
pub struct Pass {
    pub account_id: String,
    email: String,
    channel: Channel,
    clients: Clients,
    since: Instant,
}

impl Pass {
    pub fn new(gateway: SocketAddr, person: &Person) -> Pass {
        let channel = channel(gateway);
        let clients = Clients::new(channel.clone(), Some(&person.access_token));
        let (account_id, email) = (person.account_id.clone(), person.email.clone());
        Pass { account_id, email, channel, clients, since: Instant::now() }
    }

    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Makes sure that there is a token for some time to come.
    pub async fn renew(&mut self) {
        if self.since.elapsed() < RENEWED {
            return;
        }
        let asked = SignInRequest { email: self.email.clone(), password: PASSWORD.to_owned(), ..Default::default() };
        let anonymous = Clients::new(self.channel.clone(), None);
        let signed = answered(async || anonymous.sessions().sign_in(asked.clone()).await).await.expect("not signed in");
        self.clients = Clients::new(self.channel.clone(), Some(&signed.access_token));
        self.since = Instant::now();
    }
}
