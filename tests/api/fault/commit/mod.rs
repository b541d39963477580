//! F-02: a process that ends in the middle of a commit. Every writing rpc of identity, at each of its commits, right before and right
//! after: the client hears no answer and asks again, and what it meant to happen has happened once.

mod account;
mod administration;
mod outbox;
mod session;

use std::collections::BTreeSet;
use std::pin::Pin;

use quartet_proto::control::v1::Mail;
use tonic::{Response, Status};

use crate::harness::prelude::*;
use crate::harness::{Output, quartet, rounds};
use crate::house::rpcs;

/// The rpcs of identity that commit nothing.
const READS: [&str; 17] = [
    "AccountFeedService/WatchAccounts",
    "AccountService/GetMe",
    "AdministrationService/CountWaitingMails",
    "AuditService/ListAuditEvents",
    "ClientService/ListClients",
    "DirectoryService/ListUsers",
    "ErasureService/GetErasure",
    "KeyService/GetJwks",
    "ProfileService/GetProfile",
    "RevocationService/WatchRevocations",
    "RoleService/GetAccount",
    "RoleService/ListAccounts",
    "RoleService/ListRoles",
    "SessionService/CheckSessions",
    "SessionService/Introspect",
    "SessionService/IssueToken (narrow)",
    "SessionService/ListSessions",
];

/// One way to call an rpc, and what must hold whatever happens to it.
struct Case {
    /// `SessionService/SignIn`, with what tells it from other ways in brackets.
    name: &'static str,
    run: Run,
}

type Run = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Where the cases play.
struct Stage {
    world: World,
    fault: Fault,
    skip: i32,
    /// Whether the process has ended in this play.
    crashed: bool,
    /// Whether it may have left leases behind.
    leased: bool,
    /// Whether this kind of installation has no such call: on PostgreSQL a command works past the servers.
    absent: bool,
    /// Whose token shows that the process is back.
    probe: String,
    admin: Option<String>,
}

impl Stage {
    async fn set() -> Stage {
        // Who gets no answer asks again once the process is back, which takes its time.
        let world = World::lone(&["--identity-refresh-grace-seconds", "60"]).await;
        let (crashed, leased, absent) = (false, false, false);
        let probe = world.activated("probe").await.email;
        Stage { world, fault: Fault::Unspecified, skip: 0, crashed, leased, absent, probe, admin: None }
    }

    /// Plays a case at each commit of its rpc, until there is none that the crash could come at. Answers how many there were.
    async fn play(&mut self, case: &Case) -> usize {
        let mut windows = 0;
        for fault in [Fault::CrashBeforeCommit, Fault::CrashAfterCommit] {
            for skip in 0.. {
                (self.fault, self.skip, self.crashed, self.absent) = (fault, skip, false, false);
                eprintln!("{} {fault:?} {skip}", case.name);
                (case.run)(self).await;
                if !self.crashed {
                    assert!(skip > 0 || self.absent, "{} commits nothing", case.name);
                    break;
                }
                windows += 1;
                assert!(skip < 20, "{} has no end", case.name);
            }
        }
        windows
    }

