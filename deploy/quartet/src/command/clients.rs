//! `quartet clients`: programs that may ask for tokens of accounts.

use quartet_proto::identity::v1::client_service_client::ClientServiceClient;
use quartet_proto::identity::v1::{Client, CreateClientRequest, DeleteClientRequest, ListClientsRequest};

use super::say;
use crate::reach::{Reached, failed, operator};
use crate::settings::Options;
use crate::task::Context;

pub async fn create(options: &Options, name: String, scopes: Vec<String>) -> anyhow::Result<()> {
    let reached = Reached::open(options, Context::Identity).await?;
    let mut client = ClientServiceClient::new(reached.upstream.clone());
    let answer = client.create_client(operator(CreateClientRequest { name, scopes })).await;
    reached.close().await;
    let answer = answer.map_err(failed)?.into_inner();
    say(format_args!("client_id: {}", answer.client.unwrap_or_default().client_id));
    say(format_args!("client_key: {}", answer.client_key));
    say("Keep the key: it is shown this once.");
    Ok(())
}

pub async fn list(options: &Options) -> anyhow::Result<()> {
    let reached = Reached::open(options, Context::Identity).await?;
    let mut client = ClientServiceClient::new(reached.upstream.clone());
    let mut page_token = String::new();
    let listed = loop {
        match client.list_clients(operator(ListClientsRequest { page_size: 100, page_token })).await {
            Ok(page) => {
                let page = page.into_inner();
                page.clients.iter().for_each(show);
                page_token = page.next_page_token;
            }
            Err(status) => break Err(failed(status)),
        }
        if page_token.is_empty() {
            break Ok(());
        }
    };
    reached.close().await;
    listed
}

pub async fn delete(options: &Options, name: String) -> anyhow::Result<()> {
    let reached = Reached::open(options, Context::Identity).await?;
    let mut client = ClientServiceClient::new(reached.upstream.clone());
    let answer = client.delete_client(operator(DeleteClientRequest { name: name.clone() })).await;
    reached.close().await;
    answer.map_err(failed)?;
    say(format_args!("{name} is deleted: its key is good for nothing more, and its sessions have ended"));
    Ok(())
}

fn show(client: &Client) {
    let Client { client_id, name, scopes, .. } = client;
    let made = client.create_time.as_ref().map(ToString::to_string).unwrap_or_default();
    let used = client.last_use_time.as_ref().map_or_else(|| "never".to_owned(), ToString::to_string);
    say(format_args!("{name}  {client_id}  {}  made {made}, last used {used}", scopes.join(" ")));
}
