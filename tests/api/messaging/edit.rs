//! G5: messages are edited and deleted, and what they said before can be looked up.

use super::talk::{self, direct, get, group, named, newest, say};
use crate::harness::prelude::*;
use crate::harness::{bytes, left_out, told_amid};

fn change(message: &Message, body: &str) -> EditMessageRequest {
    EditMessageRequest {
        conversation_id: message.conversation_id.clone(),
        seq: message.seq,
        body: body.to_owned(),
        ..Default::default()
    }
}

async fn edit(world: &World, person: &Person, asked: EditMessageRequest) -> Result<Message, tonic::Status> {
    person.messages(world).edit_message(asked).await.map(|answer| answer.into_inner().message.unwrap())
}

async fn delete(world: &World, person: &Person, message: &Message) -> Result<Message, tonic::Status> {
    let asked = DeleteMessageRequest { conversation_id: message.conversation_id.clone(), seq: message.seq };
    person.messages(world).delete_message(asked).await.map(|answer| answer.into_inner().message.unwrap())
}

async fn edits(world: &World, person: &Person, message: &Message) -> Vec<String> {
    let asked = ListEditsRequest { conversation_id: message.conversation_id.clone(), seq: message.seq };
    let edits = person.messages(world).list_edits(asked).await.unwrap().into_inner().edits;
    edits.into_iter().map(|edit| edit.body).collect()
}

#[tokio::test]
async fn g5_an_edited_message_says_something_else_and_its_earlier_texts_are_kept() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let sent = say(&world, &ada, &id, "Helo").await;
    let first = edit(&world, &ada, change(&sent, "Hello")).await.unwrap();
    assert!(first.edit_time.is_some() && first.etag != sent.etag);
    // The same again changes nothing: who had no answer asks again.
    assert_eq!(edit(&world, &ada, change(&sent, "Hello")).await.unwrap(), first);
    let stale = EditMessageRequest { etag: sent.etag.clone(), ..change(&sent, "Good morning") };
    let refused = refusal(edit(&world, &ada, stale).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Aborted, "ETAG_STALE"));
    let asked = EditMessageRequest {
        etag: first.etag.clone(),
        mentioned_account_ids: vec![bob.account_id.clone()],
        ..change(&sent, "Good morning")
    };
    edit(&world, &ada, asked).await.unwrap();
    let seen = &newest(&world, &bob, &id).await[0];
    assert_eq!((seen.body.as_str(), seen.seq), ("Good morning", 1));
    assert_eq!(seen.mentioned_account_ids, std::slice::from_ref(&bob.account_id));
    assert_eq!(edits(&world, &bob, &sent).await, ["Helo", "Hello"]);
    assert_eq!(talk::conversation(&world, &bob, &id).await.unread_mention_count, 1);
    edit(&world, &ada, change(&sent, "Good morning")).await.unwrap();
    assert_eq!(talk::conversation(&world, &bob, &id).await.unread_mention_count, 0);
}

#[tokio::test]
async fn g5_only_the_sender_edits_a_message() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    let sent = say(&world, &bob, &id, "Mine").await;
    let refused = refusal(edit(&world, &ada, change(&sent, "Yours")).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::PermissionDenied, "CONVERSATION_RIGHT_MISSING"));
    let none = Message { seq: 9, ..sent.clone() };
    assert_eq!(refusal(edit(&world, &ada, change(&none, "Nobody's")).await).reason, "MESSAGE_NOT_FOUND");
    let refused = refusal(edit(&world, &bob, change(&sent, "")).await);
    assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["body".to_owned()]));
}

#[tokio::test]
async fn g5_a_message_can_be_edited_for_a_while() {
    let world = World::with(&["--messaging-edit-hours", "2"]).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let sent = say(&world, &ada, &id, "Helo").await;
    world.move_clock(Duration::from_secs(3600)).await;
    let ada = world.sign_in(&ada.email, &ada.password).await;
    edit(&world, &ada, change(&sent, "Hello")).await.unwrap();
    world.move_clock(Duration::from_secs(3601)).await;
    let ada = world.sign_in(&ada.email, &ada.password).await;
    let refused = refusal(edit(&world, &ada, change(&sent, "Goodbye")).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "EDIT_TOO_LATE"));
}

