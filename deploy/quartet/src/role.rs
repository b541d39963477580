//! One role of a fleet in a process of its own.

use std::sync::Arc;

use quartet_chassis::auth::Auth;
use quartet_chassis::parts::Parts;
use quartet_chassis::serve::{self, Check, Health, Role};
use quartet_chassis::telemetry;
use quartet_chassis::upstream::Upstream;
use quartet_gateway::Gateway;

use crate::home::Home;
use crate::parts;
use crate::running::{Running, Start};
use crate::services::{self, CATALOGUE, IDENTITY, MEDIA, MESSAGING};
use crate::settings::Options;

const GATEWAY_PORT: u16 = 8000;
const IDENTITY_PORT: u16 = 8001;
const CATALOGUE_PORT: u16 = 8002;
const MEDIA_PORT: u16 = 8003;
const MESSAGING_PORT: u16 = 8004;

pub async fn identity(options: Options) -> anyhow::Result<Running> {
    let (mut start, parts) = begin(&options, IDENTITY_PORT).await?;
    let data = start.home.as_ref().map_or_else(|| options.data.clone(), |home| home.path().to_owned());
    let mailer = services::mailer(&options, &data, &parts)?;
    let service = quartet_identity::start(&options.identity, &parts, mailer).await?;
    let upstream = Upstream::Local(service.guard);
    parts.follow("identity", upstream.clone());
    start.control(&options, Some(services::mail_is_sent(service.outbox))).await?;
    serve(start, &options, IDENTITY, upstream, service.check).await
}

pub async fn catalogue(options: Options) -> anyhow::Result<Running> {
    let (mut start, parts) = begin(&options, CATALOGUE_PORT).await?;
    let identity = Upstream::remote(&options.fleet.identity_address)?;
    let service = quartet_catalogue::start(&options.catalogue, &parts, identity.clone()).await?;
    parts.follow("catalogue", identity);
    start.control(&options, None).await?;
    serve(start, &options, CATALOGUE, Upstream::Local(service.guard), service.check).await
}

pub async fn media(options: Options) -> anyhow::Result<Running> {
    let (mut start, parts) = begin(&options, MEDIA_PORT).await?;
    let identity = Upstream::remote(&options.fleet.identity_address)?;
    let service = quartet_media::start(&options.media, &parts, identity.clone()).await?;
    parts.follow("media", identity);
    start.control(&options, None).await?;
    serve(start, &options, MEDIA, Upstream::Local(service.guard), service.check).await
}

pub async fn messaging(options: Options) -> anyhow::Result<Running> {
    let (mut start, parts) = begin(&options, MESSAGING_PORT).await?;
    let identity = Upstream::remote(&options.fleet.identity_address)?;
    let service = quartet_messaging::start(&options.messaging, &parts, identity.clone()).await?;
    parts.follow("messaging", identity);
    start.control(&options, None).await?;
    serve(start, &options, MESSAGING, Upstream::Local(service.guard), service.check).await
}

pub async fn gateway(options: Options) -> anyhow::Result<Running> {
    let (mut start, parts) = begin(&options, GATEWAY_PORT).await?;
    let identity = Upstream::remote(&options.fleet.identity_address)?;
    let catalogue = Upstream::remote(&options.fleet.catalogue_address)?;
    let media = Upstream::remote(&options.fleet.media_address)?;
    let messaging = Upstream::remote(&options.fleet.messaging_address)?;
    parts.follow("gateway", identity.fresh());
    let routes = vec![(IDENTITY, identity), (CATALOGUE, catalogue), (MEDIA, media), (MESSAGING, messaging)];
    let check = |upstream: &Upstream| with_tokens(&parts.auth, upstream.check());
    let checks = routes.iter().map(|(package, upstream)| ((*package).to_owned(), check(upstream))).collect();
    let health = Health::start(checks, parts.stopping.clone()).await;
    let gateway = Gateway::new(&options.gateway, &parts, routes, health.clone(), start.drain.clone())?;
    let listener = start.listener()?;
    start.serve(async move {
        if let Err(error) = gateway.run(listener).await {
            tracing::error!(%error, "the gateway has ended");
        }
    });
    start.control(&options, None).await?;
    start.finish(&options, health).await
}

async fn begin(options: &Options, port: u16) -> anyhow::Result<(Start, Parts)> {
    let home = if options.trial.ephemeral { Some(Home::of_trial(&options.trial)?) } else { None };
    if options.admin_listen().is_some() {
        telemetry::metrics();
    }
    let parts = parts::role(options, home.as_ref())?;
    Ok((Start::new(options.listen(port), parts.clone(), home).await?, parts))
}

/// Serves one context on the role's own port.
async fn serve(
    mut start: Start,
    options: &Options,
    package: &'static str,
    upstream: Upstream,
    check: Check,
) -> anyhow::Result<Running> {
    let check = with_tokens(&start.parts.auth, check);
    let health = Health::start(vec![(package.to_owned(), check)], start.parts.stopping.clone()).await;
    let role = Role::new(vec![(package, upstream)], &health, options.fleet.reflection)?;
    let (listener, drain) = (start.listener()?, start.drain.clone());
    start.serve(async move { serve::tcp(listener, role, &drain).await });
    start.finish(options, health).await
}

/// A role that has just started refuses every token until it has heard of keys and revocations, and is not ready before.
fn with_tokens(auth: &Auth, check: Check) -> Check {
    let auth = auth.clone();
    Arc::new(move || {
        let (knows, checked) = (auth.is_ready(), check());
        Box::pin(async move { knows && checked.await })
    })
}
