//! What happens is told as it happens: once, in one order, and to nobody else.

use quartet_proto::messaging::v1::change::What;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::{Listener, message, positions};
use super::participant::leave;
use super::talk::{conversation, direct, group, named, read, say, send, text};
use crate::harness::prelude::*;
use crate::harness::{Clients, PATIENT, channel};
use crate::identity::erasure::{completed, delete};

#[tokio::test]
async fn g4_a_message_and_its_receipts_arrive_live() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let (mut hers, mut his) = (Listener::of(&world, &ada).await, Listener::of(&world, &bob).await);
    let told = hers.conversation(&id).await;
    assert_eq!((told.last_seq, told.last_change), (0, 0));

    let asked = text(&id, "Hello");
    let sent = send(&world, &bob, asked.clone()).await.unwrap();
    let (change, heard) = hers.message("Hello").await;
    assert_eq!((change.change_seq, change.account_id), (1, bob.account_id.clone()));
    assert!(matches!(change.what, Some(What::Sent(_))));
    assert_eq!((heard.seq, &heard.message_id, heard.client_message_id.as_str()), (1, &sent.message_id, ""));
    // Who has sent it knows it by the name that they gave it.
    let (_, own) = his.message("Hello").await;
    assert_eq!((own.seq, own.client_message_id), (1, asked.client_message_id));

    let asked = MarkDeliveredRequest { conversation_id: id.clone(), up_to_seq: 1 };
    ada.receipts(&world).mark_delivered(asked).await.unwrap();
    his.receipt(&ada, 1, 0).await;
    read(&world, &ada, &id, 1).await;
    his.receipt(&ada, 1, 1).await;
    hers.receipt(&ada, 1, 1).await;
    his.check_receipts();
}

#[tokio::test]
async fn g4_what_was_missed_is_told_in_its_order_and_once() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    say(&world, &bob, &id, "one").await;
    let first = Listener::of(&world, &ada).await;
    drop(first);

    let two = say(&world, &bob, &id, "two").await;
    let edit =
        EditMessageRequest { conversation_id: id.clone(), seq: two.seq, body: "two!".into(), ..Default::default() };
    bob.messages(&world).edit_message(edit).await.unwrap();
    let gone = say(&world, &bob, &id, "three").await;
    let delete = DeleteMessageRequest { conversation_id: id.clone(), seq: gone.seq };
    bob.messages(&world).delete_message(delete).await.unwrap();
    let name = Conversation { conversation_id: id.clone(), name: "New".into(), ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["name".to_owned()] };
    let rename = UpdateConversationRequest { conversation: Some(name), update_mask: Some(mask) };
    bob.conversations(&world).update_conversation(rename).await.unwrap();
    read(&world, &bob, &id, 0).await;

    let mut again = Listener::with(&world, &ada, positions(&[(&id, 1)])).await;
    let told = again.conversation(&id).await;
    assert_eq!((told.last_seq, told.last_change, told.display_name.as_str()), (3, 6, "New"));
    let his = told.participants.iter().find(|one| one.account_id == bob.account_id).expect("Bob");
    assert_eq!((his.delivered_seq, his.read_seq), (3, 3));
    let changes = again.changes(&id);
    assert_eq!(changes.iter().map(|change| change.change_seq).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    let kinds: Vec<&str> = changes.iter().map(|change| kind(change)).collect();
    assert_eq!(kinds, ["sent", "updated", "sent", "deleted", "renamed"]);
    // What is told is what is there now: nothing of what was deleted is.
    assert!(message(&changes[2]).is_some_and(|message| message.deleted && message.body.is_empty()));

    say(&world, &bob, &id, "live").await;
    let (change, _) = again.message("live").await;
    assert_eq!(change.change_seq, 7);
    again.changes(&id);
}

fn kind(change: &Change) -> &'static str {
    match change.what {
        Some(What::Sent(_)) => "sent",
        Some(What::Updated(_)) => "updated",
        Some(What::Deleted(_)) => "deleted",
        Some(What::Joined(_)) => "joined",
        Some(What::Left(_)) => "left",
        Some(What::RoleChanged(_)) => "role",
        Some(What::Renamed(_)) => "renamed",
        Some(What::Reacted(_)) => "reacted",
        None => "hidden",
    }
}

