//! G2, G8, G9: the list of somebody's conversations.

use super::meet::{direct, get, group, read, say};
use crate::harness::prelude::*;

async fn list(world: &World, person: &Person, asked: ListConversationsRequest) -> ListConversationsResponse {
    person.conversations(world).list_conversations(asked).await.expect("no list").into_inner()
}

fn ids(list: &ListConversationsResponse) -> Vec<&str> {
    list.conversations.iter().map(|conversation| conversation.conversation_id.as_str()).collect()
}

fn filtered(filter: ConversationFilter) -> ListConversationsRequest {
    ListConversationsRequest { filter: filter.into(), ..Default::default() }
}

async fn pin(world: &World, person: &Person, id: &str, pinned: bool) -> Result<Conversation, tonic::Status> {
    let asked = SetPinnedRequest { conversation_id: id.to_owned(), pinned };
    Ok(person.conversations(world).set_pinned(asked).await?.into_inner().conversation.unwrap())
}

async fn favor(world: &World, person: &Person, id: &str, favorite: bool) -> Conversation {
    let asked = SetFavoriteRequest { conversation_id: id.to_owned(), favorite };
    person.conversations(world).set_favorite(asked).await.unwrap().into_inner().conversation.unwrap()
}

/// Groups of two people, the one that was started last at the end.
async fn groups(world: &World, ada: &Person, bob: &Person, count: usize) -> Vec<String> {
    let mut groups = Vec::new();
    for number in 0..count {
        groups.push(group(world, ada, &format!("Group {number}"), &[bob]).await.conversation_id);
    }
    groups
}

#[tokio::test]
async fn g2_the_list_has_the_pinned_ones_first_then_where_something_was_said_last() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let groups = groups(&world, &ada, &bob, 4).await;
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| groups[at].as_str());
    assert_eq!(ids(&list(&world, &ada, Default::default()).await), [d, c, b, a]);
    say(&world, &bob, b, "Hello").await;
    let listed = list(&world, &ada, Default::default()).await;
    assert_eq!(ids(&listed), [b, d, c, a]);
    let shown = &listed.conversations[0];
    assert_eq!((shown.last_message.as_ref().unwrap().body.as_str(), shown.unread_count), ("Hello", 1));
    assert_eq!(listed.conversations[1].last_message, None);
    pin(&world, &ada, a, true).await.unwrap();
    pin(&world, &ada, d, true).await.unwrap();
    assert_eq!(ids(&list(&world, &ada, Default::default()).await), [a, d, b, c]);
    assert_eq!(ids(&list(&world, &bob, Default::default()).await), [b, d, c, a], "what is pinned is one's own");
    for size in 1..=4 {
        let mut asked = ListConversationsRequest { page_size: size, ..Default::default() };
        let mut paged: Vec<String> = Vec::new();
        loop {
            let page = list(&world, &ada, asked.clone()).await;
            assert!(page.conversations.len() <= size as usize);
            paged.extend(ids(&page).into_iter().map(str::to_owned));
            asked.page_token = page.next_page_token;
            if asked.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(paged, [a, d, b, c]);
    }
    let first = list(&world, &ada, ListConversationsRequest { page_size: 1, ..Default::default() }).await;
    let wrong = ListConversationsRequest {
        filter: ConversationFilter::Pinned.into(),
        page_size: -1,
        page_token: first.next_page_token,
    };
    let refused = refusal(ada.conversations(&world).list_conversations(wrong).await);
    assert_eq!(refused.fields, ["page_size", "page_token"]);
    let wrong = ListConversationsRequest { filter: 9, ..Default::default() };
    assert_eq!(refusal(ada.conversations(&world).list_conversations(wrong).await).fields, ["filter"]);
}

#[tokio::test]
async fn g2_the_list_is_of_what_is_unread_if_that_is_asked_for() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let groups = groups(&world, &ada, &bob, 3).await;
    for id in &groups[..2] {
        say(&world, &ada, id, "Hello").await;
    }
    let unread = list(&world, &bob, filtered(ConversationFilter::Unread)).await;
    assert_eq!(ids(&unread), [&groups[1], &groups[0]]);
    read(&world, &bob, &groups[1]).await;
    let asked = ClearHistoryRequest { conversation_id: groups[0].clone(), up_to_seq: 0 };
    bob.conversations(&world).clear_history(asked).await.unwrap();
    assert_eq!(ids(&list(&world, &bob, filtered(ConversationFilter::Unread)).await), [""; 0]);
}

#[tokio::test]
async fn g8_favourites_are_ones_own_and_asked_for_twice_the_same() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let one = direct(&world, &ada, &bob).await.conversation_id;
    let other = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    for _ in 0..2 {
        assert!(favor(&world, &ada, &one, true).await.favorite);
    }
    assert!(get(&world, &ada, &one).await.unwrap().favorite);
    assert!(!get(&world, &bob, &one).await.unwrap().favorite && !get(&world, &ada, &other).await.unwrap().favorite);
    assert_eq!(ids(&list(&world, &ada, filtered(ConversationFilter::Favorite)).await), [one.as_str()]);
    assert_eq!(ids(&list(&world, &bob, filtered(ConversationFilter::Favorite)).await), [""; 0]);
    for _ in 0..2 {
        assert!(!favor(&world, &ada, &one, false).await.favorite);
    }
    assert_eq!(ids(&list(&world, &ada, filtered(ConversationFilter::Favorite)).await), [""; 0]);
}

#[tokio::test]
async fn g9_pins_keep_their_order_and_are_fifty_at_most() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let groups = groups(&world, &ada, &bob, 51).await;
    for id in [&groups[2], &groups[0], &groups[1], &groups[2]] {
        assert!(pin(&world, &ada, id, true).await.unwrap().pinned);
    }
    let pinned = list(&world, &ada, filtered(ConversationFilter::Pinned)).await;
    assert_eq!(ids(&pinned), [&groups[2], &groups[0], &groups[1]], "pinned again it stays where it is");
    for _ in 0..2 {
        assert!(!pin(&world, &ada, &groups[0], false).await.unwrap().pinned);
    }
    pin(&world, &ada, &groups[0], true).await.unwrap();
    let pinned = list(&world, &ada, filtered(ConversationFilter::Pinned)).await;
    assert_eq!(ids(&pinned), [&groups[2], &groups[1], &groups[0]]);
    for id in &groups[3..48] {
        pin(&world, &ada, id, true).await.unwrap();
    }
    let rest = groups[48..].iter().map(|id| pin(&world, &ada, id, true));
    let rest = futures_util::future::join_all(rest).await;
    let refused: Vec<Refusal> = rest.into_iter().filter_map(Result::err).map(Refusal::from).collect();
    assert_eq!(refused.len(), 1, "all at once are fifty all the same");
    assert_eq!(refused[0].is(), (Code::ResourceExhausted, "PIN_LIMIT_REACHED"));
    let asked = ListConversationsRequest { page_size: 100, ..filtered(ConversationFilter::Pinned) };
    assert_eq!(list(&world, &ada, asked).await.conversations.len(), 50);
}
