//! G3, G14: messages are sent, numbered, stored once, and what breaks a rule is refused.

use super::talk::{self, direct, get, group, named, newest, say, send, text};
use crate::harness::PATIENT;
use crate::harness::prelude::*;

#[tokio::test]
async fn g3_a_message_is_answered_with_its_number_and_time_and_seen_by_the_other() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let asked = text(&id, "Hello Bob\n👋");
    let sent = send(&world, &ada, asked.clone()).await.unwrap();
    assert_eq!((sent.seq, sent.conversation_id.as_str(), sent.body.as_str()), (1, id.as_str(), "Hello Bob\n👋"));
    assert_eq!(sent.sender_account_id, ada.account_id);
    assert_eq!(
        (sent.client_message_id.as_str(), sent.status()),
        (asked.client_message_id.as_str(), MessageStatus::Sent)
    );
    assert!(
        !sent.message_id.is_empty() && !sent.etag.is_empty() && sent.send_time.is_some() && sent.edit_time.is_none()
    );
    let seen = newest(&world, &bob, &id).await;
    // What the sender's program calls it, and how far it has come, is told to the sender alone.
    let expected =
        Message { client_message_id: String::new(), status: MessageStatus::Unspecified.into(), ..sent.clone() };
    assert_eq!(seen, [expected]);
    assert_eq!(newest(&world, &ada, &id).await, [sent]);
}

#[tokio::test]
async fn g3_a_message_that_comes_again_is_stored_once() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let asked = SendMessageRequest { client_message_id: "one".to_owned(), ..text(&id, "Hello") };
    let first = send(&world, &ada, asked.clone()).await.unwrap();
    assert_eq!(send(&world, &ada, asked.clone()).await.unwrap(), first);
    let other = SendMessageRequest { body: "Goodbye".to_owned(), ..asked.clone() };
    let refused = refusal(send(&world, &ada, other).await);
    assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["client_message_id".to_owned()]));
    // It is one sender's name for it: another's is another message, and so it is numbered.
    let theirs = send(&world, &bob, asked).await.unwrap();
    assert_eq!((theirs.seq, newest(&world, &ada, &id).await.len()), (2, 2));
}

#[tokio::test]
async fn g3_what_breaks_a_rule_is_told_all_at_once() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let wrong = SendMessageRequest {
        conversation_id: id.clone(),
        body: " \n ".to_owned(),
        reply_to_seq: -1,
        mentioned_account_ids: vec!["bob".to_owned()],
        attachments: vec![attachment(attachment::Source::Url("http://example.com".to_owned()))],
        ..Default::default()
    };
    let refused = refusal(send(&world, &ada, wrong).await);
    let mut fields = refused.fields;
    fields.sort();
    assert_eq!((refused.code, refused.reason.as_str()), (Code::InvalidArgument, "FIELDS_INVALID"));
    let all = ["attachments[0].url", "body", "client_message_id", "mentioned_account_ids", "reply_to_seq"];
    assert_eq!(fields, all);
    for body in [String::new(), "x".repeat(16 * 1024 + 1), "a\0b".to_owned()] {
        let refused = refusal(send(&world, &ada, text(&id, &body)).await);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["body".to_owned()]));
    }
    // It would read as a picture.
    let turned = Attachment {
        source: Some(attachment::Source::Url("https://example.com/a".to_owned())),
        name: "photo_\u{202e}gpj.exe".to_owned(),
        ..Default::default()
    };
    let refused =
        refusal(send(&world, &ada, SendMessageRequest { attachments: vec![turned], ..text(&id, "Look") }).await);
    assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["attachments[0].name".to_owned()]));
    say(&world, &ada, &id, &"x".repeat(16 * 1024)).await;
    assert_eq!(newest(&world, &bob, &id).await.len(), 1, "what is refused takes no number");
}

#[tokio::test]
async fn g3_a_message_has_links_files_mentions_and_answers_another() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    let first = say(&world, &ada, &id, "Which one?").await;
    let link = attachment::Source::Url("https://example.com/a.png?x=1".to_owned());
    let file = attachment::Source::MediaId("0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60".to_owned());
    let asked = SendMessageRequest {
        body: String::new(),
        attachments: vec![attachment(link), attachment(file)],
        reply_to_seq: first.seq,
        mentioned_account_ids: vec![ada.account_id.clone(), ada.account_id.clone()],
        ..text(&id, "")
    };
    let sent = send(&world, &bob, asked.clone()).await.unwrap();
    assert_eq!((sent.attachments.clone(), sent.reply_to_seq), (asked.attachments, 1));
    assert_eq!(sent.mentioned_account_ids, std::slice::from_ref(&ada.account_id));
    let seen = talk::conversation(&world, &ada, &id).await;
    assert_eq!((seen.unread_count, seen.unread_mention_count), (1, 1));
    assert_eq!(seen.last_message.map(|last| last.message_id), Some(sent.message_id));
}