#[tokio::test]
async fn g4_s32_who_comes_hears_what_follows_and_who_goes_nothing_more() {
    let world = World::shared().await;
    let (ada, bob, eve) = tokio::join!(world.sign_up("ada"), world.sign_up("bob"), world.sign_up("eve"));
    let id = group(&world, &ada, &[&bob]).await;
    say(&world, &ada, &id, "before").await;
    let (mut hers, mut his) = (Listener::of(&world, &eve).await, Listener::of(&world, &bob).await);
    add(&world, &ada, &id, &eve).await;
    let told = hers.conversation(&id).await;
    assert_eq!((told.last_seq, told.hidden_seq, told.unread_count, told.last_message), (1, 1, 0, None));
    say(&world, &ada, &id, "while").await;
    hers.message("while").await;
    assert_eq!(hers.texts(&id), ["while"]);
    // Of what was written before she learns no more than that there was something.
    let edit = EditMessageRequest { conversation_id: id.clone(), seq: 1, body: "after".into(), ..Default::default() };
    ada.messages(&world).edit_message(edit).await.unwrap();
    his.message("after").await;
    say(&world, &ada, &id, "still").await;
    hers.message("still").await;
    assert_eq!(hers.texts(&id), ["while", "still"]);

    let remove = RemoveParticipantRequest { conversation_id: id.clone(), account_id: eve.account_id.clone() };
    ada.participants(&world).remove_participant(remove).await.unwrap();
    say(&world, &ada, &id, "secret").await;
    hers.gone(&id).await;
    his.message("secret").await;
    // Another conversation shows that the stream lives, and that nothing of the first one came meanwhile.
    let other = direct(&world, &eve, &bob).await;
    hers.conversation(&other).await;
    say(&world, &bob, &other, "hello").await;
    hers.message("hello").await;
    assert!(!format!("{:?}", hers.heard).contains("secret") && !format!("{:?}", hers.heard).contains("after"));
    let last = hers.heard.iter().rposition(|event| matches!(event, Event::Gone(_))).expect("gone");
    assert!(hers.heard[last..].iter().all(|event| !format!("{event:?}").contains("still")));

    // Whoever asks for what they had is told that it is gone.
    let mut again = Listener::with(&world, &eve, positions(&[(&id, 3)])).await;
    assert!(again.heard.iter().any(|event| matches!(event, Event::Gone(gone) if gone.conversation_id == id)));
    assert!(again.changes(&id).is_empty());
    // And who comes again, begins anew.
    add(&world, &ada, &id, &eve).await;
    again.conversation(&id).await;
    say(&world, &ada, &id, "again").await;
    again.message("again").await;
    assert_eq!(again.texts(&id), ["again"]);
}

async fn add(world: &World, owner: &Person, id: &str, person: &Person) {
    eventually("it is known who they are", async || {
        let asked = AddParticipantsRequest { conversation_id: id.to_owned(), participants: vec![named(person)] };
        owner.participants(world).add_participants(asked).await.ok()
    })
    .await;
}

#[tokio::test]
async fn g4_what_one_does_for_oneself_is_told_to_all_of_ones_streams_and_to_nobody_else() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    say(&world, &bob, &id, "one").await;
    let mut hers = [Listener::of(&world, &ada).await, Listener::of(&world, &ada).await];
    let mut his = Listener::of(&world, &bob).await;
    let asked = SetFavoriteRequest { conversation_id: id.clone(), favorite: true };
    ada.conversations(&world).set_favorite(asked).await.unwrap();
    let clear = ClearHistoryRequest { conversation_id: id.clone(), up_to_seq: 0 };
    ada.conversations(&world).clear_history(clear).await.unwrap();
    for listener in &mut hers {
        listener
            .until("a favourite that is cleared", |event| match event {
                Event::Conversation(told) => (told.favorite && told.hidden_seq == 1).then_some(()),
                _ => None,
            })
            .await;
    }
    say(&world, &ada, &id, "two").await;
    his.message("two").await;
    assert!(!his.heard.iter().any(|event| matches!(event, Event::Conversation(told) if told.favorite)));
    assert_eq!(conversation(&world, &bob, &id).await.hidden_seq, 0);
}