    /// Asks; the crash comes in this call. Who gets no answer asks again when the process is back.
    async fn call<T>(
        &mut self,
        rpc: &str,
        ask: impl AsyncFn(&World) -> Result<Response<T>, Status>,
    ) -> Result<T, Refusal> {
        self.aim(rpc).await;
        let refused = match ask(&self.world).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => Refusal::from(status),
        };
        if !refused.reason.is_empty() {
            return Err(refused);
        }
        self.revive().await;
        ask(&self.world).await.map(Response::into_inner).map_err(Refusal::from)
    }

    /// Runs a command against the server; the crash comes in the call that it makes. `None` where a command has no server.
    async fn command(&mut self, rpc: &str, words: &[&str]) -> Option<Output> {
        if self.world.data().is_none() {
            self.absent = true;
            return None;
        }
        self.aim(rpc).await;
        let output = self.operate(words).await;
        if output.status.success() || self.is_alive().await {
            return Some(output);
        }
        self.revive().await;
        Some(self.operate(words).await)
    }

    /// Runs a command: against the server, or on a fleet's database.
    async fn operate(&self, words: &[&str]) -> Output {
        match self.world.grounds() {
            Some(grounds) => {
                let command = grounds.command(&words.join(" "), &[]);
                tokio::task::spawn_blocking(move || quartet(&command)).await.unwrap()
            }
            None => {
                let data = self.world.data().unwrap();
                self.world.quartet(&[words, &["--data", data.to_str().unwrap()]].concat()).await
            }
        }
    }

    async fn aim(&mut self, rpc: &str) {
        // What was to be mailed before is mailed.
        self.mails("").await;
        let path = format!("/quartet.identity.v1.{rpc}");
        self.world.process().aim(self.fault, &path, self.skip).await;
    }

    async fn is_alive(&self) -> bool {
        self.world.control().list_mails(quartet_proto::control::v1::ListMailsRequest::default()).await.is_ok()
    }

    async fn revive(&mut self) {
        self.world.process().revive().await;
        (self.crashed, self.leased) = (true, true);
        // On PostgreSQL the lease of the dead process on telling revocations has to end before any token counts again.
        let probe = self.world.sign_in(&self.probe, PASSWORD).await;
        eventually("tokens count", async || probe.accounts(&self.world).get_me(GetMeRequest {}).await.ok().map(drop))
            .await;
    }

    /// The answer, or nothing where the call was refused for one of these reasons after a crash: the first call has done it.
    fn done<T>(&self, outcome: Result<T, Refusal>, reasons: &[&str]) -> Option<T> {
        match outcome {
            Ok(answer) => Some(answer),
            Err(refused) => {
                let excused = self.crashed && reasons.contains(&refused.reason.as_str());
                assert!(excused, "{:?} {}: {refused:?}", self.fault, self.skip);
                None
            }
        }
    }

    /// The mails to an address, all that is to come. No two are the same one.
    async fn mails(&mut self, to: &str) -> Vec<Mail> {
        if std::mem::take(&mut self.leased) {
            // First what is under way: a lease that ended now would make it begin anew.
            self.world.mails("").await;
            self.world.process().outlive_leases().await;
        }
        let mails = self.world.mails(to).await;
        let ids: BTreeSet<_> = mails.iter().map(|mail| &mail.message_id).collect();
        assert_eq!(ids.len(), mails.len());
        mails
    }

    /// How many mails with this subject an address has got.
    async fn count(&mut self, to: &str, subject: &str) -> usize {
        self.mails(to).await.iter().filter(|mail| mail.subject == subject).count()
    }

    /// An administrator, signed in.
    async fn admin(&mut self) -> Person {
        if let Some(email) = &self.admin {
            return self.world.sign_in(email, PASSWORD).await;
        }
        let admin = self.world.admin().await;
        self.admin = Some(admin.email.clone());
        admin
    }

    /// Somebody's token counts no more. What a process has committed and not yet told when it ended, the next one with its lease tells.
    async fn is_out(&self, person: &Person) {
        eventually("the token counts no more", async || {
            person.accounts(&self.world).get_me(GetMeRequest {}).await.err().map(drop)
        })
        .await;
    }

    /// How many sessions somebody has.
    async fn sessions(&self, person: &Person) -> usize {
        let asked = ListSessionsRequest { page_size: 100, ..Default::default() };
        person.sessions(&self.world).list_sessions(asked).await.unwrap().into_inner().sessions.len()
    }
}

fn all() -> Vec<Case> {
    [account::cases(), session::cases(), administration::cases()].into_iter().flatten().collect()
}

async fn play(cases: Vec<Case>) {
    let mut stage = Stage::set().await;
    let mut windows = 0;
    for _ in 0..rounds(1, 20) {
        for case in &cases {
            windows += stage.play(case).await;
        }
    }
    eprintln!("{windows} crashes");
}

#[tokio::test]
async fn f02_each_commit_of_an_account_s_rpcs_may_be_the_process_s_last() {
    play(account::cases()).await;
}

#[tokio::test]
async fn f02_each_commit_of_a_session_s_rpcs_may_be_the_process_s_last() {
    play(session::cases()).await;
}

#[tokio::test]
async fn f02_each_commit_of_an_administrator_s_rpcs_may_be_the_process_s_last() {
    play(administration::cases()).await;
}

#[test]
fn f02_every_rpc_of_identity_has_its_case() {
    let rpc = |name: &str| name.split(' ').next().unwrap().to_owned();
    let cases: Vec<String> = all().iter().map(|case| rpc(case.name)).collect();
    let known: BTreeSet<String> = cases.into_iter().chain(READS.iter().map(|name| rpc(name))).collect();
    let there = rpcs().into_iter().filter_map(|rpc| Some(rpc.path.strip_prefix("/quartet.identity.v1.")?.to_owned()));
    assert_eq!(there.collect::<BTreeSet<_>>(), known);
}
