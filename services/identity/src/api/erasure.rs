//! How far erasures have come.

use quartet_chassis::caller::ServiceCaller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_proto::identity::v1 as pb;
use quartet_proto::identity::v1::erasure_service_server::ErasureService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::store::Store;
use crate::store::erasure::{ContextRow, ErasureRow, Removed};

/// How many kinds a context may tell of.
const KINDS: usize = 100;
/// The longest name of a kind.
const KIND: usize = 64;

/// The rpcs of erasures.
pub struct ErasureApi {
    pub store: Store,
}

#[tonic::async_trait]
impl ErasureService for ErasureApi {
    async fn get_erasure(&self, request: Request<GetErasureRequest>) -> Result<Response<GetErasureResponse>, Status> {
        let GetErasureRequest { erasure_id, secret } = request.into_inner();
        let id = erasure_id.parse().map_err(|_| Error::ErasureNotFound)?;
        let found = self.store.erasure(id, &secret).await.map_err(Error::from)?;
        let (row, contexts) = found.ok_or(Error::ErasureNotFound)?;
        Ok(Response::new(answer(&row, contexts)))
    }

    async fn report_erasure(
        &self,
        request: Request<ReportErasureRequest>,
    ) -> Result<Response<ReportErasureResponse>, Status> {
        let ServiceCaller(caller) = ServiceCaller::of(&request)?;
        let ReportErasureRequest { erasure_id, context, removed } = request.into_inner();
        let id = erasure_id.parse().map_err(|_| Error::ErasureNotFound)?;
        if context != caller {
            return Err(Error::ScopeMissing("erasure").into());
        }
        self.store.report_erasure(id, &context, &counts(removed)?).await?;
        Ok(Response::new(ReportErasureResponse {}))
    }
}

fn counts(list: Vec<pb::Removed>) -> Result<Removed, Error> {
    let mut fields = Fields::default();
    let is_kind = |kind: &str| {
        !kind.is_empty() && kind.len() <= KIND && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    if list.len() > KINDS {
        fields.refuse("removed", format!("must have at most {KINDS} kinds"));
    } else if !list.iter().all(|one| is_kind(&one.kind) && one.count >= 0) {
        fields.refuse("removed", "must have kinds such as `enrolment` with counts of 0 or more");
    }
    let mut removed = Removed::new();
    for pb::Removed { kind, count } in list {
        let sum = removed.entry(kind).or_default();
        *sum = sum.saturating_add(count);
    }
    fields.finish().map(|()| removed).map_err(Error::from)
}

fn answer(row: &ErasureRow, contexts: Vec<ContextRow>) -> GetErasureResponse {
    let state = if row.complete_time.is_some() { ErasureState::Complete } else { ErasureState::InProgress };
    GetErasureResponse {
        state: state.into(),
        contexts: contexts.into_iter().map(context).collect(),
        create_time: Some(timestamp(row.create_time)),
        complete_time: row.complete_time.map(timestamp),
    }
}

fn context(row: ContextRow) -> ContextErasure {
    let removed: Removed = match row.done_time {
        Some(_) => serde_json::from_str(&row.removed).unwrap_or_default(),
        None => Removed::new(),
    };
    let removed = removed.into_iter().filter(|(_, count)| *count > 0);
    ContextErasure {
        context: row.context,
        done: row.done_time.is_some(),
        removed: removed.map(|(kind, count)| pb::Removed { kind, count }).collect(),
        done_time: row.done_time.map(timestamp),
    }
}
