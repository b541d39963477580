//! G5: people react to messages.

use super::talk::{direct, get, group, say};
use crate::harness::prelude::*;

async fn react(
    world: &World,
    person: &Person,
    message: &Message,
    emoji: &str,
    present: bool,
) -> Result<Message, tonic::Status> {
    let (conversation_id, emoji) = (message.conversation_id.clone(), emoji.to_owned());
    let asked = SetReactionRequest { conversation_id, seq: message.seq, emoji, present };
    person.messages(world).set_reaction(asked).await.map(|answer| answer.into_inner().message.unwrap())
}

fn counted(message: &Message) -> Vec<(String, i32, Vec<String>)> {
    let one = |reaction: &Reaction| (reaction.emoji.clone(), reaction.count, reaction.account_ids.clone());
    message.reactions.iter().map(one).collect()
}

#[tokio::test]
async fn g5_reactions_are_counted_by_kind_in_the_order_of_the_first() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob, &eve]).await;
    let sent = say(&world, &ada, &id, "News").await;
    react(&world, &bob, &sent, "👍", true).await.unwrap();
    react(&world, &bob, &sent, "👍", true).await.unwrap();
    react(&world, &ada, &sent, "wow", true).await.unwrap();
    let seen = react(&world, &eve, &sent, "👍", true).await.unwrap();
    let [ada_id, bob_id, eve_id] = [&ada, &bob, &eve].map(|person| person.account_id.clone());
    let expected =
        [("👍".to_owned(), 2, vec![bob_id.clone(), eve_id.clone()]), ("wow".to_owned(), 1, vec![ada_id.clone()])];
    assert_eq!(counted(&seen), expected);
    assert_eq!(seen.etag, sent.etag, "the text is the same");
    react(&world, &bob, &sent, "👍", false).await.unwrap();
    react(&world, &bob, &sent, "👍", false).await.unwrap();
    react(&world, &ada, &sent, "wow", false).await.unwrap();
    let seen = get(&world, &bob, &id, sent.seq).await.unwrap().message.unwrap();
    assert_eq!(counted(&seen), [("👍".to_owned(), 1, vec![eve_id])]);
}

#[tokio::test]
async fn g5_a_message_has_at_most_twenty_kinds_of_reactions() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    let sent = say(&world, &ada, &id, "News").await;
    for number in 0..20 {
        react(&world, &ada, &sent, &format!("e{number}"), true).await.unwrap();
    }
    let refused = refusal(react(&world, &bob, &sent, "another", true).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "REACTION_LIMIT_REACHED"));
    react(&world, &bob, &sent, "e7", true).await.unwrap();
    for emoji in ["", "two words", &"x".repeat(33)] {
        let refused = refusal(react(&world, &bob, &sent, emoji, true).await);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["emoji".to_owned()]));
    }
    let asked = DeleteMessageRequest { conversation_id: id.clone(), seq: sent.seq };
    ada.messages(&world).delete_message(asked).await.unwrap();
    assert!(get(&world, &bob, &id, sent.seq).await.unwrap().message.unwrap().reactions.is_empty());
    let refused = refusal(react(&world, &bob, &sent, "e7", true).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "MESSAGE_DELETED"));
}
