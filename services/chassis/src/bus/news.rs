//! What a service's instances tell each other beside revocations, and small things that they keep together for a while. All of it may be
//! lost at any time, and nobody stands on it.

use std::collections::HashMap;
use std::time::Duration;

use redis::AsyncCommands as _;
use tokio_stream::StreamExt as _;

use super::{BusError, RedisBus};

impl RedisBus {
    /// Tells something to whoever hears a channel at this moment.
    pub async fn tell(&self, channel: &str, text: &str) -> Result<(), BusError> {
        let mut connection = self.manager.clone();
        self.bounded(async move { connection.publish(self.key(channel), text).await }).await
    }

    /// Hears what is told on a channel, until nothing was for `patience`, or Redis goes.
    pub async fn hear(&self, channel: &str, patience: Duration, mut heard: impl FnMut(&str)) -> Result<(), BusError> {
        let joining = async {
            let mut news = self.client.get_async_pubsub().await?;
            news.subscribe(self.key(channel)).await?;
            Ok::<_, redis::RedisError>(news)
        };
        let mut news = self.bounded(joining).await?;
        let mut news = news.on_message();
        while let Ok(Some(message)) = tokio::time::timeout(patience, news.next()).await {
            heard(&message.get_payload::<String>()?);
        }
        Ok(())
    }

    /// Keeps fields of maps, each `(map, field, value)`, at least for `span`.
    pub async fn keep(&self, fields: &[(String, String, String)], span: Duration) -> Result<(), BusError> {
        let mut pipe = redis::pipe();
        let milliseconds = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        for (map, field, value) in fields {
            let map = self.key(map);
            pipe.hset(&map, field, value).ignore().pexpire(&map, milliseconds).ignore();
        }
        let mut connection = self.manager.clone();
        self.bounded(async move { pipe.query_async(&mut connection).await }).await
    }

    /// Whether a field is kept.
    pub async fn is_kept(&self, map: &str, field: &str) -> Result<bool, BusError> {
        let mut connection = self.manager.clone();
        self.bounded(async move { connection.hexists(self.key(map), field).await }).await
    }

    /// What maps have, one for each that is asked for.
    pub async fn kept(&self, maps: &[String]) -> Result<Vec<HashMap<String, String>>, BusError> {
        if maps.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for map in maps {
            pipe.hgetall(self.key(map));
        }
        let mut connection = self.manager.clone();
        self.bounded(async move { pipe.query_async::<Vec<HashMap<String, String>>>(&mut connection).await }).await
    }

    /// Forgets a field of a map.
    pub async fn drop_kept(&self, map: &str, field: &str) -> Result<(), BusError> {
        let mut connection = self.manager.clone();
        let work = async move { connection.hdel::<_, _, i64>(self.key(map), field).await };
        self.bounded::<i64>(work).await.map(drop)
    }
}
