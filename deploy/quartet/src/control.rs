//! What tests may do to a server that was started for them. Only `--ephemeral` serves it, on a loopback port of its own.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use quartet_chassis::clock::Clock;
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::faults::Faults;
use quartet_chassis::mail;
use quartet_chassis::serve::Check;
use quartet_proto::control::v1 as pb;
use quartet_proto::control::v1::control_service_server::{ControlService, ControlServiceServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// How long mail that waits is waited for: nearly as long as a call has.
const PATIENCE: Duration = Duration::from_secs(25);
const PAUSE: Duration = Duration::from_millis(5);

/// The control service of a process.
pub struct Control {
    pub clock: Clock,
    pub faults: Faults,
    /// The folder that mail is written into.
    pub mail: PathBuf,
    /// Whether no mail waits to be sent, where identity is in this process.
    pub is_sent: Option<Check>,
}

impl Control {
    pub fn routes(self) -> Routes {
        Routes::new(ControlServiceServer::new(self)).prepare()
    }

    async fn wait_for_mail(&self) {
        let Some(is_sent) = &self.is_sent else { return };
        let wait = async {
            while !self.faults.is(pb::Fault::Mail) && !is_sent().await {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.ok();
    }
}

#[tonic::async_trait]
impl ControlService for Control {
    async fn move_clock(
        &self,
        request: Request<pb::MoveClockRequest>,
    ) -> Result<Response<pb::MoveClockResponse>, Status> {
        let step = TimeDelta::try_milliseconds(request.into_inner().offset_milliseconds);
        let step = step.ok_or_else(|| invalid("offset_milliseconds", "is too large"))?;
        let total = self.clock.move_by(step).map_err(|error| Failure::internal("the clock can't be moved", error))?;
        Ok(Response::new(pb::MoveClockResponse { total_milliseconds: total.num_milliseconds() }))
    }

    async fn list_mails(
        &self,
        request: Request<pb::ListMailsRequest>,
    ) -> Result<Response<pb::ListMailsResponse>, Status> {
        self.wait_for_mail().await;
        let (folder, to) = (self.mail.clone(), request.into_inner().to);
        let read = tokio::task::spawn_blocking(move || mail::mails(&folder, &to)).await;
        let mails = read.map_err(std::io::Error::other).flatten();
        let mails = mails.map_err(|error| Failure::internal("the mails can't be read", error))?;
        let mails = mails.into_iter().map(|mail| pb::Mail {
            to: mail.to,
            subject: mail.subject,
            text: mail.text,
            message_id: mail.message_id,
        });
        Ok(Response::new(pb::ListMailsResponse { mails: mails.collect() }))
    }

    async fn set_fault(&self, request: Request<pb::SetFaultRequest>) -> Result<Response<pb::SetFaultResponse>, Status> {
        let request = request.into_inner();
        let fault = request.fault();
        if fault == pb::Fault::Unspecified {
            return Err(invalid("fault", "must be one of the known faults"));
        }
        if request.failing && is_crash(fault) {
            self.faults.aim(fault, request.rpc, request.skip.unsigned_abs());
        } else {
            self.faults.set(fault, request.failing);
        }
        Ok(Response::new(pb::SetFaultResponse {}))
    }
}

fn is_crash(fault: pb::Fault) -> bool {
    matches!(fault, pb::Fault::CrashBeforeCommit | pb::Fault::CrashAfterCommit | pb::Fault::CrashAfterSend)
}

fn invalid(field: &str, rule: &str) -> Status {
    let mut fields = Fields::default();
    fields.refuse(field, rule);
    Failure::from(fields).into()
}
