//! Whoever reads too slowly is cut off, and goes on where they were.

use quartet_proto::messaging::v1::subscribe_response::Event;

use super::listener::{Listener, positions};
use super::talk::{group, send, text};
use crate::harness::prelude::*;
use crate::harness::{Clients, channel};

#[tokio::test]
async fn s44_a_slow_reader_is_cut_off_and_goes_on_where_they_were() {
    let world = World::own().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = group(&world, &ada, &[&bob]).await;
    let mut slow = Listener::of(&world, &ada).await;
    let mut quick = Listener::of(&world, &bob).await;
    // More than all buffers on the way hold together.
    let body = "x".repeat(16_000);
    for number in 0..600 {
        let asked = text(&id, &format!("{number} {body}"));
        send(&world, &bob, asked).await.expect("not sent");
        if number % 20 == 0 {
            quick.change(&id, number + 1).await;
        }
    }
    quick.change(&id, 600).await;
    assert_eq!(quick.changes(&id).len(), 600);

    slow.end().await.expect("a good end");
    let Some(Event::Resume(resume)) = slow.heard.last() else { panic!("no word of it: {:?}", slow.heard.last()) };
    assert_eq!(resume.reason(), ResumeReason::Slow);
    assert!((1000..3000).contains(&resume.retry_after_ms), "{resume:?}");
    let heard = slow.changes(&id);
    let last = heard.last().map_or(0, |change| change.change_seq);
    assert_eq!((heard.len() as i64, heard.first().map(|change| change.change_seq)), (last, Some(1)));
    assert!(last < 600, "{last}");
    let rest = Listener::with(&world, &ada, positions(&[(&id, last)])).await;
    let rest = rest.changes(&id);
    assert_eq!((rest.first().map(|change| change.change_seq), rest.len() as i64), (Some(last + 1), 600 - last));
    // Somebody who has missed everything, which is more than is read at once or than a stream's queue holds.
    let all = Listener::with(&world, &ada, positions(&[(&id, 0)])).await;
    assert_eq!(all.changes(&id).len(), 600);
    assert!(!all.heard.iter().any(|event| matches!(event, Event::Resume(_))));
}

#[tokio::test]
async fn s44_an_account_has_so_many_streams_at_an_instance_and_no_more() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let at = world.direct("messaging").first().copied().unwrap_or(world.gateway());
    // On several connections: each has room for some streams only.
    let clients = |person: &Person| Clients::new(channel(at), Some(&person.access_token));
    let mut streams = Vec::new();
    for _ in 0..10 {
        let hers = clients(&ada);
        for _ in 0..20 {
            streams.push(Listener::begin(&hers, SubscribeRequest::default()).await);
        }
    }
    let refused = refusal(clients(&ada).events().subscribe(SubscribeRequest::default()).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "RATE_LIMITED"));
    // They are hers alone, and one that ends makes room for another.
    Listener::begin(&clients(&bob), SubscribeRequest::default()).await;
    drop(streams.pop());
    let again = async || clients(&ada).events().subscribe(SubscribeRequest::default()).await.ok();
    eventually("there is room again", again).await;
}
