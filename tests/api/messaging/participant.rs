//! G10, G11, X18: who takes part in groups.

use super::meet::{addressed, bodies, direct, get, group, known, named, said, say, start, started, starting};
use crate::harness::prelude::*;

pub async fn add(world: &World, caller: &Person, id: &str, people: &[&Person]) -> Result<(Conversation, i32), Refusal> {
    let participants = people.iter().map(|person| named(person)).collect();
    let asked = AddParticipantsRequest { conversation_id: id.to_owned(), participants };
    let answer = caller.participants(world).add_participants(asked).await.map_err(Refusal::from)?.into_inner();
    Ok((answer.conversation.unwrap(), answer.added))
}

pub async fn remove(world: &World, caller: &Person, id: &str, person: &Person) -> Result<(), Refusal> {
    let asked = RemoveParticipantRequest { conversation_id: id.to_owned(), account_id: person.account_id.clone() };
    caller.participants(world).remove_participant(asked).await.map(drop).map_err(Refusal::from)
}

pub async fn leave(world: &World, person: &Person, id: &str) -> Result<(), Refusal> {
    let asked = LeaveConversationRequest { conversation_id: id.to_owned() };
    person.participants(world).leave_conversation(asked).await.map(drop).map_err(Refusal::from)
}

pub async fn set_role(
    world: &World,
    caller: &Person,
    id: &str,
    person: &Person,
    role: ParticipantRole,
) -> Result<(), Refusal> {
    let account_id = person.account_id.clone();
    let asked = SetParticipantRoleRequest { conversation_id: id.to_owned(), account_id, role: role.into() };
    caller.participants(world).set_participant_role(asked).await.map(drop).map_err(Refusal::from)
}

pub async fn participants(world: &World, caller: &Person, id: &str) -> Vec<Participant> {
    let asked = ListParticipantsRequest { conversation_id: id.to_owned(), page_size: 100, ..Default::default() };
    caller.participants(world).list_participants(asked).await.expect("no participants").into_inner().participants
}

/// Who takes part, as what.
async fn roles(world: &World, caller: &Person, id: &str) -> Vec<(String, ParticipantRole)> {
    let all = participants(world, caller, id).await;
    all.iter().map(|one| (one.account_id.clone(), one.role())).collect()
}

#[tokio::test]
async fn g10_x18_participants_are_listed_with_addresses_for_those_who_take_part() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &ada, &eve).await;
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    assert_eq!(add(&world, &bob, &id, &[&eve]).await.unwrap().1, 1, "any participant adds people");
    for person in [&ada, &bob] {
        let two = direct(&world, &eve, person).await.conversation_id;
        say(&world, person, &two, "Hello").await;
    }
    let all = participants(&world, &eve, &id).await;
    let seen: Vec<_> = all.iter().map(|one| (one.account_id.as_str(), one.email.as_str(), one.role())).collect();
    let mut expected = [
        (ada.account_id.as_str(), ada.email.as_str(), ParticipantRole::Owner),
        (bob.account_id.as_str(), bob.email.as_str(), ParticipantRole::Member),
        (eve.account_id.as_str(), eve.email.as_str(), ParticipantRole::Member),
    ];
    expected[..2].sort_by_key(|(id, ..)| *id);
    assert_eq!(seen, expected);
    let shown = get(&world, &eve, &id).await.unwrap().participants;
    assert!(shown.len() == 2 && shown.iter().all(|one| one.email.is_empty()), "{shown:?}");
    let mut asked = ListParticipantsRequest { conversation_id: id.clone(), page_size: 1, ..Default::default() };
    let mut paged = Vec::new();
    loop {
        let page = ada.participants(&world).list_participants(asked.clone()).await.unwrap().into_inner();
        assert_eq!((page.participants.len(), page.total_size), (1, 3));
        paged.extend(page.participants);
        asked.page_token = page.next_page_token;
        if asked.page_token.is_empty() {
            break;
        }
    }
    let ids = |all: &[Participant]| all.iter().map(|one| one.account_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&paged), ids(&all));
    let wrong = ListParticipantsRequest { page_size: -1, page_token: "x".to_owned(), ..asked };
    assert_eq!(refusal(ada.participants(&world).list_participants(wrong).await).fields, ["page_size", "page_token"]);
}

