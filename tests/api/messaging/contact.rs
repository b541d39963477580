//! I21: the people with whom somebody shares a direct conversation.

use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;

use super::meet::{addressed, direct, group, say, start, starting};
use crate::harness::Bearer;
use crate::harness::prelude::*;

/// Gives somebody a name.
pub async fn call(world: &World, person: &Person, first_name: &str, last_name: &str) {
    let profile = Profile { first_name: first_name.to_owned(), last_name: last_name.to_owned(), ..Default::default() };
    let paths = vec!["first_name".to_owned(), "last_name".to_owned()];
    let asked = UpdateProfileRequest { profile: Some(profile), update_mask: Some(prost_types::FieldMask { paths }) };
    let mut profiles = ProfileServiceClient::new(Bearer::new(world.channel(), Some(&person.access_token)));
    profiles.update_profile(asked).await.expect("the name is refused");
}

async fn contacts(world: &World, person: &Person, page_size: i32, page_token: &str) -> ListContactsResponse {
    let asked = ListContactsRequest { page_size, page_token: page_token.to_owned() };
    person.conversations(world).list_contacts(asked).await.expect("no contacts").into_inner()
}

#[tokio::test]
async fn i21_contacts_are_listed_by_name_with_their_addresses() {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let mut people = Vec::new();
    let mut conversations = Vec::new();
    for (first, last) in [("zoe", "Last"), ("Änne", "Byron"), ("anna", "Zorn"), ("Bob", "")] {
        let person = world.sign_up("friend").await;
        call(&world, &person, first, last).await;
        let id = direct(&world, &ada, &person).await.conversation_id;
        say(&world, &person, &id, "Hello").await;
        conversations.push(id);
        people.push(person);
    }
    group(&world, &ada, "Holiday", &[&people[0], &world.sign_up("joe").await]).await;
    let expected = [("anna", "Zorn", 2), ("Änne", "Byron", 1), ("Bob", "", 3), ("zoe", "Last", 0)];
    let listed = eventually("the names are known", async || {
        let listed = contacts(&world, &ada, 0, "").await.contacts;
        let names = listed.iter().map(|each| each.person.as_ref().unwrap().first_name.as_str());
        names.eq(expected.iter().map(|(first, ..)| *first)).then_some(listed)
    })
    .await;
    for (contact, (first, last, at)) in listed.iter().zip(expected) {
        let shown = contact.person.as_ref().unwrap();
        assert_eq!((shown.first_name.as_str(), shown.last_name.as_str()), (first, last));
        assert_eq!((&shown.account_id, &shown.email), (&people[at].account_id, &people[at].email));
        assert_eq!(contact.conversation_id, conversations[at]);
    }
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page = contacts(&world, &ada, 3, &token).await;
        paged.extend(page.contacts);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, listed);
    let back = async || {
        let back = contacts(&world, &people[0], 0, "").await.contacts;
        assert_eq!(back.len(), 1, "who shares only a group is no contact");
        back[0].person.clone().unwrap()
    };
    let shown = back().await;
    assert_eq!((&shown.account_id, shown.email.as_str()), (&ada.account_id, ""), "she has not written to them");
    start(&world, &people[0], starting(ConversationKind::Direct, "", vec![addressed(&ada.email)])).await.unwrap();
    assert_eq!(back().await.email, ada.email, "they have named her by it");
    let wrong = ListContactsRequest { page_size: -1, page_token: "x".to_owned() };
    assert_eq!(refusal(ada.conversations(&world).list_contacts(wrong).await).fields, ["page_size", "page_token"]);
}