#[tokio::test]
async fn g11_who_inherits_a_group_is_told_the_conversation_anew() {
    let world = World::own().await;
    let (ada, bob, eve) = tokio::join!(world.sign_up("ada"), world.sign_up("bob"), world.sign_up("eve"));
    let id = group(&world, &ada, &[&bob]).await;
    add(&world, &ada, &id, &eve).await;
    let (mut his, mut hers) = (Listener::of(&world, &bob).await, Listener::of(&world, &eve).await);
    let owns = |event: &Event| match event {
        Event::Conversation(told) => (told.role() == ParticipantRole::Owner).then_some(()),
        _ => None,
    };
    leave(&world, &ada, &id).await.unwrap();
    his.until("it is his", owns).await;
    completed(&world, &delete(&world, &bob).await).await;
    hers.until("it is hers", owns).await;
}

#[tokio::test]
async fn s15_a_stream_ends_with_its_session() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let (mut hers, mut his) = (Listener::of(&world, &ada).await, Listener::of(&world, &bob).await);
    ada.sessions(&world).sign_out(SignOutRequest {}).await.unwrap();
    let refused = Refusal::from(hers.end().await.expect_err("not refused"));
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unauthenticated, "SESSION_REVOKED"));
    say(&world, &bob, &id, "still").await;
    his.message("still").await;
}

#[tokio::test]
async fn g4_a_request_that_breaks_a_rule_is_refused_with_all_that_is_wrong() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let id = ada.account_id.clone();
    let asked = positions(&[("x", -1), (&id, 1), (&id, 2)]);
    let refused = refusal(ada.events(&world).subscribe(asked).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::InvalidArgument, "FIELDS_INVALID"));
    let fields = ["positions[0].conversation_id", "positions[0].change_seq", "positions[2].conversation_id"];
    assert_eq!(refused.fields, fields);
    let many: Vec<Position> = vec![Position { conversation_id: id, change_seq: 0 }; 2001];
    let refused =
        refusal(ada.events(&world).subscribe(SubscribeRequest { positions: many, ..Default::default() }).await);
    assert_eq!(refused.fields[0], "positions");
    let refused = refusal(world.anonymous().events().subscribe(SubscribeRequest::default()).await);
    assert_eq!(refused.reason, "TOKEN_MISSING");
}

#[tokio::test]
async fn g4_typing_is_told_to_those_who_ask_and_is_forgotten() {
    let world = World::own().await;
    let (ada, bob, eve) = tokio::join!(world.sign_up("ada"), world.sign_up("bob"), world.sign_up("eve"));
    let id = group(&world, &ada, &[&bob]).await;
    let asked = SubscribeRequest { typing: true, ..Default::default() };
    let (mut hers, mut his) = (Listener::with(&world, &ada, asked).await, Listener::of(&world, &bob).await);
    let typing = SetTypingRequest { conversation_id: id.clone(), typing: true };
    let refused = refusal(eve.events(&world).set_typing(typing.clone()).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::NotFound, "CONVERSATION_NOT_FOUND"));

    types(&world, &mut hers, &bob, &typing).await;
    world.move_clock(Duration::from_secs(7)).await;
    typed(&mut hers, &bob, false).await;
    types(&world, &mut hers, &bob, &typing).await;
    // Whoever has sent what they typed, types no more.
    say(&world, &bob, &id, "done").await;
    typed(&mut hers, &bob, false).await;
    his.message("done").await;
    assert!(!his.heard.iter().any(|event| matches!(event, Event::Typing(_))));
}

