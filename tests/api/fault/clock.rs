//! Clocks that are wrong: ahead, behind, put back, and apart from each other.

use std::collections::BTreeSet;

use quartet_proto::control::v1::MoveClockRequest;
use quartet_proto::control::v1::control_service_client::ControlServiceClient;
use quartet_proto::identity::v1::account_feed_service_client::AccountFeedServiceClient;
use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;

use crate::harness::prelude::*;
use crate::harness::{Bearer, Fleet, Postgres, Process, channel, mail};

const HOUR: i64 = 3_600_000;

/// Moves the clock of one process.
async fn shift(process: &Process, milliseconds: i64) {
    let step = MoveClockRequest { offset_milliseconds: milliseconds };
    ControlServiceClient::new(channel(process.started.control)).move_clock(step).await.unwrap();
}

/// A fleet whose processes have a clock each.
async fn apart() -> Option<World> {
    if World::shared().await.is_embedded() {
        return None;
    }
    Some(World::from_fleet(Fleet::start_apart(Postgres::of_this_run(), &[]).await))
}

/// One instance of identity, and each of the other roles.
fn services(world: &World) -> [(&'static str, &Process); 3] {
    let fleet = world.fleet().unwrap();
    [("identity", &fleet.identities[1]), ("catalogue", &fleet.catalogue), ("gateway", &fleet.gateway)]
}

/// Everything that depends on time, so often that each instance of identity gets its share.
async fn day_in_the_life(world: &World, name: &str) {
    for _ in 0..4 {
        let mut person = world.sign_up(name).await;
        let asked = RequestPasswordResetRequest { email: person.email.clone() };
        world.accounts().request_password_reset(asked).await.unwrap();
        for _ in 0..4 {
            person.accounts(world).get_me(GetMeRequest {}).await.unwrap();
            let renewed = world.try_refresh(&person.refresh_token).await.unwrap();
            person.renewed(renewed);
        }
        // The last mail by its number need not be the last by time: an instance whose clock was put back numbers on from before.
        let mail = eventually("the reset's mail", async || {
            let mails = world.mails(&person.email).await;
            mails.into_iter().find(|mail| mail.subject == "Reset your password")
        })
        .await;
        let code = mail::code(&mail);
        let asked = VerifyResetCodeRequest { email: person.email.clone(), code };
        let granted = world.accounts().verify_reset_code(asked).await.unwrap().into_inner();
        let proof = Some(complete_password_reset_request::Proof::ResetGrant(granted.reset_grant));
        let asked = CompletePasswordResetRequest { email: person.email.clone(), proof, password: PASSWORD.into() };
        world.accounts().complete_password_reset(asked).await.unwrap();
        let person = world.sign_in(&person.email, PASSWORD).await;
        person.sessions(world).sign_out(SignOutRequest {}).await.unwrap();
        refusal(person.accounts(world).get_me(GetMeRequest {}).await);
    }
    let mut admin = world.sign_up("admin").await;
    world.with_role(&mut admin, "moderator").await;
    let content = bytes::Bytes::from_static(b"names\n");
    let sent = admin.imports(world).import_movies(tokio_stream::once(ImportMoviesRequest { content })).await;
    let refused = refusal(sent);
    assert_eq!(refused.code, Code::InvalidArgument, "the catalogue knows the token: {refused:?}");
}

#[tokio::test]
async fn f15_clocks_that_are_less_than_half_a_minute_apart_refuse_nobody() {
    let Some(world) = apart().await else { return };
    for (name, process) in services(&world) {
        for skew in [2_000, -2_000, 28_000, -28_000] {
            eprintln!("{name} {skew}");
            shift(process, skew).await;
            day_in_the_life(&world, name).await;
            shift(process, -skew).await;
        }
    }
}

#[tokio::test]
async fn f15_a_service_whose_clock_is_wrong_by_an_hour_or_a_day_signs_nobody_out() {
    let Some(world) = apart().await else { return };
    let mut people = Vec::new();
    for _ in 0..6 {
        people.push(world.sign_up("skewed").await);
    }
    for (name, process) in services(&world) {
        for skew in [HOUR, -HOUR, 24 * HOUR, -HOUR / 6] {
            shift(process, skew).await;
            for person in &mut people {
                // A token that this service takes for an old or a future one is renewed, and the renewal always goes well.
                if let Err(status) = person.accounts(&world).get_me(GetMeRequest {}).await {
                    assert_eq!(status.code(), Code::Unauthenticated, "{name} {skew}: {status:?}");
                }
                match world.try_refresh(&person.refresh_token).await {
                    Ok(renewed) => person.renewed(renewed),
                    Err(status) => panic!("{name} {skew}: {status:?}"),
                }
            }
            shift(process, -skew).await;
            for person in &mut people {
                let renewed = world.try_refresh(&person.refresh_token).await;
                person.renewed(renewed.unwrap_or_else(|status| panic!("{name} {skew}, set right: {status:?}")));
                person.accounts(&world).get_me(GetMeRequest {}).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn f15_a_code_lives_its_quarter_of_an_hour_on_each_of_two_instances_that_drift_apart() {
    let Some(world) = apart().await else { return };
    let fleet = world.fleet().unwrap();
    shift(&fleet.identities[1], 2_000).await;
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let registered = world.register("drift").await;
        let code = world.mail_code(&registered.email).await;
        waiting.push((registered.email, code));
    }
    for process in fleet.processes() {
        shift(process, 14 * 60_000 + 30_000).await;
    }
    for (email, code) in waiting {
        let proof = Some(activate_request::Proof::Code(code));
        world.accounts().activate(ActivateRequest { email, proof }).await.unwrap();
    }
}

#[tokio::test]
async fn f15_a_clock_that_is_put_back_signs_nobody_out_and_gives_no_id_twice() {
    let world = World::own().await;
    let mut ada = world.sign_up("ada").await;
    let mut ids = BTreeSet::from([ada.account_id.clone(), ada.session_id.clone()]);
    let waiting = world.register("waiting").await;
    let code = world.mail_code(&waiting.email).await;
    for step in [-HOUR / 6, HOUR, -HOUR] {
        let step = MoveClockRequest { offset_milliseconds: step };
        world.control().move_clock(step).await.unwrap();
        let renewed = world.try_refresh(&ada.refresh_token).await.expect("still signed in");
        ada.renewed(renewed);
        ada.accounts(&world).get_me(GetMeRequest {}).await.unwrap();
        for _ in 0..10 {
            let one = world.sign_up("one").await;
            assert!(ids.insert(one.account_id) && ids.insert(one.session_id), "an id came twice");
        }
    }
    let proof = Some(activate_request::Proof::Code(code));
    world.accounts().activate(ActivateRequest { email: waiting.email, proof }).await.expect("not over yet");
}

#[tokio::test]
async fn f15_changes_have_the_order_of_their_numbers_whatever_the_clock_says() {
    let world = World::own().await;
    let mut ada = world.sign_up("ada").await;
    let mut numbers = Vec::new();
    let Some(identity) = world.direct("identity").first().copied() else { return };
    let token = world.service_token("identity");
    for turn in 0..5 {
        let profile = Profile { first_name: format!("Ada {turn}"), ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["first_name".into()] });
        // A token of a minute ahead is none.
        let renewed = world.try_refresh(&ada.refresh_token).await.unwrap();
        ada.renewed(renewed);
        let mut profiles = ProfileServiceClient::new(Bearer::new(world.channel(), Some(&ada.access_token)));
        profiles.update_profile(UpdateProfileRequest { profile: Some(profile), update_mask }).await.unwrap();
        let mut feed = AccountFeedServiceClient::new(Bearer::new(channel(identity), Some(&token)));
        let mut changes = feed.watch(WatchRequest { after: 0 }).await.unwrap().into_inner();
        let change = loop {
            let next = changes.message().await.unwrap().expect("the stream goes on");
            if let Some(change) = next.changes.into_iter().find(|change| change.account_id == ada.account_id) {
                break change;
            }
        };
        assert_eq!(change.first_name, format!("Ada {turn}"));
        numbers.push(change.number);
        let step = MoveClockRequest { offset_milliseconds: -60_000 };
        world.control().move_clock(step).await.unwrap();
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}
