//! An erasure while processes end in its middle: whoever comes next goes on, and in the end nothing is left of the account.

use quartet_proto::control::v1::SetFaultRequest;
use quartet_proto::control::v1::control_service_client::ControlServiceClient;

use crate::harness::prelude::*;
use crate::harness::{Process, channel, free_port};
use crate::identity::erasure::{completed, copied};

/// What is done one after the other, and whether the catalogue does it.
const STEPS: [(&str, bool); 6] = [
    ("account feed", true),
    ("erasure report", true),
    ("erasure jobs", false),
    ("erasure revocations", false),
    ("erasure account", false),
    ("erasure complete", false),
];

/// An installation whose parts may end: one process, or identity and the catalogue.
struct Stage {
    world: World,
    catalogue: Option<(Process, Vec<String>)>,
}

impl Stage {
    async fn set() -> Stage {
        let world = World::lone(&[]).await;
        let mut catalogue = None;
        if let Some(grounds) = world.grounds() {
            let (identity, listen) = (world.gateway().to_string(), format!("127.0.0.1:{}", free_port()));
            let command = grounds.role("catalogue", &["--identity-address", &identity, "--listen", &listen]);
            catalogue = Some((Process::start(&command).await, command));
        }
        Stage { world, catalogue }
    }

    async fn aim(&self, fault: Fault, step: &str, in_catalogue: bool) {
        match &self.catalogue {
            Some((process, _)) if in_catalogue => {
                let asked = SetFaultRequest { fault: fault.into(), failing: true, rpc: step.to_owned(), skip: 0 };
                let mut control = ControlServiceClient::new(channel(process.started.control));
                control.set_fault(asked).await.expect("the fault can't be set");
            }
            _ => self.world.process().aim(fault, step, 0).await,
        }
    }

    /// Waits for the crash and lets the process come back.
    async fn revive(&mut self, in_catalogue: bool) {
        match &mut self.catalogue {
            Some((process, command)) if in_catalogue => {
                let status = process.ended(Duration::from_secs(10)).await.expect("it has not ended");
                assert!(!status.success(), "{status:?}");
                *process = Process::start(command).await;
            }
            _ => {
                self.world.process().revive().await;
                self.world.process().outlive_leases().await;
            }
        }
    }

    /// Deletes an account with a crash in the middle.
    async fn play(&mut self, fault: Fault, step: &str, in_catalogue: bool) {
        let ada = self.world.sign_up("ada").await;
        copied(&self.world, &ada).await;
        // What was to be mailed before is mailed.
        self.world.mails(&ada.email).await;
        self.aim(fault, step, in_catalogue).await;
        let asked = DeleteAccountRequest { password: ada.password.clone() };
        // Its answer may be lost with the process: it is carried out all the same.
        let begun = ada.accounts(&self.world).delete_account(asked).await;
        self.revive(in_catalogue).await;
        let world = &self.world;
        if let Ok(begun) = begun {
            let told = completed(world, &begun.into_inner()).await;
            let counts =
                |context: &ContextErasure| context.removed.iter().map(|one| (one.kind.clone(), one.count)).collect();
            let counts: Vec<Vec<(String, i32)>> = told.contexts.iter().map(counts).collect();
            assert_eq!(counts[0], [("account".to_owned(), 1)], "{fault:?} {step}");
            for kind in ["account", "profile", "role", "session"] {
                assert!(counts[1].contains(&(kind.to_owned(), 1)), "{fault:?} {step}: each once, {counts:?}");
            }
        }
        eventually("nothing is left", async || {
            world.stored().await.traces(&ada.email, &ada.account_id).is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn i16_f02_an_erasure_goes_on_wherever_a_process_ended_in_it() {
    let mut stage = Stage::set().await;
    for (step, in_catalogue) in STEPS {
        for fault in [Fault::CrashBeforeCommit, Fault::CrashAfterCommit] {
            eprintln!("{step} {fault:?}");
            stage.play(fault, step, in_catalogue).await;
        }
    }
}

#[tokio::test]
async fn i16_f02_a_last_mail_whose_sending_was_not_noted_is_erased_with_the_account() {
    Stage::set().await.play(Fault::CrashAfterSend, "", false).await;
}
