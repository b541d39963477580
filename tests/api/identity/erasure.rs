//! An account is deleted, and nothing of it is left anywhere.

use quartet_proto::identity::v1::erasure_service_client::ErasureServiceClient;
use quartet_proto::identity::v1::profile_service_client::ProfileServiceClient;

use crate::harness::Bearer;
use crate::harness::prelude::*;
use crate::identity::email_change::mail_about;
use crate::identity::feed::{move_address, service};
use crate::media::{project, uploaded, video};

/// Deletes somebody's account.
pub async fn delete(world: &World, person: &Person) -> DeleteAccountResponse {
    let asked = DeleteAccountRequest { password: person.password.clone() };
    person.accounts(world).delete_account(asked).await.expect("not deleted").into_inner()
}

/// Asks how far an erasure has come.
pub async fn look(world: &World, begun: &DeleteAccountResponse) -> Result<GetErasureResponse, tonic::Status> {
    let DeleteAccountResponse { erasure_id, secret } = begun.clone();
    let mut erasures = ErasureServiceClient::new(Bearer::new(world.channel(), None));
    erasures.get_erasure(GetErasureRequest { erasure_id, secret }).await.map(tonic::Response::into_inner)
}

/// Waits until an erasure is complete.
pub async fn completed(world: &World, begun: &DeleteAccountResponse) -> GetErasureResponse {
    eventually("the erasure is complete", async || {
        let told = look(world, begun).await.ok()?;
        (told.state() == ErasureState::Complete).then_some(told)
    })
    .await
}

/// Waits until the other services know everything that identity has told of accounts so far.
pub async fn copied(world: &World) {
    let told = world.number("identity", "select number from feed where name = 'account'").await;
    for service in ["catalogue", "media", "messaging"] {
        eventually(&format!("{service} knows"), async || {
            let read = world.number(service, "select number from account_cursor where name = 'account'").await;
            (read >= told).then_some(())
        })
        .await;
    }
}

pub fn removed(told: &GetErasureResponse, context: &str, kind: &str) -> i32 {
    let context = told.contexts.iter().find(|one| one.context == context).expect("no such context");
    context.removed.iter().find(|one| one.kind == kind).map_or(0, |one| one.count)
}

async fn report(world: &World, name: &str, asked: ReportErasureRequest) -> Result<(), tonic::Status> {
    let mut request = Request::new(asked);
    let bearer = format!("Bearer {}", world.service_token_of(name, "identity"));
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    ErasureServiceClient::new(service(world, 0)).report_erasure(request).await.map(drop)
}

/// Somebody who has left traces wherever one can.
async fn busy(world: &World) -> (Person, String) {
    let mut ada = world.sign_up("Ada.Byron").await;
    let former = ada.email.clone();
    move_address(world, &mut ada).await;
    ada = world.sign_in(&ada.email, PASSWORD).await;
    world.with_role(&mut ada, "teacher").await;
    world.try_sign_in(&ada.email, "Wrong1!guess").await.expect_err("a wrong password");
    let asked = RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(asked).await.unwrap();
    let mut profiles = ProfileServiceClient::new(Bearer::new(world.channel(), Some(&ada.access_token)));
    let profile = Profile { first_name: "Ada".into(), last_name: "Byron".into(), ..Default::default() };
    let paths = vec!["first_name".to_owned(), "last_name".to_owned()];
    let asked = UpdateProfileRequest { profile: Some(profile), update_mask: Some(prost_types::FieldMask { paths }) };
    profiles.update_profile(asked).await.unwrap();
    copied(world).await;
    let about = project(world, &ada, "About me").await;
    let bytes = ada.email.as_bytes();
    uploaded(world, &ada, video(&about.project_id, &ada.email, bytes), bytes).await;
    eventually("both mails", async || (world.mails(&ada.email).await.len() >= 2).then_some(())).await;
    mail_about(world, &former, "Your address was changed").await;
    (ada, former)
}

