//! This process among the others: what it tells them, and what it hears.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quartet_chassis::id::Id;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Hub;
use super::news::News;

/// The channel on which instances tell each other what happens.
const CHANNEL: &str = "messaging";
/// How many news go together.
const MANY: usize = 500;
/// How often an instance says something even if nothing happens, and how long a silence means that nothing is heard.
const BEAT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_millis(2000);
const RETRY: Duration = Duration::from_millis(250);

impl Hub {
    /// Tells the other instances. Whoever does not hear of it finds it by comparing.
    pub(super) fn spread(&self, news: News) {
        if self.0.redis.is_some() {
            self.0.news.try_send(news).ok();
        }
    }

    /// Whether it hears what other instances tell, or there are none.
    pub(super) fn hears(&self) -> bool {
        self.0.heard.load(Ordering::Relaxed) || self.0.redis.is_none()
    }

    /// Takes in what another instance tells: a line with its name, and a line for each piece of news.
    fn take(&self, text: &str) {
        let mut lines = text.lines();
        let node = lines.next().and_then(|node| node.parse::<Id>().ok());
        let Some(node) = node.filter(|node| *node != self.0.node) else { return };
        for news in lines.filter_map(|line| line.parse().ok()) {
            match news {
                News::Changed(id, number) => self.know(id, number, Duration::ZERO),
                News::Own(account, id) => self.look_again(account, id),
                News::Receipt(id, account, delivered, read) => self.mark(id, account, (delivered, read)),
                News::Typing(id, account, typing) => self.types(id, account, typing),
                News::Here(account, here) => self.note_presence(account, node, here),
                News::Focus { stream, account, conversation } => self.focus_here(stream, account, conversation),
            }
        }
    }
}

/// Tells the others what happens here, as much at once as there is.
pub async fn tell(hub: Hub, mut news: mpsc::Receiver<News>) {
    let Some(redis) = hub.0.redis.clone() else { return };
    let mut next = Vec::with_capacity(MANY);
    loop {
        // A silence is no end: the others must hear that there is nothing.
        if timeout(BEAT, news.recv_many(&mut next, MANY)).await == Ok(0) {
            return;
        }
        let lines = next.drain(..).map(|news| news.to_string());
        let text: Vec<String> = std::iter::once(hub.0.node.to_string()).chain(lines).collect();
        if let Err(error) = redis.tell(CHANNEL, &text.join("\n")).await {
            tracing::debug!(%error, "other instances can't be told");
        }
    }
}

/// Hears what others tell, for as long as the process runs.
pub async fn hear(hub: Hub) {
    let Some(redis) = hub.0.redis.clone() else { return };
    loop {
        let heard = |text: &str| {
            if !hub.0.heard.swap(true, Ordering::Relaxed) {
                // Nobody was told of the streams here for as long as nothing was heard. The connection for that may come back later than this.
                let hub = hub.clone();
                tokio::spawn(async move {
                    while hub.hears() && !hub.renew_streams().await {
                        sleep(RETRY).await;
                    }
                });
            }
            hub.take(text);
        };
        if let Err(error) = redis.hear(CHANNEL, PATIENCE, heard).await {
            tracing::debug!(%error, "other instances can't be heard");
        }
        if hub.0.heard.swap(false, Ordering::Relaxed) {
            tracing::warn!("what other instances tell is not heard: everything still arrives, a little later");
        }
        sleep(RETRY).await;
    }
}
