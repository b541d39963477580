//! What processes tell each other: revocations, by Redis or within one process, and by Redis what the instances of a service tell each other.
//!
//! Redis only spreads what SQL holds. A sorted set has the live revocations by expiry, and beside them a marker that says that it is
//! complete. The marker names the very run of the server: a Redis that was emptied, restored from an older dump or replaced by a
//! replica has no such marker, and means "unknown" instead of "nothing revoked".

mod news;

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{AsyncCommands as _, Client, Cmd, FromRedisValue, RedisError};
use tokio_stream::StreamExt as _;

use crate::auth::{KEPT, Revocation, Revocations};
use crate::clock::{Clock, Time};
use crate::id::Id;

/// How long Redis may take to answer before it counts as away.
pub const ANSWER: Duration = Duration::from_millis(400);
/// The marker's beginning; the id of the server's run follows.
const MARKER: &str = "complete:";
const BEAT: &str = "beat";

/// The way between processes.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one per process")]
pub enum Bus {
    /// There is one process: a revocation goes straight into its set.
    Local(Revocations),
    Redis(RedisBus),
}

/// A connection to Redis that comes back by itself.
#[derive(Clone)]
pub struct RedisBus {
    client: Client,
    manager: ConnectionManager,
    clock: Clock,
    prefix: String,
    set: String,
    channel: String,
    answer: Duration,
}

