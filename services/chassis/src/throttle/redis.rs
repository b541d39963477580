//! Counting in Redis, each question one script: many instances at the same time can't slip past each other. The time is ours, so that
//! tests move it; what Redis itself expires is only what nobody needs any more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, FromRedisValue};

use super::{Bucket, Crowd, LocalThrottle, milliseconds, wait};
use crate::bus::{BusError, RedisBus};
use crate::clock::Clock;

/// How long Redis is left alone after it has not answered: whoever signs in does not wait for it each time.
const PAUSE: Duration = Duration::from_secs(1);
/// How long keys stay when they mean nothing any more, in milliseconds: clocks differ.
const SLACK: i64 = 600_000;

/// Arguments: now, the slack, how many to take, and of each bucket how long one takes to come back and how many there are. Answers how long to
/// wait.
const TAKE: &str = r"
local now, slack, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local wait, full = 0, {}
for i, key in ipairs(KEYS) do
  local interval = tonumber(ARGV[2 * i + 2])
  local whole = interval * tonumber(ARGV[2 * i + 3])
  local before = tonumber(redis.call('GET', key) or now)
  full[i] = math.min(math.max(before, now), now + whole) + interval * count
  wait = math.max(wait, full[i] - now - whole)
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', full[i]), 'PX', string.format('%.0f', full[i] - now + slack))
end
return 0";

const GIVE_BACK: &str = r"
local now, slack = tonumber(ARGV[1]), tonumber(ARGV[2])
for i, key in ipairs(KEYS) do
  local full = tonumber(redis.call('GET', key) or 0) - tonumber(ARGV[2 * i + 1])
  if full > now then
    redis.call('SET', key, string.format('%.0f', full), 'PX', string.format('%.0f', full - now + slack))
  else
    redis.call('DEL', key)
  end
end
return 0";

/// Arguments: now, the slack, the window, the limit, the mark. Answers how long to wait, or -1 when the mark was there.
const JOIN: &str = r"
local key, now, window, mark = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[5]
redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - window))
local there = redis.call('ZSCORE', key, mark)
if not there and redis.call('ZCARD', key) >= tonumber(ARGV[4]) then
  local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return math.max(1, tonumber(oldest[2] or now) + window - now)
end
redis.call('ZADD', key, string.format('%.0f', now), mark)
redis.call('PEXPIRE', key, string.format('%.0f', window + tonumber(ARGV[2])))
if there then return -1 end
return 0";

/// Buckets and crowds in Redis, and beside them some in memory for as long as Redis is away.
#[derive(Clone)]
pub struct RedisThrottle {
    bus: RedisBus,
    clock: Clock,
    local: LocalThrottle,
    /// Until when Redis is not asked.
    paused: Arc<Mutex<Option<Instant>>>,
}

impl RedisThrottle {
    pub(super) fn new(bus: RedisBus, clock: Clock, local: LocalThrottle) -> RedisThrottle {
        RedisThrottle { bus, clock, local, paused: Arc::default() }
    }

    pub(super) async fn take_many(&self, buckets: &[Bucket], count: u32) -> Result<(), Duration> {
        if buckets.is_empty() {
            return Ok(());
        }
        match self.ask::<i64>(self.of_buckets(TAKE, Some(count), buckets)).await {
            Some(0) => Ok(()),
            Some(longest) => Err(wait(longest)),
            None => self.local.take_many(buckets, count),
        }
    }

    pub(super) async fn give_back(&self, buckets: &[Bucket]) {
        // What was taken from the memory goes back there; Redis has the rest.
        self.local.give_back(buckets);
        if !buckets.is_empty() {
            self.ask::<i64>(self.of_buckets(GIVE_BACK, None, buckets)).await;
        }
    }

    pub(super) async fn reset(&self, key: &str) {
        self.local.reset(key);
        let mut command = redis::cmd("DEL");
        command.arg(self.key(key));
        self.ask::<i64>(command).await;
    }

    pub(super) async fn join(&self, crowd: &Crowd, mark: &str) -> Result<bool, Duration> {
        let mut command = self.script(JOIN, &[&crowd.key]);
        command.arg(crowd.window.num_milliseconds()).arg(crowd.limit).arg(mark);
        match self.ask::<i64>(command).await {
            Some(0) => Ok(false),
            Some(-1) => Ok(true),
            Some(longest) => Err(wait(longest)),
            None => self.local.join(crowd, mark),
        }
    }

    pub(super) async fn leave(&self, crowd: &Crowd, mark: &str) {
        self.local.leave(crowd, mark);
        let mut command = redis::cmd("ZREM");
        command.arg(self.key(&crowd.key)).arg(mark);
        self.ask::<i64>(command).await;
    }

    fn of_buckets(&self, script: &str, count: Option<u32>, buckets: &[Bucket]) -> Cmd {
        let keys: Vec<&str> = buckets.iter().map(|bucket| bucket.key.as_str()).collect();
        let mut command = self.script(script, &keys);
        if let Some(count) = count {
            command.arg(count);
        }
        for bucket in buckets {
            command.arg(bucket.quota.interval()).arg(bucket.quota.burst);
        }
        command
    }

    /// A script's call up to the arguments that all of them begin with.
    fn script(&self, script: &str, keys: &[&str]) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(keys.len());
        for key in keys {
            command.arg(self.key(key));
        }
        command.arg(milliseconds(self.clock.now())).arg(SLACK);
        command
    }

    fn key(&self, key: &str) -> String {
        self.bus.key(&format!("throttle:{key}"))
    }

    /// What Redis answers, or nothing when it is away.
    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Option<T> {
        if self.is_paused() {
            return None;
        }
        let answer: Result<T, BusError> = self.bus.ask(&command).await;
        if let Err(error) = &answer {
            tracing::debug!(%error, "tries are counted by this process alone");
            *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = Some(later());
        }
        answer.ok()
    }

    fn is_paused(&self) -> bool {
        let paused = *self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        // How long Redis is away is not a thing that tests move.
        paused.is_some_and(|until| Instant::now() < until)
    }
}

fn later() -> Instant {
    Instant::now() + PAUSE
}
