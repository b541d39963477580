//! What an outbox does while its process ends: no mail is lost, and one may come twice only where the process ended between sending it
//! and noting that.

use std::collections::BTreeMap;

use crate::harness::prelude::*;
use crate::harness::smtp::{Reply, Smtp};

/// Registers somebody in a process that ends at this point of its outbox, and counts the mails that come.
async fn mails(fault: Fault, skip: i32) -> Option<usize> {
    let smtp = Smtp::on(0, |_, _| Reply::Usual).await;
    let port = smtp.port.to_string();
    let flags = ["--smtp-host", "127.0.0.1", "--smtp-port", &port, "--smtp-tls", "none"];
    let world = World::lone(&flags).await;
    let email = world.address("twice");
    let asked = RegisterRequest { email: email.clone(), password: PASSWORD.into() };
    world.process().aim(fault, "", skip).await;
    let registered = world.accounts().register(asked.clone()).await;
    let ended = eventually("the end, or nothing to wait for", async || {
        if world.control().list_mails(quartet_proto::control::v1::ListMailsRequest::default()).await.is_err() {
            return Some(true);
        }
        (!smtp.taken(&email).is_empty()).then_some(false)
    })
    .await;
    if !ended {
        return None;
    }
    world.process().revive().await;
    if registered.is_err()
        && let Err(status) = world.accounts().register(asked).await
    {
        assert_eq!(Refusal::from(status).reason, "EMAIL_TAKEN");
    }
    // What the dead process was at is free again after a while.
    let first = smtp.mail(&world, &email).await;
    world.process().outlive_leases().await;
    // Answered once nothing waits any more.
    world.mails("").await;
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for mail in smtp.taken(&email) {
        *copies.entry(mail.header("Message-ID")[0].to_owned()).or_default() += 1;
    }
    assert_eq!(copies.len(), 1, "one letter, however often it came");
    world.accounts().activate(ActivateRequest { email: email.clone(), proof: first.code() }).await.unwrap();
    copies.into_values().next()
}

#[tokio::test]
async fn f02_a_crash_after_a_mail_was_sent_sends_it_a_second_time_and_no_more() {
    assert_eq!(mails(Fault::CrashAfterSend, 0).await, Some(2));
}

#[tokio::test]
async fn f02_whichever_commit_is_the_last_a_mail_is_not_lost() {
    for fault in [Fault::CrashBeforeCommit, Fault::CrashAfterCommit] {
        for skip in 0..4 {
            let count = mails(fault, skip).await;
            assert!(count.is_none_or(|count| count == 1 || count == 2), "{fault:?} {skip}: {count:?}");
        }
    }
}
