//! Which sessions live, as identity says: a device goes with its session.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quartet_chassis::auth::Auth;
use quartet_chassis::failure::Failure;
use quartet_chassis::id::Id;
use quartet_chassis::upstream::Upstream;
use quartet_proto::identity::v1::CheckSessionsRequest;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use tonic::{Request, Status};

/// How long an answer is taken for true. What is revoked is pushed to no longer than this.
const TRUE: Duration = Duration::from_secs(2);
/// How many sessions are asked about at once.
const PART: usize = 1000;
/// How long identity may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many answers are remembered before old ones are cleared away.
const REMEMBERED: usize = 20_000;

/// Asks identity.
#[derive(Clone)]
pub struct Sessions {
    identity: Upstream,
    auth: Auth,
    known: Arc<Mutex<HashMap<Id, Instant>>>,
}

impl Sessions {
    pub fn new(identity: Upstream, auth: Auth) -> Sessions {
        Sessions { identity, auth, known: Arc::default() }
    }

    /// Which of these live at this moment.
    pub async fn live(&self, ids: impl IntoIterator<Item = Id>) -> Result<HashSet<Id>, Status> {
        let live = self.asked(ids).await?;
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > REMEMBERED {
            known.retain(|_, moment| moment.elapsed() < TRUE);
        }
        known.extend(live.iter().map(|id| (*id, now)));
        Ok(live)
    }

    /// The same, and nobody remembers it.
    pub async fn asked(&self, ids: impl IntoIterator<Item = Id>) -> Result<HashSet<Id>, Status> {
        let ids: HashSet<Id> = ids.into_iter().collect();
        let ids: Vec<Id> = ids.into_iter().collect();
        let mut live = HashSet::new();
        for part in ids.chunks(PART) {
            live.extend(self.ask(part).await?);
        }
        Ok(live)
    }

    /// Whether a session lives, or did a moment ago.
    pub async fn lives(&self, id: Id) -> Result<bool, Status> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        if known.is_some_and(|moment| moment.elapsed() < TRUE) {
            return Ok(true);
        }
        Ok(self.live([id]).await?.contains(&id))
    }

    async fn ask(&self, ids: &[Id]) -> Result<Vec<Id>, Status> {
        let token = self.auth.service_token("messaging", "identity");
        let token = token.map_err(|refusal| Status::from(Failure::from(refusal)))?;
        let bearer = format!("Bearer {token}").parse().map_err(|_| Status::internal("a token that is no header"))?;
        let mut request = Request::new(CheckSessionsRequest { session_ids: ids.iter().map(Id::to_string).collect() });
        request.metadata_mut().insert("authorization", bearer);
        let mut client = SessionServiceClient::new(self.identity.clone());
        let answer = tokio::time::timeout(PATIENCE, client.check_sessions(request)).await;
        let answer = answer.map_err(|_| Status::unavailable("identity does not answer"))??.into_inner();
        Ok(answer.live_session_ids.iter().filter_map(|id| id.parse().ok()).collect())
    }
}
