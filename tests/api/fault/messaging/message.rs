//! The rpcs of messages and receipts.

use crate::fault::stage::{Case, Stage};
use crate::harness::prelude::*;
use crate::messaging::talk::{conversation, direct, get, newest, say, text};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "MessageService/SendMessage", run: |stage| Box::pin(send(stage)) },
        Case { name: "MessageService/EditMessage", run: |stage| Box::pin(edit(stage)) },
        Case { name: "MessageService/DeleteMessage", run: |stage| Box::pin(delete(stage)) },
        Case { name: "MessageService/SetReaction", run: |stage| Box::pin(react(stage)) },
        Case { name: "ReceiptService/MarkDelivered", run: |stage| Box::pin(deliver(stage)) },
        Case { name: "ReceiptService/MarkRead", run: |stage| Box::pin(read(stage)) },
    ]
}

impl Stage {
    /// Two people who talk, and the id of their conversation.
    async fn talk(&self) -> (Person, Person, String) {
        let (ada, bob) = (self.world.sign_up("ada").await, self.world.sign_up("bob").await);
        let id = direct(&self.world, &ada, &bob).await;
        (ada, bob, id)
    }

    /// How many messages and changes there are, counted by their numbers.
    async fn numbers(&self, person: &Person, id: &str) -> (i64, i64) {
        let seen = conversation(&self.world, person, id).await;
        (seen.last_seq, seen.last_change)
    }
}

async fn send(stage: &mut Stage) {
    let (ada, bob, id) = stage.talk().await;
    let asked = SendMessageRequest { mentioned_account_ids: vec![bob.account_id.clone()], ..text(&id, "Hello") };
    let outcome = stage
        .call("MessageService/SendMessage", &ada, async |clients| clients.messages().send_message(asked.clone()).await)
        .await;
    let sent = outcome.unwrap().message.unwrap();
    let seen = newest(&stage.world, &bob, &id).await;
    assert_eq!(seen.iter().map(|message| &message.message_id).collect::<Vec<_>>(), [&sent.message_id]);
    assert_eq!(stage.numbers(&ada, &id).await, (1, 1));
    let seen = conversation(&stage.world, &bob, &id).await;
    assert_eq!((seen.unread_count, seen.unread_mention_count), (1, 1));
}

async fn edit(stage: &mut Stage) {
    let (ada, bob, id) = stage.talk().await;
    let sent = say(&stage.world, &ada, &id, "Helo").await;
    let (conversation_id, seq) = (id.clone(), sent.seq);
    let asked = EditMessageRequest {
        conversation_id: conversation_id.clone(),
        seq,
        body: "Hello".into(),
        etag: sent.etag,
        ..Default::default()
    };
    let outcome = stage
        .call("MessageService/EditMessage", &ada, async |clients| clients.messages().edit_message(asked.clone()).await)
        .await;
    assert_eq!(outcome.unwrap().message.unwrap().body, "Hello");
    let edits = bob.messages(&stage.world).list_edits(ListEditsRequest { conversation_id, seq }).await.unwrap();
    assert_eq!(edits.into_inner().edits.len(), 1);
    assert_eq!(stage.numbers(&ada, &id).await, (1, 2));
}

async fn delete(stage: &mut Stage) {
    let (ada, bob, id) = stage.talk().await;
    let seq = say(&stage.world, &ada, &id, "Oops").await.seq;
    let asked = DeleteMessageRequest { conversation_id: id.clone(), seq };
    let outcome = stage
        .call("MessageService/DeleteMessage", &ada, async |clients| {
            clients.messages().delete_message(asked.clone()).await
        })
        .await;
    assert!(outcome.unwrap().message.unwrap().deleted);
    assert!(get(&stage.world, &bob, &id, seq).await.unwrap().message.unwrap().deleted);
    assert_eq!(stage.numbers(&ada, &id).await, (1, 2));
}

async fn react(stage: &mut Stage) {
    let (ada, bob, id) = stage.talk().await;
    let seq = say(&stage.world, &ada, &id, "News").await.seq;
    let asked = SetReactionRequest {
        conversation_id: id.clone(),
        seq,
        emoji: "👍".into(),
        present: true,
        ..Default::default()
    };
    let outcome = stage
        .call("MessageService/SetReaction", &bob, async |clients| clients.messages().set_reaction(asked.clone()).await)
        .await;
    assert_eq!(outcome.unwrap().message.unwrap().reactions[0].count, 1);
    assert_eq!(get(&stage.world, &ada, &id, seq).await.unwrap().message.unwrap().reactions[0].count, 1);
    assert_eq!(stage.numbers(&ada, &id).await, (1, 2));
}

async fn deliver(stage: &mut Stage) {
    let (ada, bob, id) = stage.talk().await;
    let seq = say(&stage.world, &ada, &id, "Hello").await.seq;
    let asked = MarkDeliveredRequest { conversation_id: id.clone(), up_to_seq: 0 };
    let outcome = stage
        .call("ReceiptService/MarkDelivered", &bob, async |clients| {
            clients.receipts().mark_delivered(asked.clone()).await
        })
        .await
        .unwrap();
    assert_eq!((outcome.delivered_seq, outcome.read_seq), (1, 0));
    let status = get(&stage.world, &ada, &id, seq).await.unwrap().message.unwrap().status();
    assert_eq!(status, MessageStatus::Delivered);
}

async fn read(stage: &mut Stage) {
    let (ada, bob, id) = stage.talk().await;
    let seq = say(&stage.world, &ada, &id, "Hello").await.seq;
    let asked = MarkReadRequest { conversation_id: id.clone(), up_to_seq: 0 };
    let outcome = stage
        .call("ReceiptService/MarkRead", &bob, async |clients| clients.receipts().mark_read(asked.clone()).await)
        .await
        .unwrap();
    assert_eq!((outcome.delivered_seq, outcome.read_seq, outcome.unread_count), (1, 1, 0));
    assert_eq!(get(&stage.world, &ada, &id, seq).await.unwrap().message.unwrap().status(), MessageStatus::Read);
}