#[tokio::test]
async fn i16_s15_after_an_erasure_nothing_anywhere_holds_the_address_or_the_id() {
    let world = World::own().await;
    let (ada, former) = busy(&world).await;
    let bob = world.sign_up("bob").await;
    copied(&world).await;
    let before = world.stored().await;
    let traces = before.traces(&ada.email, &ada.account_id);
    let of_bob = before.traces(&bob.email, &bob.account_id);
    for place in [
        "identity's tables: address",
        "identity's tables: id",
        "catalogue's tables: address",
        "catalogue's tables: id",
        "media's tables: address",
        "media's tables: id",
    ] {
        assert!(traces.iter().any(|trace| trace == place), "{place} is not in {traces:?}");
    }
    let object = |trace: &&String| trace.ends_with(": address") && !trace.contains("tables") && !trace.contains(".eml");
    assert!(traces.iter().any(|trace| object(&trace)), "what was uploaded is an object: {traces:?}");
    let earlier = before.traces(&former, &ada.account_id);
    for place in ["identity's tables: address", ".eml: address"] {
        assert!(earlier.iter().any(|trace| trace.ends_with(place)), "{place} is not in {earlier:?}");
    }
    if world.is_fleet() {
        assert!(traces.iter().any(|trace| trace == "redis: id"), "her role has changed: {traces:?}");
    }
    assert!(of_bob.iter().any(|trace| trace.contains(".eml: address")), "a mail is a file: {of_bob:?}");

    let begun = delete(&world, &ada).await;
    let told = completed(&world, &begun).await;
    let contexts: Vec<&str> = told.contexts.iter().map(|one| one.context.as_str()).collect();
    assert_eq!(contexts, ["catalogue", "identity", "media", "messaging"]);
    let of_media = ["account", "project", "media", "object"].map(|kind| removed(&told, "media", kind));
    assert_eq!(of_media, [1, 1, 1, 1], "{told:?}");
    assert_eq!(["catalogue", "messaging"].map(|name| removed(&told, name, "account")), [1, 1], "{told:?}");
    let own = ["account", "profile", "role"].map(|kind| removed(&told, "identity", kind));
    assert_eq!(own, [1, 1, 2], "{told:?}");
    // Mails that were sent have left nothing behind by then.
    for kind in ["session", "challenge", "revocation"] {
        assert!(removed(&told, "identity", kind) >= 1, "{kind}: {told:?}");
    }
    assert!(told.complete_time.is_some() && told.contexts.iter().all(|one| one.done));

    let after = world.stored().await;
    assert_eq!(after.traces(&ada.email, &ada.account_id), [""; 0]);
    assert_eq!(after.traces(&former, &ada.account_id), [""; 0]);
    let still = after.traces(&bob.email, &bob.account_id);
    for trace in of_bob.iter().filter(|trace| trace.contains("tables") || trace.contains(".eml")) {
        assert!(still.contains(trace), "bob's are still there: {trace} is not in {still:?}");
    }

    let refused = refusal(ada.accounts(&world).get_me(GetMeRequest {}).await);
    assert_eq!(refused.is(), (Code::Unauthenticated, "SESSION_REVOKED"));
    assert_eq!(refusal(world.try_sign_in(&ada.email, PASSWORD).await).reason, "CREDENTIALS_INVALID");
    refusal(world.try_refresh(&ada.refresh_token).await);
    let asked = RegisterRequest { email: ada.email.clone(), password: PASSWORD.into() };
    let anew = world.accounts().register(asked).await.expect("the address is free").into_inner();
    assert_ne!(anew.account_id, ada.account_id, "an id is never used again");
}