/// Says that somebody types until that is heard: on its way to other instances it may be lost.
pub async fn types(world: &World, listener: &mut Listener, person: &Person, typing: &SetTypingRequest) {
    for _ in 0..30 {
        person.events(world).set_typing(typing.clone()).await.unwrap();
        if tokio::time::timeout(Duration::from_secs(1), typed(listener, person, true)).await.is_ok() {
            return;
        }
    }
    panic!("typing is never heard");
}

/// Listens until somebody types, or no longer.
async fn typed(listener: &mut Listener, person: &Person, typing: bool) {
    listener
        .until("typing", |event| match event {
            Event::Typing(told) => (told.account_id == person.account_id && told.typing == typing).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn g4_presence_is_told_to_those_who_tell_their_own() {
    let world = World::shared().await;
    let (ada, bob, eve) = tokio::join!(world.sign_up("ada"), world.sign_up("bob"), world.sign_up("eve"));
    for person in [&ada, &eve] {
        let id = direct(&world, person, &bob).await;
        say(&world, person, &id, "Hello").await;
        say(&world, &bob, &id, "Hello").await;
    }
    let asked = SubscribeRequest { presence: true, ..Default::default() };
    let mut hers = Listener::with(&world, &ada, asked.clone()).await;
    let silent = Listener::of(&world, &eve).await;
    let mut his = Listener::with(&world, &bob, asked).await;
    let present = |listener: &Listener, person: &Person| {
        listener
            .heard
            .iter()
            .any(|event| matches!(event, Event::Presence(told) if told.account_id == person.account_id))
    };
    presence(&mut hers, &bob, true).await;
    if !present(&his, &ada) {
        presence(&mut his, &ada, true).await;
    }
    drop(his);
    presence(&mut hers, &bob, false).await;
    assert!(!present(&hers, &eve) && !present(&silent, &bob));
}

async fn presence(listener: &mut Listener, person: &Person, online: bool) {
    listener
        .until("presence", |event| match event {
            Event::Presence(told) => (told.account_id == person.account_id && told.online == online).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn g13_the_focus_is_a_streams_and_its_accounts_alone() {
    let world = World::with(&PATIENT).await;
    let (ada, bob, eve) = tokio::join!(world.sign_up("ada"), world.sign_up("bob"), world.sign_up("eve"));
    let id = direct(&world, &ada, &bob).await;
    let asked = |stream_id: &str, conversation_id: &str| SetFocusRequest {
        stream_id: stream_id.to_owned(),
        conversation_id: conversation_id.to_owned(),
    };
    // As long as an instance can't know which streams there are it takes any.
    for at in world.direct("messaging") {
        let clients = Clients::new(channel(at), Some(&eve.access_token));
        let refused = async || clients.events().set_focus(asked(&eve.account_id, "")).await.err();
        let unknown = async || refused().await.filter(|status| status.code() == Code::NotFound);
        eventually("it is known", unknown).await;
    }
    // Whichever instance is asked knows the stream. One of which Redis was too late to hear is known at its own alone.
    let instances = world.direct("messaging").into_iter().chain([world.gateway()]);
    let instances: Vec<_> = instances.map(|at| Clients::new(channel(at), Some(&ada.access_token))).collect();
    let hers = eventually("all know the stream", async || {
        let hers = Listener::of(&world, &ada).await;
        for clients in &instances {
            clients.events().set_focus(asked(&hers.stream_id, &id)).await.ok()?;
            clients.events().set_focus(asked(&hers.stream_id, "")).await.ok()?;
        }
        Some(hers)
    })
    .await;
    let refused = refused_at_last(async || bob.events(&world).set_focus(asked(&hers.stream_id, &id)).await).await;
    assert_eq!(refused.is(), (Code::NotFound, "STREAM_NOT_FOUND"));
    let refused = refusal(ada.events(&world).set_focus(asked("x", &id)).await);
    assert_eq!(refused.reason, "STREAM_NOT_FOUND");
    let refused = refusal(eve.events(&world).set_focus(asked(&hers.stream_id, &id)).await);
    assert_eq!(refused.reason, "CONVERSATION_NOT_FOUND");
}
