//! K7: whose an invitation of an address is, and what it tells.

use super::class::{Class, Somebody, outcome};
use crate::harness::mail;
use crate::harness::prelude::*;
use crate::identity::email_change::mail_about;
use crate::identity::erasure::{completed, copied, delete};
use crate::identity::feed::move_address;

async fn invite(who: &Somebody, course_id: &str, ids: &[&str], emails: &[&str]) -> Result<i32, tonic::Status> {
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (account_ids, emails) = (text(ids), text(emails));
    let asked = InviteStudentsRequest { course_id: course_id.to_owned(), account_ids, emails };
    Ok(who.clients.enrolments().invite_students(asked).await?.into_inner().invited_count)
}

/// The address or the account of each, the newest first.
async fn open(who: &Somebody, course_id: &str) -> Vec<String> {
    let asked = ListInvitationsRequest { course_id: course_id.to_owned(), ..Default::default() };
    let found = who.clients.enrolments().list_invitations(asked).await.unwrap().into_inner().invitations;
    found.into_iter().map(|one| format!("{}{}", one.email, one.account_id)).collect()
}

async fn revoke(who: &Somebody, course_id: &str, email: &str) {
    let (course_id, email) = (course_id.to_owned(), email.to_owned());
    let asked = RevokeInvitationRequest { course_id, email, ..Default::default() };
    who.clients.enrolments().revoke_invitation(asked).await.unwrap();
}

/// Waits until the catalogue knows somebody, who is invited by that.
async fn known(owner: &Somebody, course_id: &str, account_id: &str) {
    eventually("the account is known", async || invite(owner, course_id, &[account_id], &[]).await.ok()).await;
}

pub async fn teacher(world: &World) -> Somebody {
    Somebody::with_role(world, &world.admin().await, "teacher").await
}

/// Where that can be done: a teacher who has not confirmed their address.
async fn unconfirmed_teacher(world: &World) -> Somebody {
    let registered = world.register("teacher").await;
    let mut person = world.sign_in(&registered.email, &registered.password).await;
    world.with_role_by(&world.admin().await, &person, "teacher").await;
    person.renewed(world.try_refresh(&person.refresh_token).await.unwrap());
    Somebody { clients: world.as_token(&person.access_token), person }
}

#[tokio::test]
async fn k7_s13_an_invitation_of_an_address_is_for_who_has_confirmed_it() {
    let world = World::with(&["--identity-require-verified-email", "false"]).await;
    let owner = unconfirmed_teacher(&world).await;
    let course = owner.course(EnrolmentPolicy::Invitation, "").await;
    let other = owner.course(EnrolmentPolicy::Invitation, "").await;
    let email = world.address("victim");
    assert_eq!(invite(&owner, &course, &[], &[&email]).await.unwrap(), 1);

    let asked = RegisterRequest { email: email.clone(), password: PASSWORD.to_owned() };
    world.accounts().register(asked).await.unwrap();
    let person = world.sign_in(&email, PASSWORD).await;
    let somebody = Somebody { clients: world.as_token(&person.access_token), person };
    // An invitation of the account is for whoever has it.
    known(&owner, &other, &somebody.id()).await;
    somebody.enrol(&other, "").await.unwrap();
    assert_eq!(outcome(somebody.enrol(&course, "").await), "INVITATION_MISSING", "they have only claimed the address");

    let mail = mail_about(&world, &email, "Activate your account").await;
    let proof = Some(activate_request::Proof::Token(mail::token(&mail)));
    somebody.clients.accounts().activate(ActivateRequest { email: email.clone(), proof }).await.unwrap();
    eventually("they have confirmed it", async || somebody.enrol(&course, "").await.ok()).await;
    assert_eq!(open(&owner, &course).await, [""; 0], "used up");
}