#[tokio::test]
async fn g3_a_message_answers_and_mentions_only_what_is_there() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = direct(&world, &ada, &bob).await;
    for reply_to_seq in [1, 7, i64::MAX] {
        let asked = SendMessageRequest { reply_to_seq, ..text(&id, "To whom?") };
        let refused = refusal(send(&world, &ada, asked).await);
        assert_eq!((refused.code, refused.reason.as_str()), (Code::NotFound, "MESSAGE_NOT_FOUND"));
    }
    let asked = SendMessageRequest { mentioned_account_ids: vec![eve.account_id.clone()], ..text(&id, "@Eve") };
    let refused = refusal(send(&world, &ada, asked).await);
    assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["mentioned_account_ids".to_owned()]));
    assert_eq!(say(&world, &ada, &id, "Nothing was counted").await.seq, 1);
}

#[tokio::test]
async fn s32_a_stranger_neither_sends_nor_reads_and_learns_of_nothing() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = direct(&world, &ada, &bob).await;
    let sent = say(&world, &ada, &id, "Between us").await;
    let none = "0198b3f2-7d0c-7a51-8f0e-5b1d2c3e4f60";
    for conversation_id in [id.as_str(), none, "no id"] {
        let asked = SendMessageRequest { client_message_id: "x".to_owned(), ..text(conversation_id, "Me too") };
        let mut refused = vec![refusal(send(&world, &eve, asked).await)];
        refused.push(refusal(get(&world, &eve, conversation_id, sent.seq).await));
        let conversation_id = conversation_id.to_owned();
        let listed = ListMessagesRequest { conversation_id: conversation_id.clone(), ..Default::default() };
        refused.push(refusal(talk::list(&world, &eve, listed).await));
        let marked = MarkReadRequest { conversation_id: conversation_id.clone(), up_to_seq: 0 };
        refused.push(refusal(eve.receipts(&world).mark_read(marked).await));
        let searched = SearchMessagesRequest {
            query: "us".to_owned(),
            conversation_id: conversation_id.clone(),
            ..Default::default()
        };
        refused.push(refusal(eve.messages(&world).search_messages(searched).await));
        let edits = ListEditsRequest { conversation_id: conversation_id.clone(), seq: 1 };
        refused.push(refusal(eve.messages(&world).list_edits(edits).await));
        let deleted = DeleteMessageRequest { conversation_id: conversation_id.clone(), seq: 1 };
        refused.push(refusal(eve.messages(&world).delete_message(deleted).await));
        let reaction = SetReactionRequest {
            conversation_id: conversation_id.clone(),
            seq: 1,
            emoji: "x".into(),
            present: true,
            ..Default::default()
        };
        refused.push(refusal(eve.messages(&world).set_reaction(reaction).await));
        for refused in refused {
            assert_eq!((refused.code, refused.reason.as_str()), (Code::NotFound, "CONVERSATION_NOT_FOUND"));
            assert_eq!(refused.metadata["conversation_id"], conversation_id);
        }
    }
    assert_eq!(newest(&world, &bob, &id).await.len(), 1);
}

#[tokio::test]
async fn g5_who_comes_later_sees_what_is_written_from_then_on() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob]).await;
    let early = say(&world, &ada, &id, "Without Eve").await;
    let asked = AddParticipantsRequest { conversation_id: id.clone(), participants: vec![named(&eve)] };
    eventually("Eve is known", async || ada.participants(&world).add_participants(asked.clone()).await.ok()).await;
    let late = say(&world, &ada, &id, "With Eve").await;
    let seqs: Vec<i64> = newest(&world, &eve, &id).await.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, [late.seq]);
    let refused = refusal(get(&world, &eve, &id, early.seq).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::NotFound, "MESSAGE_NOT_FOUND"));
    let asked = SendMessageRequest { reply_to_seq: early.seq, ..text(&id, "About what?") };
    assert_eq!(refusal(send(&world, &eve, asked).await).reason, "MESSAGE_NOT_FOUND");
    // Of those who see it, all count for how far it has come, and nobody else.
    talk::read(&world, &bob, &id, 0).await;
    assert_eq!(get(&world, &ada, &id, early.seq).await.unwrap().message.unwrap().status(), MessageStatus::Read);
    assert_eq!(get(&world, &ada, &id, late.seq).await.unwrap().message.unwrap().status(), MessageStatus::Sent);
}

#[tokio::test]
async fn s49_who_sends_too_much_waits_and_nobody_else_does() {
    let world = World::with(&[&PATIENT[..], &["--messaging-sends-per-minute", "5"]].concat()).await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let mut refused = None;
    for _ in 0..12 {
        refused = send(&world, &ada, text(&id, "Again")).await.err().map(Refusal::from);
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("nothing is refused");
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    say(&world, &bob, &id, "I have not").await;
}

fn attachment(source: attachment::Source) -> quartet_proto::messaging::v1::Attachment {
    quartet_proto::messaging::v1::Attachment {
        source: Some(source),
        name: "a.png".to_owned(),
        content_type: "image/png".to_owned(),
        size_bytes: 3,
    }
}
