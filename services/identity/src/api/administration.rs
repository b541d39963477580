//! What the machine's operator does by command.

use quartet_chassis::failure::Fields;
use quartet_proto::identity::v1::administration_service_server::AdministrationService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use crate::email::Email;
use crate::error::Error;
use crate::hasher::Hasher;
use crate::password::{Password, Policy};
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
        let request = request.into_inner();
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let password = fields.take("password", Password::new(request.password, self.policy, email.as_ref()));
        let (Some(email), Some(password)) = (email, password) else { return Err(Error::from(fields).into()) };

        let hash = self.hasher.hash(password).await?;
        let (id, created) = self.store.create_administrator(&email, &hash).await?;
        tracing::info!(account = %id, created, "an account was made administrator");
        Ok(Response::new(CreateAdministratorResponse { account_id: id.to_string(), created }))
    }
}
