//! F-02: where a process of a context ends in the middle of a commit. Who gets no answer asks again, another instance where there is one.

use std::collections::BTreeSet;
use std::pin::Pin;

use quartet_proto::control::v1::SetFaultRequest;
use quartet_proto::control::v1::control_service_client::ControlServiceClient;
use tonic::{Response, Status};

use crate::harness::prelude::*;
use crate::harness::{Clients, Process, channel, rounds};
use crate::house::rpcs;

type Run = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One way to call an rpc, and what must hold whatever happens to it. What stands in parentheses tells several for one rpc apart.
pub struct Case {
    pub name: &'static str,
    pub run: Run,
}

/// The context that is played.
pub struct Context {
    pub name: &'static str,
    /// What all its instances are started with.
    pub flags: &'static [&'static str],
    /// How long others wait for what a dead instance has begun.
    pub lease: Duration,
    /// An rpc that any account may call.
    pub probe: for<'a> fn(&'a Clients) -> Pin<Box<dyn Future<Output = bool> + 'a>>,
}

/// Where the cases play: all in one process, or a fleet with one instance more, which is the one that ends.
pub struct Stage {
    pub world: World,
    pub fault: Fault,
    pub skip: i32,
    context: &'static Context,
    victim: Option<Process>,
    /// Whether the process has ended in this play.
    crashed: bool,
}

impl Stage {
    pub async fn set(context: &'static Context) -> Stage {
        let world = World::apart(context.flags).await;
        Stage { world, context, victim: None, fault: Fault::Unspecified, skip: 0, crashed: false }
    }

    /// Plays a case at each commit of its rpc, until there is none that the crash could come at. Answers how many there were.
    async fn play(&mut self, case: &Case) -> usize {
        let mut windows = 0;
        for fault in [Fault::CrashBeforeCommit, Fault::CrashAfterCommit] {
            for skip in 0.. {
                (self.fault, self.skip, self.crashed) = (fault, skip, false);
                eprintln!("{} {fault:?} {skip}", case.name);
                (case.run)(self).await;
                if !self.crashed {
                    assert!(skip > 0, "{} commits nothing", case.name);
                    break;
                }
                windows += 1;
                assert!(skip < 20, "{} has no end", case.name);
            }
        }
        windows
    }

    /// Asks; the crash comes in this call. Who gets no answer asks again: the process that is back, or another instance.
    pub async fn call<T>(
        &mut self,
        rpc: &str,
        person: &Person,
        ask: impl AsyncFn(Clients) -> Result<Response<T>, Status>,
    ) -> Result<T, Refusal> {
        let clients = self.aim(rpc, person).await;
        let refused = match ask(clients).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => Refusal::from(status),
        };
        if !refused.reason.is_empty() {
            return Err(refused);
        }
        self.survive(person).await;
        if self.world.is_fleet() && !self.context.lease.is_zero() {
            // Sooner than whoever waits would see that nobody holds it.
            self.world.move_clock(self.context.lease).await;
        }
        ask(self.world.as_token(&person.access_token)).await.map(Response::into_inner).map_err(Refusal::from)
    }

    /// Sees that the process has ended, and waits until its work is taken up.
    pub async fn survive(&mut self, person: &Person) {
        self.crashed = true;
        match self.victim.take() {
            Some(mut victim) => victim.crashed().await,
            None => self.world.process().revive().await,
        }
        let me = async || person.accounts(&self.world).get_me(GetMeRequest {}).await.ok().map(drop);
        eventually("tokens count", me).await;
    }

    /// Makes the crash come in the next call of an rpc, and answers the clients by which it has to be called.
    pub async fn aim(&mut self, rpc: &str, person: &Person) -> Clients {
        let rpc = format!("/quartet.{}.v1.{rpc}", self.context.name);
        let Some(grounds) = self.world.grounds() else {
            self.world.process().aim(self.fault, &rpc, self.skip).await;
            return self.world.as_token(&person.access_token);
        };
        if self.victim.is_none() {
            let identities: Vec<String> = self.world.direct("identity").iter().map(ToString::to_string).collect();
            // It has the flags of all the others.
            let command = grounds.role(self.context.name, &["--identity-address", &identities.join(",")]);
            self.victim = Some(Process::start(&command).await);
        }
        let at = &self.victim.as_ref().unwrap().started;
        let asked = SetFaultRequest { fault: self.fault.into(), failing: true, rpc, skip: self.skip };
        ControlServiceClient::new(channel(at.control)).set_fault(asked).await.expect("the fault can't be set");
        let clients = Clients::new(channel(at.listen), Some(&person.access_token));
        // An instance that has just started hears of what is revoked a moment later.
        eventually("it takes tokens", async || (self.context.probe)(&clients).await.then_some(())).await;
        clients
    }

    /// The answer, or nothing where the call was refused for this reason after a crash: the first call has done it.
    pub fn done<T>(&self, outcome: Result<T, Refusal>, reason: &str) -> Option<T> {
        match outcome {
            Ok(answer) => Some(answer),
            Err(refused) => {
                assert!(self.crashed && refused.reason == reason, "{:?} {}: {refused:?}", self.fault, self.skip);
                None
            }
        }
    }
}

pub async fn play(context: &'static Context, cases: Vec<Case>) {
    let mut stage = Stage::set(context).await;
    let mut windows = 0;
    for _ in 0..rounds(1, 20) {
        for case in &cases {
            windows += stage.play(case).await;
        }
    }
    eprintln!("{windows} crashes");
}

/// Every rpc of a context has its case, or commits nothing.
pub fn check_every_rpc(context: &Context, cases: impl IntoIterator<Item = Case>, reads: &[&str]) {
    let names = cases.into_iter().map(|case| case.name).chain(reads.iter().copied());
    let known: BTreeSet<&str> = names.filter_map(|name| name.split(' ').next()).collect();
    let prefix = format!("/quartet.{}.v1.", context.name);
    let rpcs = rpcs();
    let there: BTreeSet<&str> = rpcs.iter().filter_map(|rpc| rpc.path.strip_prefix(&prefix)).collect();
    assert_eq!(there, known);
}
