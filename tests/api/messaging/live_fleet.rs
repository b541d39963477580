//! Two instances are one: whoever listens to one hears what the other was told, also while Redis is away.

use rustix::process::Signal;
use tonic::transport::Channel;

use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::{Listener, positions};
use super::talk::{direct, group, named, say, send, text};
use super::twelve::{twelve, unseen};
use crate::harness::prelude::*;
use crate::harness::{Clients, channel};

/// Each instance of messaging, past the gateway; in one process the gateway twice.
fn instances(world: &World) -> Vec<Channel> {
    let direct = world.direct("messaging");
    if direct.is_empty() { vec![world.channel(); 2] } else { direct.into_iter().map(channel).collect() }
}

fn at(instances: &[Channel], number: usize, person: &Person) -> Clients {
    Clients::new(instances[number % instances.len()].clone(), Some(&person.access_token))
}

async fn listening(clients: &Clients, asked: SubscribeRequest) -> Listener {
    let mut listener = Listener::begin(clients, asked).await;
    listener.until("caught up", |event| matches!(event, Event::CaughtUp(_)).then_some(())).await;
    listener
}

#[tokio::test]
async fn g4_all_hear_the_same_in_the_same_order_on_whichever_instance_they_are() {
    let world = World::shared().await;
    let people = [world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await];
    let id = group(&world, &people[0], &[&people[1], &people[2]]).await;
    let instances = instances(&world);
    let mut listeners = Vec::new();
    for (number, person) in people.iter().enumerate() {
        listeners.push(listening(&at(&instances, number, person), SubscribeRequest::default()).await);
    }
    let said = people.iter().enumerate().map(async |(number, person)| {
        for count in 0..20 {
            let clients = at(&instances, number + count, person);
            let body = format!("{number} {count}");
            clients.messages().send_message(text(&id, &body)).await.expect("not sent");
        }
    });
    futures_util::future::join_all(said).await;
    let mut orders = Vec::new();
    for listener in &mut listeners {
        listener.change(&id, 60).await;
        assert_eq!(listener.changes(&id).len(), 60);
        orders.push(listener.texts(&id));
    }
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    // Whoever comes later is told the same.
    let late = listening(&at(&instances, 1, &people[0]), positions(&[(&id, 0)])).await;
    assert_eq!(late.texts(&id), orders[0]);
}

#[tokio::test]
async fn f06_everything_still_arrives_while_redis_is_away_hung_or_emptied() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let instances = instances(&world);
    let one = at(&instances, 0, &bob);
    let other = at(&instances, 1, &ada);
    let mut hers = Listener::going_on(&other, &ada, &id).await;
    let send = async |body: &str| {
        let asked = text(&id, body);
        patiently(body, async || one.messages().send_message(asked.clone()).await).await.expect("not sent")
    };
    send("with").await;
    hers.message("with").await;
    let Some(fleet) = world.fleet() else { return };
    let redis = &fleet.grounds.redis;

    redis.stop();
    let sent = send("without").await.into_inner().message.unwrap();
    hers.message("without").await;
    // Receipts, too, and what one does for oneself, and new conversations.
    let read = MarkReadRequest { conversation_id: id.clone(), up_to_seq: sent.seq };
    let hers_too = at(&instances, 0, &ada);
    patiently("read", async || hers_too.receipts().mark_read(read.clone()).await).await.unwrap();
    hers.receipt(&ada, sent.seq, sent.seq).await;
    let favorite = SetFavoriteRequest { conversation_id: id.clone(), favorite: true };
    patiently("set", async || hers_too.conversations().set_favorite(favorite.clone()).await).await.unwrap();
    hers.until("a favourite", |event| matches!(event, Event::Conversation(told) if told.favorite).then_some(())).await;
    let kind = ConversationKind::Group.into();
    let asked =
        StartConversationRequest { kind, participants: vec![named(&ada)], name: "Group".into(), ..Default::default() };
    let begun = patiently("begun", async || one.conversations().start_conversation(asked.clone()).await).await;
    hers.conversation(&begun.unwrap().into_inner().conversation.unwrap().conversation_id).await;
    send("still without").await;
    hers.message("still without").await;

    redis.restart().await;
    send("back").await;
    hers.message("back").await;
    redis.command("FLUSHALL").await.unwrap();
    send("emptied").await;
    hers.message("emptied").await;
    redis.freeze().await;
    send("hung").await;
    hers.message("hung").await;
    redis.thaw();
    send("thawed").await;
    hers.message("thawed").await;
    let texts = ["with", "without", "still without", "back", "emptied", "hung", "thawed"];
    assert_eq!(hers.texts(&id), texts);
    hers.check_receipts();
}

