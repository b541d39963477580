//! What the machine's operator does by command.

use quartet_chassis::failure::Fields;
use quartet_proto::identity::v1::administration_service_server::AdministrationService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use super::administrator;
use crate::email::Email;
use crate::error::Error;
use crate::hasher::Hasher;
use crate::password::{Password, Policy};
use crate::security::{self, Event, Outcome};
use crate::store::Store;

/// The rpcs of administration.
pub struct AdministrationApi {
    pub store: Store,
    pub hasher: Hasher,
    pub policy: Policy,
}

#[tonic::async_trait]
impl AdministrationService for AdministrationApi {
    async fn create_administrator(
        &self,
        request: Request<CreateAdministratorRequest>,
    ) -> Result<Response<CreateAdministratorResponse>, Status> {
        let doer = administrator(&request)?;
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let password = fields.take("password", Password::new(request.password, self.policy, email.as_ref()));
        let (Some(email), Some(password)) = (email, password) else { return Err(Error::from(fields).into()) };

        let hash = self.hasher.hash(password).await?;
        let (account, created) = self.store.create_administrator(&doer, &email, &hash).await?;
        let name = Some(account.pseudonym);
        security::note_act(Event::AdministratorCreated, Outcome::Done, security::OPERATOR, name, &doer.client);
        Ok(Response::new(CreateAdministratorResponse { account_id: account.id.to_string(), created }))
    }

    async fn count_waiting_mails(
        &self,
        _: Request<CountWaitingMailsRequest>,
    ) -> Result<Response<CountWaitingMailsResponse>, Status> {
        let count = self.store.outbox().waiting().await.map_err(Error::from)?;
        Ok(Response::new(CountWaitingMailsResponse { count }))
    }
}
