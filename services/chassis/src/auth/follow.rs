//! Keeps a process's keys and revocations up to date from identity.

use std::time::{Duration, Instant};

use quartet_proto::identity::v1 as pb;
use quartet_proto::identity::v1::key_service_client::KeyServiceClient;
use quartet_proto::identity::v1::revocation_service_client::RevocationServiceClient;
use tokio::time::{sleep, timeout};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::{Auth, PublicKey, Refusal, Revocation, Target};
use crate::bus::{Bus, RedisBus};
use crate::clock::from_unix_seconds;
use crate::parts::Parts;
use crate::upstream::Upstream;

/// How often the keys are fetched when nobody asks for a new one. Identity waits longer than this before it signs with one.
pub const KEY_PERIOD: Duration = Duration::from_secs(10);
/// The least time between two fetches.
const KEY_PAUSE: Duration = Duration::from_millis(200);
/// Redis's news are stale when it was silent for so long.
const PATIENCE: Duration = Duration::from_millis(1500);
const RETRY: Duration = Duration::from_millis(250);

impl Parts {
    /// Follows identity's keys and revocations for as long as the process runs. `service` is the name under which it asks.
    pub fn follow(&self, service: &'static str, identity: Upstream) {
        self.spawn(follow_keys(self.auth.clone(), identity.clone()));
        self.spawn(sweep(self.clone()));
        if let Bus::Redis(redis) = &self.bus {
            self.spawn(follow_revocations(self.auth.clone(), redis.clone(), service, identity));
        }
    }
}

async fn follow_keys(auth: Auth, identity: Upstream) {
    let mut client = KeyServiceClient::new(identity);
    loop {
        match timeout(PATIENCE, client.get_jwks(pb::GetJwksRequest {})).await {
            Ok(Ok(answer)) => {
                let keys: Vec<_> = answer.into_inner().keys.iter().filter_map(public_key).collect();
                auth.set_keys(&keys);
            }
            Ok(Err(status)) => tracing::debug!(code = ?status.code(), "keys could not be fetched"),
            Err(_) => tracing::debug!("keys were not answered in time"),
        }
        sleep(KEY_PAUSE).await;
        let period = if auth.0.keys.load().is_empty() { RETRY } else { KEY_PERIOD };
        timeout(period, auth.0.key_wanted.notified()).await.ok();
    }
}

fn public_key(key: &pb::Jwk) -> Option<PublicKey> {
    use base64::Engine as _;
    let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&key.x).ok()?;
    Some(PublicKey { kid: key.kid.clone(), x: x.try_into().ok()? })
}

/// Hears of revocations by Redis, and straight from identity whenever Redis is away.
async fn follow_revocations(auth: Auth, redis: RedisBus, service: &'static str, identity: Upstream) {
    loop {
        if let Err(error) = redis.follow(auth.revocations(), PATIENCE).await {
            tracing::debug!(%error, "revocations can't be followed by Redis");
        }
        // Redis is away or its news are stale. Ask identity, and look again whether Redis is back from time to time.
        // A pause between two attempts is not a thing that tests move.
        let began = Instant::now();
        while began.elapsed() < 4 * RETRY {
            if let Err(status) = watch(&auth, service, identity.clone(), 4 * RETRY).await {
                tracing::debug!(code = ?status.code(), "revocations can't be followed from identity");
                sleep(RETRY).await;
            }
        }
    }
}

/// Follows identity's own stream for about `span`.
async fn watch(auth: &Auth, service: &str, identity: Upstream, span: Duration) -> Result<(), Status> {
    let mut request = Request::new(pb::WatchRevocationsRequest {});
    let token = auth.service_token(service, "identity").map_err(refused)?;
    let bearer: MetadataValue<_> = format!("Bearer {token}").parse().map_err(|_| refused(Refusal::Invalid))?;
    request.metadata_mut().insert("authorization", bearer);

    let late = |_| Status::unavailable("identity does not answer");
    let mut client = RevocationServiceClient::new(identity);
    let mut stream = timeout(PATIENCE, client.watch_revocations(request)).await.map_err(late)??.into_inner();
    // How long to listen is not a thing that tests move.
    let began = Instant::now();
    while began.elapsed() < span {
        let Some(news) = timeout(PATIENCE, stream.message()).await.map_err(late)?? else { return Ok(()) };
        auth.revocations().apply(&news.revocations.into_iter().filter_map(revocation).collect::<Vec<_>>());
        auth.revocations().beat();
    }
    Ok(())
}

fn refused(refusal: Refusal) -> Status {
    crate::failure::Failure::from(refusal).into()
}

fn revocation(revocation: pb::Revocation) -> Option<Revocation> {
    use pb::revocation::Target as Wire;
    let target = match revocation.target? {
        Wire::SessionId(id) => Target::Session(id.parse().ok()?),
        Wire::TokenId(id) => Target::Token(id),
        Wire::KeyId(id) => Target::Key(id),
        Wire::AccountEpoch(account) => Target::Account { id: account.account_id.parse().ok()?, epoch: account.epoch },
    };
    let expire = revocation.expire_time?;
    Some(Revocation { target, expire: from_unix_seconds(expire.seconds.saturating_add(1))? })
}

async fn sweep(parts: Parts) {
    loop {
        sleep(Duration::from_secs(60)).await;
        parts.auth.revocations().sweep(parts.clock.now());
    }
}