#[tokio::test]
async fn f06_receipts_of_all_and_roles_arrive_while_redis_is_away() {
    let world = World::own().await;
    let (people, id) = twelve(&world).await;
    let (ada, unseen) = (&people[0], unseen(&world, &people, &id).await);
    let sent = say(&world, ada, &id, "one").await;
    if let Some(fleet) = world.fleet() {
        fleet.grounds.redis.stop();
    }
    let instances = instances(&world);
    let other = at(&instances, 1, ada);
    let mut hers = Listener::going_on(&other, ada, &id).await;
    // Of nobody was anything read there before this.
    for reader in &unseen {
        let read = MarkReadRequest { conversation_id: id.clone(), up_to_seq: sent.seq };
        let theirs = at(&instances, 0, reader);
        patiently("read", async || theirs.receipts().mark_read(read.clone()).await).await.unwrap();
    }
    for _ in &unseen {
        hers.until("a receipt", |event| matches!(event, Event::Receipt(told) if told.read_seq == 1).then_some(()))
            .await;
    }
    hers.check_receipts();
    let other = at(&instances, 1, unseen[0]);
    let mut theirs = Listener::going_on(&other, unseen[0], &id).await;
    let (conversation_id, account_id) = (id.clone(), unseen[0].account_id.clone());
    let role = ParticipantRole::Owner.into();
    let asked = SetParticipantRoleRequest { conversation_id, account_id, role };
    let hers = at(&instances, 0, ada);
    patiently("set", async || hers.participants().set_participant_role(asked.clone()).await).await.unwrap();
    let owns = |event: &Event| matches!(event, Event::Conversation(told) if told.role() == ParticipantRole::Owner);
    theirs.until("the role", |event| owns(event).then_some(())).await;
}

#[tokio::test]
async fn s44_nothing_is_kept_of_a_stream_of_which_only_its_client_speaks() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    let ada = world.sign_up("ada").await;
    let look = async |clients: Clients| {
        let asked = SetFocusRequest { stream_id: ada.account_id.clone(), conversation_id: String::new() };
        clients.events().set_focus(asked).await
    };
    let instances = instances(&world);
    let refused = refused_at_last(async || look(at(&instances, 0, &ada)).await).await;
    assert_eq!(refused.reason, "STREAM_NOT_FOUND");
    // Commands are answered, and news are not heard: by then nobody knows which streams there are.
    let redis = &fleet.grounds.redis;
    redis.command("ACL SETUSER default resetchannels").await.unwrap();
    for number in 0..instances.len() {
        eventually("it can't be known", async || look(at(&instances, number, &ada)).await.ok()).await;
    }
    let kept = redis.command("KEYS *messaging:streams:*").await.unwrap();
    assert!(!kept.contains("messaging:streams:"), "{kept}");
}

#[tokio::test]
async fn f12_an_instance_that_stops_tells_its_streams_to_go_on_elsewhere() {
    let mut world = World::own().await;
    if world.is_embedded() {
        return;
    }
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let instances = instances(&world);
    let mut hers = listening(&at(&instances, 0, &ada), SubscribeRequest::default()).await;
    say(&world, &bob, &id, "before").await;
    hers.message("before").await;
    let stopping = &mut world.fleet_mut().messagings[0];
    stopping.signal(Signal::TERM);
    let status = stopping.ended(Duration::from_secs(40)).await.expect("still there");
    assert!(status.success(), "{status:?}");
    let resume = |event: &Event| if let Event::Resume(resume) = event { Some(resume.reason()) } else { None };
    assert_eq!(hers.until("resume", resume).await, ResumeReason::Shutdown);
    assert_eq!(hers.next().await.expect("a good end"), None);

    send(&world, &bob, text(&id, "after")).await.expect("not sent");
    let mut again = Listener::with(&world, &ada, positions(&[(&id, 1)])).await;
    if again.texts(&id).is_empty() {
        again.message("after").await;
    }
    assert_eq!(again.texts(&id), ["after"]);
}
