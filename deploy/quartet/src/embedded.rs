//! Everything in one process, on one data directory.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quartet_chassis::serve::{self, Health, Role};
use quartet_chassis::telemetry;
use quartet_chassis::upstream::Upstream;

use crate::home::{self, Home};
use crate::running::{Running, Start};
use crate::services::{self, CATALOGUE, IDENTITY, MEDIA, MESSAGING};
use crate::settings::Options;
use crate::{command, parts};

/// The port that the README names.
const PORT: u16 = 8000;

pub async fn start(options: Options) -> anyhow::Result<Running> {
    let home = if options.trial.ephemeral { Home::of_trial(&options.trial)? } else { Home::serve(&options.data)? };
    let mut options = services::with_files(options, home.path());
    options.gateway.reflection.get_or_insert(true);
    if options.admin_listen().is_some() {
        telemetry::metrics();
    }
    let parts = parts::embedded(&options, &home)?;
    // Web Push works at once: its key hangs on the master key, and stays the same as that does.
    let made = || URL_SAFE_NO_PAD.encode(parts.master.derive("web push")).into();
    options.messaging.push.vapid_key.get_or_insert_with(made);
    let data = home.path().to_owned();
    let mut start = Start::new(options.listen(PORT), parts.clone(), Some(home)).await?;

    command::migrate::servers(&options, &parts).await?;
    let mailer = services::mailer(&options, &data, &parts)?;
    let identity = quartet_identity::start(&options.identity, &parts, mailer).await?;
    let accounts = Upstream::Local(identity.guard);
    let catalogue = quartet_catalogue::start(&options.catalogue, &parts, accounts.clone()).await?;
    let media = quartet_media::start(&options.media, &parts, accounts.clone()).await?;
    let messaging = quartet_messaging::start(&options.messaging, &parts, accounts.clone()).await?;
    parts.follow("gateway", accounts.clone());
    let routes = vec![
        (IDENTITY, accounts),
        (CATALOGUE, Upstream::Local(catalogue.guard)),
        (MEDIA, Upstream::Local(media.guard)),
        (MESSAGING, Upstream::Local(messaging.guard)),
    ];

    let checks = vec![
        (IDENTITY.to_owned(), identity.check),
        (CATALOGUE.to_owned(), catalogue.check),
        (MEDIA.to_owned(), media.check),
        (MESSAGING.to_owned(), messaging.check),
    ];
    let health = Health::start(checks, parts.stopping.clone()).await;
    let operator = serve::bind_unix(&home::socket(&data))?;
    let role = Role::new(routes.clone(), &health, false)?;
    let drain = start.drain.clone();
    start.serve(async move { serve::unix(operator, role, &drain).await });

    let gateway = quartet_gateway::Gateway::new(&options.gateway, &parts, routes, health.clone(), start.drain.clone())?;
    let listener = start.listener()?;
    start.serve(async move {
        if let Err(error) = gateway.serve(listener).await {
            tracing::error!(%error, "the gateway has ended");
        }
    });
    start.control(&options, Some(services::mail_is_sent(identity.outbox))).await?;
    start.finish(&options, health).await
}
