//! What is said in one group reaches a thousand who listen: how many deliveries, how late, and what a listener costs.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use quartet_proto::identity::v1::SignInRequest;
use quartet_proto::identity::v1::session_service_client::SessionServiceClient;
use quartet_proto::messaging::v1::conversation_service_client::ConversationServiceClient;
use quartet_proto::messaging::v1::event_service_client::EventServiceClient;
use quartet_proto::messaging::v1::message_service_client::MessageServiceClient;
use quartet_proto::messaging::v1::subscribe_response::Event;
use quartet_proto::messaging::v1::{
    ConversationKind, Person, SendMessageRequest, StartConversationRequest, SubscribeRequest, change, person,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};

use crate::installation::{self, Embedded, Engine, PASSWORD};
use crate::peer::postgres::Postgres;
use crate::process::quartet;
use crate::report::{Bound, Report, figure};
use crate::settings::Settings;

/// How many listen, and on how many connections.
const LISTENERS: usize = 1000;
const CONNECTIONS: usize = 20;
/// What is said, but for its number.
const BODY: &str = "What is said here has about as many letters as a message has that somebody writes by hand: a hundred and twenty-eight of them";
/// Messages a second where it is measured how late they come, and who sends at the same time where it is measured how many can come.
const RATE: u32 = 50;
const SENDERS: usize = 8;

/// What became of the messages, by the numbers that stand in them.
struct Board {
    sent: Vec<std::sync::Mutex<Option<Instant>>>,
    /// How many have not got it yet.
    left: Vec<AtomicUsize>,
    /// Tells how long each took to reach everybody.
    done: mpsc::UnboundedSender<Duration>,
}

impl Board {
    fn new(messages: usize) -> (Arc<Board>, mpsc::UnboundedReceiver<Duration>) {
        let (done, told) = mpsc::unbounded_channel();
        let left = (0..messages).map(|_| AtomicUsize::new(LISTENERS)).collect();
        let sent = (0..messages).map(|_| std::sync::Mutex::default()).collect();
        (Arc::new(Board { sent, left, done }), told)
    }

    fn begins(&self, number: usize) -> anyhow::Result<()> {
        let sent = self.sent.get(number).context("too many messages")?;
        *sent.lock().map_err(|_| anyhow::anyhow!("somebody panicked"))? = Some(Instant::now());
        Ok(())
    }

    fn arrives(&self, body: &str) -> anyhow::Result<()> {
        let number: usize = body.split(' ').next().unwrap_or_default().parse()?;
        if self.left.get(number).context("an unknown message")?.fetch_sub(1, Ordering::Relaxed) == 1 {
            let sent = self.sent[number].lock().map_err(|_| anyhow::anyhow!("somebody panicked"))?;
            let _ = self.done.send(sent.context("it was not sent")?.elapsed());
        }
        Ok(())
    }
}

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    let mut rows = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres(&postgres)] {
        let embedded = Embedded::start(engine, "fanout", &["--identity-bcrypt-cost", "4"])?;
        import(&embedded)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let found = runtime.block_on(measure(&embedded, settings.longer(6)))?;
        rows.push(vec![
            engine.name().to_owned(),
            figure(found.deliveries),
            figure(found.cpu),
            figure(found.median),
            figure(found.late),
            figure(found.memory),
            figure(found.sends),
        ]);
        report.goal(
            format!("a message reaches {LISTENERS}, p99 ms, {}", engine.name()),
            found.late,
            Bound::AtMost(10.0),
        );
        report.goal(format!("KiB for an idle listener, {}", engine.name()), found.memory, Bound::AtMost(30.0));
        report.goal(format!("CPU of a delivery, µs, {}", engine.name()), found.cpu, Bound::AtMost(4.0));
    }
    report.say(&format!(
        "{LISTENERS} people listen to one group over {CONNECTIONS} connections. How late: from the call to the last of them, {RATE} messages a \
         second. Deliveries: {SENDERS} send as fast as they are answered. Sends: into a group of two, 32 at the same time. The listeners are \
         threads of this benchmark and decode all they get."
    ));
    let columns = ["engine", "deliveries/s", "µs each", "p50 ms", "p99 ms", "KiB a listener", "sends/s"];
    report.table(&columns, &rows);
    Ok(())
}

fn email(number: usize) -> String {
    format!("fanout.{number}@example.com")
}

fn import(embedded: &Embedded) -> anyhow::Result<()> {
    let hash = bcrypt::hash(PASSWORD, 4)?;
    let mut csv = "email,password_hash\n".to_owned();
    for number in 0..=LISTENERS {
        let _ = writeln!(csv, "{},{hash}", email(number));
    }
    let file = embedded.server.data.join("fanout.csv");
    std::fs::write(&file, csv)?;
    let (data, file) = (embedded.server.data.display().to_string(), file.display().to_string());
    quartet(&["import", "accounts", &file, "--data", &data])?;
    Ok(())
}

struct Found {
    deliveries: f64,
    cpu: f64,
    median: f64,
    late: f64,
    memory: f64,
    sends: f64,
}