#[tokio::test]
async fn g11_who_comes_later_sees_what_is_written_from_then_on() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &eve, &ada).await;
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    say(&world, &ada, &id, "before").await;
    let (conversation, added) = add(&world, &bob, &id, &[&eve, &ada, &eve]).await.unwrap();
    assert_eq!((conversation.participant_count, added), (3, 1));
    assert_eq!(add(&world, &bob, &id, &[&eve]).await.unwrap().1, 0);
    let hers = get(&world, &eve, &id).await.unwrap();
    assert_eq!((hers.unread_count, hers.hidden_seq, hers.last_seq, hers.last_message), (0, 1, 1, None));
    say(&world, &bob, &id, "after").await;
    assert_eq!(bodies(&said(&world, &eve, &id).await), ["after"]);
    assert_eq!(get(&world, &eve, &id).await.unwrap().unread_count, 1);
    remove(&world, &ada, &id, &eve).await.unwrap();
    say(&world, &bob, &id, "without her").await;
    assert_eq!(add(&world, &ada, &id, &[&eve]).await.unwrap().1, 1);
    assert_eq!(bodies(&said(&world, &eve, &id).await), [""; 0], "who comes again starts anew");
    assert_eq!(bodies(&said(&world, &ada, &id).await), ["before", "after", "without her"]);
}

#[tokio::test]
async fn g11_owners_remove_people_and_make_owners() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    let id = group(&world, &ada, "Holiday", &[&bob, &eve]).await.conversation_id;
    let right = (Code::PermissionDenied, "CONVERSATION_RIGHT_MISSING");
    for outcome in [
        remove(&world, &bob, &id, &eve).await,
        remove(&world, &bob, &id, &bob).await,
        set_role(&world, &bob, &id, &bob, ParticipantRole::Owner).await,
    ] {
        assert_eq!(outcome.unwrap_err().is(), right);
    }
    let refused = set_role(&world, &ada, &id, &ada, ParticipantRole::Member).await.unwrap_err();
    assert_eq!(refused.is(), (Code::FailedPrecondition, "LAST_OWNER"));
    let refused = set_role(&world, &ada, &id, &bob, ParticipantRole::Unspecified).await.unwrap_err();
    assert_eq!(refused.fields, ["role"]);
    for _ in 0..2 {
        set_role(&world, &ada, &id, &bob, ParticipantRole::Owner).await.unwrap();
    }
    assert_eq!(get(&world, &bob, &id).await.unwrap().last_change, 1, "the second time nothing has changed");
    remove(&world, &bob, &id, &ada).await.unwrap();
    let stranger = (Code::NotFound, "PARTICIPANT_NOT_FOUND");
    assert_eq!(remove(&world, &bob, &id, &ada).await.unwrap_err().is(), stranger);
    assert_eq!(set_role(&world, &bob, &id, &ada, ParticipantRole::Owner).await.unwrap_err().is(), stranger);
    let left = [(bob.account_id.clone(), ParticipantRole::Owner), (eve.account_id.clone(), ParticipantRole::Member)];
    let mut roles = roles(&world, &eve, &id).await;
    roles.sort_by_key(|(account, _)| *account != bob.account_id);
    assert_eq!(roles, left);
}

