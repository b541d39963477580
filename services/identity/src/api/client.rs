//! `ClientService`.

use quartet_chassis::caller;
use quartet_chassis::clock::{Clock, timestamp};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::identity::v1::client_service_server::ClientService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use crate::client::{ClientKeys, parse_name, parse_scopes};
use crate::error::Error;
use crate::security::{Event, OPERATOR, Outcome, note_act};
use crate::store::Store;
use crate::store::client::ClientRow;

/// The rpcs of clients.
pub struct ClientApi {
    pub store: Store,
    pub keys: ClientKeys,
    pub clock: Clock,
}

#[tonic::async_trait]
impl ClientService for ClientApi {
    async fn create_client(
        &self,
        request: Request<CreateClientRequest>,
    ) -> Result<Response<CreateClientResponse>, Status> {
        let operator = caller::Client::of(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let name = fields.take("name", parse_name(request.name));
        let scopes = fields.take("scopes", parse_scopes(request.scopes));
        let (Some(name), Some(scopes)) = (name, scopes) else { return Err(Error::from(fields).into()) };

        let id = Id::new(&self.clock);
        let (client_key, key_hash) = self.keys.draw(id);
        let row = ClientRow { id, name, key_hash, scopes, create_time: self.store.now(), last_use_time: None };
        self.store.create_client(&row, &operator).await?;
        note_act(Event::ClientCreated, Outcome::Done, OPERATOR, None, &operator);
        Ok(Response::new(CreateClientResponse { client: Some(row.into()), client_key }))
    }

    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<ListClientsResponse>, Status> {
        let request = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(request.page_size));
        let after = fields.take("page_token", page::decode::<String>(&request.page_token));
        let (Some(size), Some(after)) = (size, after) else { return Err(Error::from(fields).into()) };

        // One more than asked for shows whether there is another page.
        let mut rows = self.store.clients(&after.unwrap_or_default(), size + 1).await.map_err(Error::from)?;
        let next_page_token = page::cut(&mut rows, size, |row| page::encode(&row.name));
        let clients = rows.into_iter().map(Client::from).collect();
        Ok(Response::new(ListClientsResponse { clients, next_page_token }))
    }

    async fn delete_client(
        &self,
        request: Request<DeleteClientRequest>,
    ) -> Result<Response<DeleteClientResponse>, Status> {
        let operator = caller::Client::of(&request);
        let name = request.into_inner().name;
        if !self.store.delete_client(&name, &operator).await? {
            return Err(Error::ClientNotFound.into());
        }
        note_act(Event::ClientDeleted, Outcome::Done, OPERATOR, None, &operator);
        Ok(Response::new(DeleteClientResponse {}))
    }
}

impl From<ClientRow> for Client {
    fn from(row: ClientRow) -> Client {
        Client {
            client_id: row.id.to_string(),
            name: row.name,
            scopes: row.scopes.split(' ').map(str::to_owned).collect(),
            create_time: Some(timestamp(row.create_time)),
            last_use_time: row.last_use_time.map(timestamp),
        }
    }
}