#[tokio::test]
async fn k7_i16_who_has_only_claimed_an_address_takes_no_invitation_of_it_along() {
    let world = World::with(&["--identity-require-verified-email", "false"]).await;
    let owner = unconfirmed_teacher(&world).await;
    let course = owner.course(EnrolmentPolicy::Invitation, "").await;
    let email = world.address("victim");
    invite(&owner, &course, &[], &[&email]).await.unwrap();
    let asked = RegisterRequest { email: email.clone(), password: PASSWORD.to_owned() };
    world.accounts().register(asked).await.unwrap();
    let mut squatter = world.sign_in(&email, PASSWORD).await;
    known(&owner, &owner.course(EnrolmentPolicy::Invitation, "").await, &squatter.account_id).await;
    move_address(&world, &mut squatter).await;
    copied(&world).await;
    let clients = world.as_token(&squatter.access_token);
    let squatter = Somebody { clients, person: squatter };
    assert_eq!(outcome(squatter.enrol(&course, "").await), "INVITATION_MISSING");
    completed(&world, &delete(&world, &squatter.person).await).await;
    assert_eq!(open(&owner, &course).await, [email], "it is still for who reads the address's mail");
}

#[tokio::test]
async fn k7_s10_an_invitation_of_an_address_does_not_tell_whose_it_was() {
    let world = World::own().await;
    let owner = teacher(&world).await;
    let mut ada = world.sign_up("ada").await;
    copied(&world).await;
    let mut courses = Vec::new();
    for _ in 0..3 {
        courses.push(owner.course(EnrolmentPolicy::Invitation, "").await);
    }
    let old = ada.email.clone();
    for course in &courses {
        invite(&owner, course, &[], &[&old]).await.unwrap();
    }
    // In one she is invited by her account, too.
    invite(&owner, &courses[2], &[&ada.account_id], &[]).await.unwrap();
    let before = open(&owner, &courses[2]).await;
    move_address(&world, &mut ada).await;
    copied(&world).await;
    assert_eq!(open(&owner, &courses[0]).await, std::slice::from_ref(&old), "to the owner nothing has changed");
    assert_eq!(open(&owner, &courses[2]).await, before);

    // It has followed her, and not the address.
    let asked = RegisterRequest { email: old.clone(), password: PASSWORD.to_owned() };
    world.accounts().register(asked).await.unwrap();
    let mail = mail_about(&world, &old, "Activate your account").await;
    let proof = Some(activate_request::Proof::Token(mail::token(&mail)));
    world.accounts().activate(ActivateRequest { email: old.clone(), proof }).await.unwrap();
    let next = world.sign_in(&old, PASSWORD).await;
    known(&owner, &owner.course(EnrolmentPolicy::Invitation, "").await, &next.account_id).await;
    let next = Somebody { clients: world.as_token(&next.access_token), person: next };
    let ada = Somebody { clients: world.as_token(&ada.access_token), person: ada };
    assert_eq!(outcome(next.enrol(&courses[0], "").await), "INVITATION_MISSING");
    ada.enrol(&courses[0], "").await.unwrap();
    assert_eq!(open(&owner, &courses[0]).await, [""; 0], "used up");
    // What was invited by the address is revoked by it.
    revoke(&owner, &courses[1], &old).await;
    assert_eq!(outcome(ada.enrol(&courses[1], "").await), "INVITATION_MISSING");
    // And it goes with her.
    completed(&world, &delete(&world, &ada.person).await).await;
    assert_eq!(open(&owner, &courses[2]).await, [""; 0]);
}

#[tokio::test]
async fn k9_who_is_made_a_teacher_needs_no_invitation_and_in_the_archive_nobody_is() {
    let world = World::own().await;
    let class = Class::new(&world).await;
    let (owner, course) = (&class.owner, class.course.as_str());
    copied(&world).await;
    let email = class.stranger.person.email.as_str();
    invite(owner, course, &[&class.stranger.id()], &[email]).await.unwrap();
    let add = async |person: &Somebody| {
        let asked = AddTeacherRequest { course_id: course.to_owned(), account_id: person.id() };
        outcome(owner.clients.course_teachers().add_teacher(asked).await)
    };
    assert_eq!(add(&class.stranger).await, "ok");
    assert_eq!(open(owner, course).await, [email], "that this went would tell whose the address is");
    owner.set_state(course, PublicationState::Archived).await;
    assert_eq!(add(&class.elsewhere).await, "COURSE_ARCHIVED");
    let asked = TransferCourseRequest { course_id: course.to_owned(), account_id: class.co.id() };
    owner.clients.course_teachers().transfer_course(asked).await.unwrap();
}