#[tokio::test]
async fn g5_of_a_deleted_message_nothing_is_left_but_its_place() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let first = say(&world, &ada, &id, "First").await;
    let asked = SendMessageRequest {
        reply_to_seq: first.seq,
        mentioned_account_ids: vec![bob.account_id.clone()],
        ..talk::text(&id, "Sceond")
    };
    let sent = talk::send(&world, &ada, asked.clone()).await.unwrap();
    edit(&world, &ada, change(&sent, "Second")).await.unwrap();
    let refused = refusal(delete(&world, &bob, &sent).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::PermissionDenied, "CONVERSATION_RIGHT_MISSING"));
    let gone = delete(&world, &ada, &sent).await.unwrap();
    assert!(gone.deleted && gone.body.is_empty() && gone.mentioned_account_ids.is_empty() && gone.reply_to_seq == 0);
    assert_eq!((gone.seq, gone.sender_account_id.as_str()), (2, ada.account_id.as_str()));
    assert_eq!(delete(&world, &ada, &sent).await.unwrap(), gone, "once is enough");
    assert!(edits(&world, &bob, &sent).await.is_empty());
    let seen = newest(&world, &bob, &id).await;
    assert_eq!(seen.iter().map(|message| (message.seq, message.deleted)).collect::<Vec<_>>(), [(2, true), (1, false)]);
    let refused = refusal(edit(&world, &ada, change(&sent, "Again")).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "MESSAGE_DELETED"));
    // Sent again, it stays deleted.
    assert!(talk::send(&world, &ada, asked).await.unwrap().deleted);
    assert_eq!(say(&world, &bob, &id, "Third").await.seq, 3);
}

#[tokio::test]
async fn s34_who_is_removed_while_they_ask_is_told_no_text_from_behind_that() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return left_out("nothing can be put between two reads of SQLite") };
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    let sent = say(&world, &ada, &id, "Helo").await;
    edit(&world, &ada, change(&sent, "Hello")).await.unwrap();
    let remove = format!(
        "delete from member where conversation_id = {conversation} and account_id = {bob};
        insert into edit (conversation_id, seq, version, body, replace_time)
            values ({conversation}, {seq}, 99, 'Behind it', localtimestamp);",
        conversation = bytes(&id),
        bob = bytes(&bob.account_id),
        seq = sent.seq,
    );
    let ask = async || {
        let asked = ListEditsRequest { conversation_id: id.clone(), seq: sent.seq };
        bob.messages(&world).list_edits(asked).await
    };
    for told in told_amid(&fleet.grounds, "messaging", "edit", &remove, ask).await {
        match told {
            Ok(told) => assert!(told.into_inner().edits.into_iter().map(|edit| edit.body).eq(["Helo"])),
            Err(refused) => assert_eq!(refused.reason, "CONVERSATION_NOT_FOUND"),
        }
    }
    assert_eq!(edits(&world, &ada, &sent).await, ["Helo", "Behind it"]);
    let asked = ListEditsRequest { conversation_id: id.clone(), seq: sent.seq };
    assert_eq!(refusal(bob.messages(&world).list_edits(asked).await).reason, "CONVERSATION_NOT_FOUND");
}

#[tokio::test]
async fn g11_an_owner_of_a_group_deletes_what_others_have_written() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob]).await;
    let sent = say(&world, &bob, &id, "Spam").await;
    assert!(delete(&world, &ada, &sent).await.unwrap().deleted);
    assert!(get(&world, &bob, &id, sent.seq).await.unwrap().message.unwrap().deleted);
    // Who came later does not see it, owner or not.
    let asked = AddParticipantsRequest { conversation_id: id.clone(), participants: vec![named(&eve)] };
    eventually("Eve is known", async || ada.participants(&world).add_participants(asked.clone()).await.ok()).await;
    assert_eq!(refusal(delete(&world, &eve, &sent).await).reason, "MESSAGE_NOT_FOUND");
}
