//! F-02: a process of messaging that ends in the middle of a commit. Every rpc of messaging that writes, at each of its commits, right before
//! and right after: who gets no answer asks again, another instance where there is one, and what was meant to happen has happened once.

mod conversation;
mod device;
mod message;

use super::stage::{Context, check_every_rpc, play};
use crate::harness::prelude::*;
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

/// Devices can be registered, and their push services are on loopback.
static MESSAGING: Context = Context {
    name: "messaging",
    flags: &["--messaging-push-loopback", "--messaging-vapid-key", VAPID],
    lease: Duration::ZERO,
    probe: |clients| {
        Box::pin(async {
            clients.conversations().list_conversations(ListConversationsRequest::default()).await.is_ok()
        })
    },
};

#[tokio::test]
async fn f02_each_commit_of_a_conversation_may_be_the_process_s_last() {
    play(&MESSAGING, conversation::cases()).await;
}

#[tokio::test]
async fn f02_each_commit_of_a_message_may_be_the_process_s_last() {
    play(&MESSAGING, message::cases()).await;
}

#[tokio::test]
async fn f02_each_commit_of_a_device_may_be_the_process_s_last() {
    play(&MESSAGING, device::cases()).await;
}

#[test]
fn f02_every_rpc_of_messaging_has_its_case() {
    let cases = [conversation::cases(), message::cases(), device::cases()];
    check_every_rpc(&MESSAGING, cases.into_iter().flatten(), &READS);
}
