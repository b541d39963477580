//! An erasure while processes end in its middle: whoever comes next goes on, and in the end nothing is left of the account.

use std::collections::HashMap;

use quartet_proto::control::v1::SetFaultRequest;
use quartet_proto::control::v1::control_service_client::ControlServiceClient;

use crate::harness::prelude::*;
use crate::harness::{Clients, Process, channel};
use crate::identity::erasure::{completed, copied};
use crate::media::{sha256, video};

/// What is done one after the other, and by whom.
const STEPS: [(&str, &str); 13] = [
    ("account feed", "catalogue"),
    ("erasure step", "catalogue"),
    ("erasure report", "catalogue"),
    ("account feed", "media"),
    ("erasure step", "media"),
    ("erasure report", "media"),
    ("account feed", "messaging"),
    ("erasure step", "messaging"),
    ("erasure report", "messaging"),
    ("erasure jobs", "identity"),
    ("erasure revocations", "identity"),
    ("erasure account", "identity"),
    ("erasure complete", "identity"),
];

/// An installation whose parts may end: one process, or identity and the others.
struct Stage {
    world: World,
    others: HashMap<&'static str, Process>,
}

impl Stage {
    async fn set() -> Stage {
        let world = World::lone(&[]).await;
        let mut others = HashMap::new();
        if let Some(grounds) = world.grounds() {
            for role in ["catalogue", "media", "messaging"] {
                let command = grounds.role(role, &["--identity-address", &world.gateway().to_string()]);
                let process = Process::start(&command).await;
                process.can_serve().await;
                others.insert(role, process);
            }
        }
        Stage { world, others }
    }

    async fn aim(&self, fault: Fault, step: &str, context: &str) {
        match self.others.get(context) {
            Some(process) => {
                let asked = SetFaultRequest { fault: fault.into(), failing: true, rpc: step.to_owned(), skip: 0 };
                let mut control = ControlServiceClient::new(channel(process.started.control));
                control.set_fault(asked).await.expect("the fault can't be set");
            }
            None => self.world.process().aim(fault, step, 0).await,
        }
    }

    /// Waits for the crash and lets the process come back.
    async fn revive(&mut self, context: &str) {
        match self.others.get_mut(context) {
            Some(process) => {
                process.crashed().await;
                process.restart().await;
            }
            None => {
                self.world.process().revive().await;
                self.world.process().outlive_leases().await;
            }
        }
    }

    /// A file about somebody, in a project of theirs.
    async fn upload(&self, person: &Person) {
        let at = match self.others.get("media") {
            Some(process) => channel(process.started.listen),
            None => self.world.channel(),
        };
        let clients = Clients::new(at, Some(&person.access_token));
        let asked = CreateProjectRequest { name: person.email.clone(), ..Default::default() };
        let project = clients.projects().create_project(asked).await.expect("no project").into_inner().project.unwrap();
        let bytes = person.email.as_bytes();
        let asked = video(&project.project_id, &person.email, bytes);
        let upload = clients.uploads().start_upload(asked).await.expect("not started").into_inner().upload.unwrap();
        let part = PutChunkRequest {
            upload_id: upload.upload_id.clone(),
            data: bytes.to_vec().into(),
            last: true,
            ..Default::default()
        };
        clients.uploads().put_chunk(part).await.expect("the part is refused");
        let asked = CompleteUploadRequest { upload_id: upload.upload_id, sha256: sha256(bytes) };
        clients.uploads().complete_upload(asked).await.expect("not completed");
    }

    /// Deletes an account with a crash in the middle.
    async fn play(&mut self, fault: Fault, step: &str, context: &str) {
        let ada = self.world.sign_up("ada").await;
        copied(&self.world).await;
        self.upload(&ada).await;
        // What was to be mailed before is mailed.
        self.world.mails(&ada.email).await;
        // What an earlier erasure has left to do is done: the crash is meant for this one.
        let carried_out = "select count(*) from erasure";
        let complete = "select count(*) from erasure where complete_time is null";
        for (service, open) in
            [("catalogue", carried_out), ("media", carried_out), ("messaging", carried_out), ("identity", complete)]
        {
            let over = async || (self.world.number(service, open).await == 0).then_some(());
            eventually("earlier ones are over", over).await;
        }
        self.aim(fault, step, context).await;
        let asked = DeleteAccountRequest { password: ada.password.clone() };
        // Its answer may be lost with the process: it is carried out all the same.
        let begun = ada.accounts(&self.world).delete_account(asked).await;
        self.revive(context).await;
        let world = &self.world;
        if let Ok(begun) = begun {
            let told = completed(world, &begun.into_inner()).await;
            let counts =
                |context: &ContextErasure| context.removed.iter().map(|one| (one.kind.clone(), one.count)).collect();
            let counts: Vec<Vec<(String, i32)>> = told.contexts.iter().map(counts).collect();
            let told = format!("{fault:?} {step} {context}: each once, {counts:?}");
            assert_eq!(counts[0], [("account".to_owned(), 1)], "{told}");
            let kinds = ["account", "media", "object", "project", "upload"];
            assert_eq!(counts[2], kinds.map(|kind| (kind.to_owned(), 1)), "{told}");
            for kind in ["account", "profile", "role", "session"] {
                assert!(counts[1].contains(&(kind.to_owned(), 1)), "{told}");
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
    for (step, context) in STEPS {
        for fault in [Fault::CrashBeforeCommit, Fault::CrashAfterCommit] {
            eprintln!("{step} of {context} {fault:?}");
            stage.play(fault, step, context).await;
        }
    }
}

#[tokio::test]
async fn i16_f02_a_last_mail_whose_sending_was_not_noted_is_erased_with_the_account() {
    Stage::set().await.play(Fault::CrashAfterSend, "", "identity").await;
}