/// Redis did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("redis: {0}")]
pub struct BusError(#[from] RedisError);

impl RedisBus {
    /// Prepares to speak to the Redis at `url`, which need not be there yet and has so long to answer. Keys and channels begin with `prefix`.
    pub fn open(url: &str, prefix: &str, clock: Clock, answer: Duration) -> Result<RedisBus, BusError> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(answer))
            .set_connection_timeout(Some(answer))
            .set_number_of_retries(0);
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        Ok(RedisBus {
            client,
            manager,
            clock,
            prefix: prefix.to_owned(),
            set: format!("{prefix}:revocations"),
            channel: format!("{prefix}:revocations"),
            answer,
        })
    }

    /// The name of a key of this installation's.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Asks one thing, and waits no longer than for anything else.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, BusError> {
        let mut redis = self.manager.clone();
        self.bounded(command.query_async(&mut redis)).await
    }

    /// A Redis that hangs is as good as none.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, BusError> {
        let late = || RedisError::from((redis::ErrorKind::Io, "no answer in time"));
        Ok(tokio::time::timeout(2 * self.answer, work).await.unwrap_or_else(|_| Err(late()))?)
    }

    /// Follows the revocations into `revocations` for as long as Redis tells them: subscribes, waits until that is confirmed, takes
    /// the whole set, then hears the new ones. Ends when nothing was heard for `patience`, or when the set is not complete.
    pub async fn follow(&self, revocations: &Revocations, patience: Duration) -> Result<(), BusError> {
        let mut news = self.bounded(self.subscribe()).await?;
        revocations.apply(&self.bounded(self.snapshot()).await?);
        revocations.beat();
        let mut news = news.on_message();
        while let Ok(Some(message)) = tokio::time::timeout(patience, news.next()).await {
            let text: String = message.get_payload()?;
            if text == BEAT {
                revocations.beat();
            }
            revocations.apply(&text.lines().filter_map(parse).collect::<Vec<_>>());
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<PubSub, RedisError> {
        let mut news = self.client.get_async_pubsub().await?;
        news.subscribe(&self.channel).await?;
        Ok(news)
    }

    async fn snapshot(&self) -> Result<Vec<Revocation>, RedisError> {
        let mut redis = self.manager.clone();
        // What has expired lately counts for those whose clocks are wrong (F-15).
        let kept = milliseconds(self.clock.now() - KEPT);
        let marker = marker(&mut redis).await?;
        let members: Vec<(String, f64)> = redis.zrangebyscore_withscores(&self.set, kept, "+inf").await?;
        if !members.iter().any(|(member, _)| *member == marker) {
            return Err(RedisError::from((redis::ErrorKind::Client, "the set of revocations is not complete")));
        }
        Ok(members.iter().filter_map(|(member, score)| parse(&format!("{member} {score}"))).collect())
    }

    async fn publish(&self, list: &[Revocation]) -> Result<(), RedisError> {
        let mut redis = self.manager.clone();
        let mut pipe = redis::pipe();
        pipe.atomic();
        let mut lines = Vec::with_capacity(list.len());
        for revocation in list {
            let (member, score) = (revocation.target.to_string(), milliseconds(revocation.expire));
            pipe.zadd(&self.set, &member, score).ignore();
            lines.push(format!("{member} {score}"));
        }
        pipe.publish(&self.channel, lines.join("\n")).ignore();
        pipe.query_async(&mut redis).await
    }
}

impl Bus {
    /// Tells every process of new revocations.
    pub async fn publish_revocations(&self, list: &[Revocation]) -> Result<(), BusError> {
        match self {
            _ if list.is_empty() => Ok(()),
            Bus::Local(revocations) => {
                revocations.apply(list);
                Ok(())
            }
            Bus::Redis(redis) => redis.bounded(redis.publish(list)).await,
        }
    }

    /// Tells every process that nothing that was revoked is still untold. Only the one that has just made sure of it may say so.
    pub async fn beat(&self) -> Result<(), BusError> {
        let Bus::Redis(redis) = self else { return Ok(()) };
        let mut connection = redis.manager.clone();
        redis.bounded(async move { connection.publish(&redis.channel, BEAT).await }).await
    }

    /// Whether what Redis holds is complete.
    pub async fn is_complete(&self) -> Result<bool, BusError> {
        let Bus::Redis(redis) = self else { return Ok(true) };
        let mut connection = redis.manager.clone();
        let score: Option<f64> = redis
            .bounded(async move {
                let marker = marker(&mut connection).await?;
                connection.zscore(&redis.set, marker).await
            })
            .await?;
        Ok(score.is_some())
    }

    /// Writes every live revocation into a Redis that has lost them, and marks it complete.
    pub async fn reseed(&self, all: &[Revocation]) -> Result<(), BusError> {
        let Bus::Redis(redis) = self else { return Ok(()) };
        for part in all.chunks(1000) {
            redis.bounded(redis.publish(part)).await?;
        }
        let mut connection = redis.manager.clone();
        let kept = milliseconds(redis.clock.now() - KEPT);
        redis
            .bounded(async move {
                let marker = marker(&mut connection).await?;
                let mut pipe = redis::pipe();
                // The markers of earlier runs go, too.
                pipe.atomic().zrembyscore(&redis.set, "+inf", "+inf").ignore();
                pipe.zrembyscore(&redis.set, "-inf", kept).ignore();
                pipe.zadd(&redis.set, marker, "+inf").ignore();
                pipe.query_async(&mut connection).await
            })
            .await
    }

    /// Removes from Redis what names an account: the revocations of its older epochs. Its sessions are revoked one by one.
    pub async fn forget(&self, account: Id) -> Result<(), BusError> {
        let Bus::Redis(redis) = self else { return Ok(()) };
        let (mut cursor, pattern) = (0u64, format!("account:{account}:*"));
        loop {
            let mut connection = redis.manager.clone();
            let (next, found): (u64, Vec<String>) = redis
                .bounded(async {
                    let mut scan = redis::cmd("ZSCAN");
                    scan.arg(&redis.set).arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
                    scan.query_async(&mut connection).await
                })
                .await?;
            // Members and their scores take turns.
            let members: Vec<String> = found.into_iter().step_by(2).collect();
            if !members.is_empty() {
                let _: i64 = redis.bounded(connection.zrem(&redis.set, members)).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}

/// The marker that this run of this server has when its set is complete.
async fn marker(redis: &mut ConnectionManager) -> Result<String, RedisError> {
    let info: String = redis::cmd("INFO").arg("server").query_async(redis).await?;
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    let run = run.ok_or_else(|| RedisError::from((redis::ErrorKind::Client, "the server does not name its run")))?;
    Ok(format!("{MARKER}{}", run.trim()))
}

/// Reads `session:… 1789000000000`.
fn parse(line: &str) -> Option<Revocation> {
    let (target, expire) = line.rsplit_once(' ')?;
    let expire = chrono::DateTime::from_timestamp_millis(expire.parse::<f64>().ok()? as i64)?;
    Some(Revocation { target: target.parse().ok()?, expire: expire.naive_utc() })
}

fn milliseconds(time: Time) -> i64 {
    time.and_utc().timestamp_millis()
}
