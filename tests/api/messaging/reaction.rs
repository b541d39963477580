//! G5: people react to messages.

use futures_util::future::join_all;

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
    let asked = SetReactionRequest { conversation_id, seq: message.seq, emoji, present, ..Default::default() };
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
async fn g5_a_message_has_at_most_twenty_kinds_of_reactions_three_of_them_one_accounts() {
    let world = World::shared().await;
    let names = ["ada", "bob", "carl", "dora", "eve", "finn", "gus", "hal"];
    let people = join_all(names.map(|name| world.sign_up(name))).await;
    let [ada, bob, ..] = people.as_slice() else { unreachable!() };
    let id = group(&world, ada, &people[1..].iter().collect::<Vec<_>>()).await;
    let sent = say(&world, ada, &id, "News").await;
    for number in 0..20 {
        react(&world, &people[number % 7], &sent, &format!("e{number}"), true).await.unwrap();
    }
    let refused = refusal(react(&world, &people[7], &sent, "another", true).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "REACTION_LIMIT_REACHED"));
    assert_eq!(refused.metadata["limit"], "20");
    react(&world, &people[7], &sent, "e7", true).await.unwrap();
    // Bob has three, and takes up no more of them, whatever is taken away.
    react(&world, ada, &sent, "e0", false).await.unwrap();
    for emoji in ["another", "e7"] {
        let refused = refusal(react(&world, bob, &sent, emoji, true).await);
        assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "REACTION_LIMIT_REACHED"));
        assert_eq!(refused.metadata["limit"], "3");
    }
    react(&world, bob, &sent, "e1", true).await.expect("it is there already");
    for emoji in ["", "two words", &"x".repeat(33)] {
        let refused = refusal(react(&world, bob, &sent, emoji, true).await);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["emoji".to_owned()]));
    }
    let asked = DeleteMessageRequest { conversation_id: id.clone(), seq: sent.seq };
    ada.messages(&world).delete_message(asked).await.unwrap();
    assert!(get(&world, bob, &id, sent.seq).await.unwrap().message.unwrap().reactions.is_empty());
    let refused = refusal(react(&world, bob, &sent, "e7", true).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "MESSAGE_DELETED"));
}

#[tokio::test]
async fn g5_s34_owners_take_away_the_reactions_of_others_and_nobody_else_does() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, &[&bob, &eve]).await;
    let sent = say(&world, &bob, &id, "News").await;
    react(&world, &eve, &sent, "rude", true).await.unwrap();
    let of = async |caller: &Person, whose: &str, present: bool| {
        let (conversation_id, seq, emoji) = (id.clone(), sent.seq, "rude".to_owned());
        let asked = SetReactionRequest { conversation_id, seq, emoji, present, account_id: whose.to_owned() };
        caller.messages(&world).set_reaction(asked).await
    };
    let refused = refusal(of(&bob, &eve.account_id, false).await);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::PermissionDenied, "CONVERSATION_RIGHT_MISSING"));
    let refused = refusal(of(&ada, &eve.account_id, true).await);
    assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["account_id".to_owned()]));
    assert_eq!(counted(&get(&world, &bob, &id, 1).await.unwrap().message.unwrap()).len(), 1);
    for _ in 0..2 {
        let seen = of(&ada, &eve.account_id, false).await.unwrap().into_inner().message.unwrap();
        assert!(counted(&seen).is_empty());
    }
    of(&eve, &eve.account_id, true).await.expect("one's own id is as none");
    // In a direct conversation nobody is the owner of anything.
    let pair = direct(&world, &ada, &bob).await;
    let sent = say(&world, &ada, &pair, "News").await;
    react(&world, &bob, &sent, "rude", true).await.unwrap();
    let asked = SetReactionRequest {
        conversation_id: pair,
        seq: sent.seq,
        emoji: "rude".to_owned(),
        present: false,
        account_id: bob.account_id.clone(),
    };
    let refused = refusal(ada.messages(&world).set_reaction(asked).await);
    assert_eq!(refused.reason, "CONVERSATION_RIGHT_MISSING");
}