#[tokio::test]
async fn i16_s32_an_erasure_waits_for_each_context_and_is_shown_to_who_knows_its_secret() {
    let world = World::with(&["--identity-erasure-contexts", "catalogue,media,messaging,archive"]).await;
    let ada = world.sign_up("ada").await;
    copied(&world).await;
    let begun = delete(&world, &ada).await;
    let told = eventually("the others have reported", async || {
        let told = look(&world, &begun).await.unwrap();
        let done = |name: &str| told.contexts.iter().any(|one| one.context == name && one.done);
        (done("catalogue") && done("media") && done("messaging")).then_some(told)
    })
    .await;
    assert_eq!(told.state(), ErasureState::InProgress);
    let done: Vec<_> = told.contexts.iter().map(|one| (one.context.as_str(), one.done)).collect();
    let services = [("catalogue", true), ("identity", false), ("media", true), ("messaging", true)];
    assert_eq!(done, [&[("archive", false)], services.as_slice()].concat());
    let goodbye = world.last_mail(&ada.email).await;
    assert_eq!(goodbye.subject, "Your account is being deleted");

    // Meanwhile the account is gone for everybody, and its address is not free yet.
    assert_eq!(refusal(world.try_sign_in(&ada.email, PASSWORD).await).reason, "CREDENTIALS_INVALID");
    let asked = RegisterRequest { email: ada.email.clone(), password: PASSWORD.into() };
    assert_eq!(refusal(world.accounts().register(asked).await).reason, "EMAIL_TAKEN");
    let mails = world.mails(&ada.email).await.len();
    let asked = RequestPasswordResetRequest { email: ada.email.clone() };
    world.accounts().request_password_reset(asked).await.unwrap();
    assert_eq!(world.mails(&ada.email).await.len(), mails, "no mail but the last one");

    let eve = world.sign_up("eve").await;
    let other = delete(&world, &eve).await;
    for (erasure_id, secret) in [
        (&begun.erasure_id, &other.secret),
        (&other.erasure_id, &begun.secret),
        (&begun.erasure_id, &String::new()),
        (&"nothing".to_owned(), &begun.secret),
        (&ada.account_id, &begun.secret),
    ] {
        let wrong = DeleteAccountResponse { erasure_id: erasure_id.clone(), secret: secret.clone() };
        let refused = refusal(look(&world, &wrong).await);
        assert_eq!(refused.is(), (Code::NotFound, "ERASURE_NOT_FOUND"));
    }

    let asked = |count| ReportErasureRequest {
        erasure_id: begun.erasure_id.clone(),
        context: "archive".to_owned(),
        removed: vec![Removed { kind: "object".to_owned(), count }],
    };
    let refused = refusal(report(&world, "media", asked(9)).await);
    assert_eq!(refused.is(), (Code::PermissionDenied, "SCOPE_MISSING"), "the archive alone speaks for the archive");
    let as_identity = ReportErasureRequest { context: "identity".to_owned(), ..asked(9) };
    assert_eq!(refusal(report(&world, "identity", as_identity).await).reason, "ERASURE_NOT_FOUND");
    let unknown = ReportErasureRequest { erasure_id: ada.account_id.clone(), ..asked(9) };
    assert_eq!(refusal(report(&world, "archive", unknown).await).reason, "ERASURE_NOT_FOUND");
    assert_eq!(refusal(report(&world, "archive", asked(-1)).await).fields, ["removed"]);
    report(&world, "archive", asked(3)).await.unwrap();
    report(&world, "archive", asked(4)).await.expect("told again, it changes nothing");
    let told = completed(&world, &begun).await;
    assert_eq!(removed(&told, "archive", "object"), 3);
    assert_eq!(world.mails(&ada.email).await, [], "the goodbye is gone, too");
    assert_eq!(look(&world, &other).await.unwrap().state(), ErasureState::InProgress, "each for itself");
}

#[tokio::test]
async fn i16_identity_alone_erases_where_nobody_else_has_to() {
    let world = World::with(&["--identity-erasure-contexts="]).await;
    let ada = world.sign_up("ada").await;
    let begun = delete(&world, &ada).await;
    completed(&world, &begun).await;
}

#[tokio::test]
async fn i16_a_context_that_was_down_when_it_was_asked_carries_it_out_afterwards() {
    let mut world = World::own().await;
    if world.is_embedded() {
        return;
    }
    let ada = world.sign_up("ada").await;
    copied(&world).await;
    world.fleet_mut().catalogue.kill().await;

    let begun = delete(&world, &ada).await;
    let told = look(&world, &begun).await.unwrap();
    // The others may have reported by now.
    assert_eq!(told.state(), ErasureState::InProgress, "{told:?}");
    assert!(told.contexts.iter().any(|one| one.context == "catalogue" && !one.done), "{told:?}");
    assert_eq!(world.last_mail(&ada.email).await.subject, "Your account is being deleted");

    world.fleet_mut().catalogue.restart().await;
    let told = completed(&world, &begun).await;
    assert_eq!(removed(&told, "catalogue", "account"), 1);
    assert_eq!(world.stored().await.traces(&ada.email, &ada.account_id), [""; 0]);
}