async fn measure(embedded: &Embedded, span: Duration) -> anyhow::Result<Found> {
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(installation::channel(embedded.address()).await?);
    }
    let channel = channels[0].clone();
    // The last account sends; all the others listen.
    let token = sign_in(&channel, LISTENERS).await?;
    let group = group(&channel, &token, LISTENERS).await?;
    let meter = embedded.server.meter();
    let mut tokens = Vec::new();
    for number in 0..LISTENERS {
        tokens.push(sign_in(&channels[number % CONNECTIONS], number).await?);
    }

    let before = meter.memory();
    let mut streams = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        streams.push(subscribe(&channels[number % CONNECTIONS], token).await?);
    }
    let memory = (meter.memory() - before) * 1024.0 / LISTENERS as f64;
    // More than anybody can send.
    let (board, mut told) = Board::new(400_000);
    let mut listeners = JoinSet::new();
    for stream in streams {
        listeners.spawn(listen(stream, board.clone()));
    }

    let mut taken = paced(&channel, &token, &group, &board, &mut told, span).await?;
    let first = taken.len();
    taken.sort_unstable();
    let at = |share: f64| taken.get((first as f64 * share) as usize).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
    let (median, late) = (at(0.5), at(0.99));

    let (cpu, began) = (meter.cpu(), Instant::now());
    let last = flood(&channel, &token, &group, Some(&board), first, SENDERS, span).await?;
    for _ in first..last {
        tokio::time::timeout(Duration::from_secs(30), told.recv()).await?.context("nobody listens")?;
    }
    let count = ((last - first) * LISTENERS) as f64;
    let deliveries = count / began.elapsed().as_secs_f64();
    let cpu = (meter.cpu() - cpu).as_secs_f64() * 1e6 / count;
    if let Some(ended) = listeners.try_join_next() {
        ended??;
        bail!("a stream has ended");
    }
    listeners.shutdown().await;

    let pair = self::group(&channel, &token, 1).await?;
    let began = Instant::now();
    let sent = flood(&channel, &token, &pair, None, last, 32, span).await? - last;
    let sends = sent as f64 / began.elapsed().as_secs_f64();
    Ok(Found { deliveries, cpu, median, late, memory, sends })
}

async fn sign_in(channel: &Channel, number: usize) -> anyhow::Result<String> {
    let asked = SignInRequest { email: email(number), password: PASSWORD.to_owned(), ..Default::default() };
    Ok(SessionServiceClient::new(channel.clone()).sign_in(asked).await?.into_inner().access_token)
}

fn with<T>(token: &str, message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

/// A group with the first of the accounts, once messaging knows them.
async fn group(channel: &Channel, token: &str, others: usize) -> anyhow::Result<String> {
    let participants = (0..others).map(|number| Person { by: Some(person::By::Email(email(number))) }).collect();
    let kind = ConversationKind::Group.into();
    let asked = StartConversationRequest { kind, participants, name: "Fan-out".to_owned(), ..Default::default() };
    let mut conversations = ConversationServiceClient::new(channel.clone());
    for _ in 0..600 {
        match conversations.start_conversation(with(token, asked.clone())?).await {
            Ok(answer) => return Ok(answer.into_inner().conversation.context("no conversation")?.conversation_id),
            Err(status) if status.code() == Code::NotFound => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(status) => return Err(status.into()),
        }
    }
    bail!("messaging does not hear of the accounts")
}

type Events = Streaming<quartet_proto::messaging::v1::SubscribeResponse>;

/// A stream that has caught up.
async fn subscribe(channel: &Channel, token: &str) -> anyhow::Result<Events> {
    let asked = with(token, SubscribeRequest::default())?;
    let mut stream = EventServiceClient::new(channel.clone()).subscribe(asked).await?.into_inner();
    while let Some(response) = stream.message().await? {
        if matches!(response.event, Some(Event::CaughtUp(_))) {
            return Ok(stream);
        }
    }
    bail!("a stream has ended")
}

async fn listen(mut stream: Events, board: Arc<Board>) -> anyhow::Result<()> {
    while let Some(response) = stream.message().await? {
        let Some(Event::Change(change)) = response.event else { continue };
        if let Some(change::What::Sent(message)) = change.what {
            board.arrives(&message.body)?;
        }
    }
    Ok(())
}

async fn send(channel: &Channel, token: &str, group: &str, number: usize) -> anyhow::Result<()> {
    let asked = SendMessageRequest {
        conversation_id: group.to_owned(),
        body: format!("{number} {BODY}").chars().take(128).collect(),
        client_message_id: number.to_string(),
        ..Default::default()
    };
    MessageServiceClient::new(channel.clone()).send_message(with(token, asked)?).await?;
    Ok(())
}

/// Sends at an even pace; answers how long each message took to reach the last listener.
async fn paced(
    channel: &Channel,
    token: &str,
    group: &str,
    board: &Arc<Board>,
    told: &mut mpsc::UnboundedReceiver<Duration>,
    span: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    let (end, mut calls, mut count) = (Instant::now() + span, JoinSet::new(), 0);
    while Instant::now() < end {
        ticks.tick().await;
        board.begins(count)?;
        let (channel, token, group) = (channel.clone(), token.to_owned(), group.to_owned());
        calls.spawn(async move { send(&channel, &token, &group, count).await });
        count += 1;
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(tokio::time::timeout(Duration::from_secs(30), told.recv()).await?.context("nobody listens")?);
    }
    Ok(taken)
}

/// Some send for `span` as fast as they are answered, from a number on; answers the number behind the last one.
async fn flood(
    channel: &Channel,
    token: &str,
    group: &str,
    board: Option<&Arc<Board>>,
    from: usize,
    senders: usize,
    span: Duration,
) -> anyhow::Result<usize> {
    let (next, end, mut calls) = (Arc::new(AtomicUsize::new(from)), Instant::now() + span, JoinSet::new());
    for _ in 0..senders {
        let (channel, token, group) = (channel.clone(), token.to_owned(), group.to_owned());
        let (board, next) = (board.cloned(), next.clone());
        calls.spawn(async move {
            while Instant::now() < end {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if let Some(board) = &board {
                    board.begins(number)?;
                }
                send(&channel, &token, &group, number).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    let last = next.load(Ordering::Relaxed);
    ensure!(last > from, "nothing was sent");
    Ok(last)
}
