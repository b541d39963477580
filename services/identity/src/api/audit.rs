//! The audit log, for administrators.

use std::collections::HashMap;

use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::identity::v1::audit_service_server::AuditService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use super::{administrator, position};
use crate::error::Error;
use crate::store::Store;
use crate::store::audit::{AuditFilter, AuditRow};

/// The rpcs of the audit log.
pub struct AuditApi {
    pub store: Store,
}

#[tonic::async_trait]
impl AuditService for AuditApi {
    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        administrator(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(request.page_size));
        let after = fields.take("page_token", position(&request.page_token));
        let account = (!request.account_id.is_empty()).then(|| request.account_id.parse::<Id>());
        let account = account.and_then(|account| fields.take("account_id", account));
        // PostgreSQL takes no text with a NUL.
        if request.action.contains('\0') {
            fields.refuse("action", "must not hold a NUL character");
        }
        let action = Some(request.action).filter(|action| !action.is_empty());
        let (Some(size), Some(after), true) = (size, after, fields.is_empty()) else {
            return Err(Error::from(fields).into());
        };

        // One more than asked for shows whether there is another page.
        let filter = AuditFilter { account, action };
        let (mut rows, living) = self.store.audit_events(&filter, after, size + 1).await?;
        let more = rows.len() as i64 > size;
        rows.truncate(size as usize);
        let last = rows.last().filter(|_| more).map(|row| page::encode(&row.id.to_string()));
        let events = rows.into_iter().map(|row| event(row, &living)).collect();
        Ok(Response::new(ListAuditEventsResponse { events, next_page_token: last.unwrap_or_default() }))
    }
}

/// An act with the ids of those accounts that still live.
fn event(row: AuditRow, living: &HashMap<Id, Id>) -> AuditEvent {
    let text = |id: Option<Id>| id.map(|id| id.to_string()).unwrap_or_default();
    let id = |pseudonym: Option<Id>| text(pseudonym.and_then(|name| living.get(&name).copied()));
    AuditEvent {
        event_id: row.id.to_string(),
        create_time: Some(timestamp(row.create_time)),
        action: row.action,
        actor: row.actor,
        actor_account_id: id(row.actor_pseudonym),
        actor_pseudonym: text(row.actor_pseudonym),
        subject_account_id: id(row.subject_pseudonym),
        subject_pseudonym: text(row.subject_pseudonym),
        client_address: row.client_address,
        user_agent: row.user_agent,
        request_id: row.request_id,
        // What a newer program has written in another way is not shown, rather than hiding the act.
        details: serde_json::from_str(&row.details).unwrap_or_default(),
    }
}
