//! F-02: a process of messaging that ends in the middle of a commit. Every rpc of messaging that writes, at each of its commits, right before
//! and right after: who gets no answer asks again, another instance where there is one, and what was meant to happen has happened once.

mod conversation;
mod device;
mod message;

use std::collections::BTreeSet;
use std::pin::Pin;

use quartet_proto::control::v1::SetFaultRequest;
use quartet_proto::control::v1::control_service_client::ControlServiceClient;
use tonic::{Response, Status};

use crate::harness::prelude::*;
use crate::harness::{Clients, Process, channel};
use crate::house::rpcs;
use crate::messaging::push::VAPID;

/// The rpcs of messaging that commit nothing of their own: what comes by a stream of `Connect` is sent and marked as by the others.
const READS: [&str; 15] = [
    "ConversationService/GetConversation",
    "ConversationService/ListBlockedAccounts",
    "ConversationService/ListContacts",
    "ConversationService/ListConversations",
    "DeviceService/GetPushConfig",
    "DeviceService/ListDevices",
    "EventService/SetFocus",
    "EventService/SetTyping",
    "EventService/Subscribe",
    "MessageService/Connect",
    "MessageService/GetMessage",
    "MessageService/ListEdits",
    "MessageService/ListMessages",
    "MessageService/SearchMessages",
    "ParticipantService/ListParticipants",
];

type Run = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Devices can be registered, and their push services are on loopback.
const FLAGS: [&str; 3] = ["--messaging-push-loopback", "--messaging-vapid-key", VAPID];

/// One way to call an rpc, and what must hold whatever happens to it.
struct Case {
    name: &'static str,
    run: Run,
}

/// Where the cases play: all in one process, or a fleet with one instance more, which is the one that ends.
struct Stage {
    world: World,
    victim: Option<Process>,
    fault: Fault,
    skip: i32,
    /// Whether the process has ended in this play.
    crashed: bool,
}

impl Stage {
    async fn set() -> Stage {
        let world = World::apart(&FLAGS).await;
        Stage { world, victim: None, fault: Fault::Unspecified, skip: 0, crashed: false }
    }

    /// Plays a case at each commit of its rpc, until there is none that the crash could come at. Answers how many there were.
    async fn play(&mut self, case: &Case) -> usize {
        let mut windows = 0;
        for fault in [Fault::CrashBeforeCommit, Fault::CrashAfterCommit] {
            for skip in 0.. {
                (self.fault, self.skip, self.crashed) = (fault, skip, false);
                eprintln!("{} {fault:?} {skip}", case.name);
                (case.run)(self).await;
                if !self.crashed {
                    assert!(skip > 0, "{} commits nothing", case.name);
                    break;
                }
                windows += 1;
                assert!(skip < 20, "{} has no end", case.name);
            }
        }
        windows
    }

    /// Asks; the crash comes in this call. Who gets no answer asks again: the process that is back, or another instance.
    async fn call<T>(
        &mut self,
        rpc: &str,
        person: &Person,
        ask: impl AsyncFn(Clients) -> Result<Response<T>, Status>,
    ) -> Result<T, Refusal> {
        let clients = self.aim(rpc, person).await;
        let refused = match ask(clients).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => Refusal::from(status),
        };
        if !refused.reason.is_empty() {
            return Err(refused);
        }
        self.crashed = true;
        match self.victim.take() {
            Some(mut victim) => victim.crashed().await,
            None => self.world.process().revive().await,
        }
        let me = async || person.accounts(&self.world).get_me(GetMeRequest {}).await.ok().map(drop);
        eventually("tokens count", me).await;
        ask(self.world.as_token(&person.access_token)).await.map(Response::into_inner).map_err(Refusal::from)
    }

    /// Makes the crash come in the next call of an rpc, and answers the clients by which it has to be called.
    async fn aim(&mut self, rpc: &str, person: &Person) -> Clients {
        let rpc = format!("/quartet.messaging.v1.{rpc}");
        let Some(grounds) = self.world.grounds() else {
            self.world.process().aim(self.fault, &rpc, self.skip).await;
            return self.world.as_token(&person.access_token);
        };
        if self.victim.is_none() {
            let identities: Vec<String> = self.world.direct("identity").iter().map(ToString::to_string).collect();
            // It has the flags of all the others.
            let command = grounds.role("messaging", &["--identity-address", &identities.join(",")]);
            self.victim = Some(Process::start(&command).await);
        }
        let at = &self.victim.as_ref().unwrap().started;
        let asked = SetFaultRequest { fault: self.fault.into(), failing: true, rpc, skip: self.skip };
        ControlServiceClient::new(channel(at.control)).set_fault(asked).await.expect("the fault can't be set");
        let clients = Clients::new(channel(at.listen), Some(&person.access_token));
        // An instance that has just started hears of what is revoked a moment later.
        let list = async || clients.conversations().list_conversations(ListConversationsRequest::default()).await.ok();
        eventually("it takes tokens", list).await;
        clients
    }

    /// The answer, or nothing where the call was refused for this reason after a crash: the first call has done it.
    fn done<T>(&self, outcome: Result<T, Refusal>, reason: &str) -> Option<T> {
        match outcome {
            Ok(answer) => Some(answer),
            Err(refused) => {
                assert!(self.crashed && refused.reason == reason, "{:?} {}: {refused:?}", self.fault, self.skip);
                None
            }
        }
    }
}

async fn play(cases: Vec<Case>) {
    let mut stage = Stage::set().await;
    let rounds = if std::env::var("QUARTET_TEST_LONG").is_ok() { 20 } else { 1 };
    let mut windows = 0;
    for _ in 0..rounds {
        for case in &cases {
            windows += stage.play(case).await;
        }
    }
    eprintln!("{windows} crashes");
}

#[tokio::test]
async fn f02_each_commit_of_a_conversation_may_be_the_process_s_last() {
    play(conversation::cases()).await;
}

#[tokio::test]
async fn f02_each_commit_of_a_message_may_be_the_process_s_last() {
    play(message::cases()).await;
}

#[tokio::test]
async fn f02_each_commit_of_a_device_may_be_the_process_s_last() {
    play(device::cases()).await;
}

#[test]
fn f02_every_rpc_of_messaging_has_its_case() {
    let cases = [conversation::cases(), message::cases(), device::cases()].into_iter().flatten();
    let known: BTreeSet<String> = cases.map(|case| case.name).chain(READS).map(str::to_owned).collect();
    let there = rpcs().into_iter().filter_map(|rpc| Some(rpc.path.strip_prefix("/quartet.messaging.v1.")?.to_owned()));
    assert_eq!(there.collect::<BTreeSet<_>>(), known);
}