#[tokio::test]
async fn g11_the_last_owner_who_leaves_hands_over_to_who_has_been_there_longest() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &eve, &ada).await;
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    add(&world, &ada, &id, &[&eve]).await.unwrap();
    leave(&world, &ada, &id).await.unwrap();
    assert_eq!(get(&world, &ada, &id).await.map_err(Refusal::from).unwrap_err().reason, "CONVERSATION_NOT_FOUND");
    let expected =
        [(bob.account_id.clone(), ParticipantRole::Owner), (eve.account_id.clone(), ParticipantRole::Member)];
    assert_eq!(roles(&world, &eve, &id).await, expected);
    remove(&world, &bob, &id, &bob).await.expect("an owner who takes themselves out leaves");
    assert_eq!(roles(&world, &eve, &id).await, [(eve.account_id.clone(), ParticipantRole::Owner)]);
    leave(&world, &eve, &id).await.unwrap();
    assert_eq!(leave(&world, &eve, &id).await.unwrap_err().reason, "CONVERSATION_NOT_FOUND");
}

#[tokio::test]
async fn g11_a_direct_conversation_stays_one_of_two() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &eve, &ada).await;
    let id = direct(&world, &ada, &bob).await.conversation_id;
    for outcome in [
        add(&world, &ada, &id, &[&eve]).await.map(drop),
        remove(&world, &ada, &id, &bob).await,
        leave(&world, &ada, &id).await,
        set_role(&world, &ada, &id, &bob, ParticipantRole::Owner).await,
    ] {
        assert_eq!(outcome.unwrap_err().is(), (Code::FailedPrecondition, "CONVERSATION_IS_DIRECT"));
    }
}

#[tokio::test]
async fn g11_people_are_added_by_address_and_all_of_them_or_none() {
    let world = World::shared().await;
    let (ada, bob, eve) = (world.sign_up("ada").await, world.sign_up("bob").await, world.sign_up("eve").await);
    known(&world, &eve, &ada).await;
    let id = group(&world, &ada, "Holiday", &[&bob]).await.conversation_id;
    let ask = async |participants| {
        let asked = AddParticipantsRequest { conversation_id: id.clone(), participants };
        ada.participants(&world).add_participants(asked).await.map(|answer| answer.into_inner().added)
    };
    let refused = refusal(ask(vec![addressed(&eve.email), addressed("nobody@example.com")]).await);
    assert_eq!(refused.is(), (Code::NotFound, "PERSON_NOT_FOUND"));
    assert_eq!(refused.metadata["persons"], "nobody@example.com");
    assert_eq!(get(&world, &ada, &id).await.unwrap().participant_count, 2);
    assert_eq!(
        refusal(ask(vec![addressed("x"), Default::default()]).await).fields,
        ["participants[0].email", "participants[1]"]
    );
    assert_eq!(ask(vec![addressed(&eve.email.to_uppercase())]).await.unwrap(), 1);
}

#[tokio::test]
async fn g1_s49_a_group_has_so_many_participants_and_no_more_however_they_come() {
    let world = World::with(&["--messaging-participants", "4"]).await;
    let ada = world.sign_up("ada").await;
    let mut people = Vec::new();
    for _ in 0..5 {
        let person = world.sign_up("guest").await;
        known(&world, &person, &ada).await;
        people.push(person);
    }
    let all: Vec<_> = people.iter().map(named).collect();
    let asked = starting(ConversationKind::Group, "Too many", all.clone());
    let refused = refusal(start(&world, &ada, asked).await);
    assert_eq!(refused.is(), (Code::ResourceExhausted, "PARTICIPANT_LIMIT_REACHED"));
    assert_eq!(refused.metadata["limit"], "4");
    let id = started(&world, &ada, starting(ConversationKind::Group, "", all[..1].to_vec())).await.conversation_id;
    let adds = people[1..].iter().map(async |person| add(&world, &ada, &id, &[person]).await);
    let adds = futures_util::future::join_all(adds).await;
    let refused: Vec<&str> = adds.iter().filter_map(|add| add.as_ref().err()).map(|it| it.reason.as_str()).collect();
    assert_eq!(refused, ["PARTICIPANT_LIMIT_REACHED"; 2]);
    assert_eq!(participants(&world, &ada, &id).await.len(), 4);
    assert_eq!(get(&world, &ada, &id).await.unwrap().participant_count, 4);
}
