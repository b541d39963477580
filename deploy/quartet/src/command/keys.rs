//! `quartet keys rotate`: begins the change to a new signing key.

use quartet_proto::identity::v1::RotateKeysRequest;
use quartet_proto::identity::v1::key_service_client::KeyServiceClient;

use super::say;
use crate::reach::{Reached, failed, operator};
use crate::settings::Options;
use crate::task::Context;

pub async fn rotate(options: &Options, withdraw_now: bool) -> anyhow::Result<()> {
    let reached = Reached::open(options, Context::Identity).await?;
    let mut client = KeyServiceClient::new(reached.upstream.clone());
    let answer = client.rotate_keys(operator(RotateKeysRequest { withdraw_now })).await;
    reached.close().await;
    let kid = answer.map_err(failed)?.into_inner().kid;
    if withdraw_now {
        say(format_args!("{kid} signs from now on; every token of an earlier key is refused"));
    } else {
        say(format_args!("{kid} is published and signs once every service has read it"));
    }
    Ok(())
}
