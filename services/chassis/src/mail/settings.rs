//! The settings of the way out for mail.

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};

/// How mail goes out. Without a host, mail is written into the data directory.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct SmtpSettings {
    /// The mail server. Without one, mail is written into the data directory.
    #[arg(id = "smtp_host", long = "smtp-host", env = "QUARTET_SMTP_HOST", value_name = "HOST")]
    pub host: Option<String>,

    /// The mail server's port. At 465 TLS begins at once, elsewhere by STARTTLS.
    #[arg(id = "smtp_port", long = "smtp-port", env = "QUARTET_SMTP_PORT", value_name = "PORT", default_value_t = 587)]
    pub port: u16,

    /// The name to sign in to the mail server with.
    #[arg(id = "smtp_username", long = "smtp-username", env = "QUARTET_SMTP_USERNAME", value_name = "NAME")]
    pub username: Option<String>,

    /// The password to sign in to the mail server with.
    #[arg(
        id = "smtp_password",
        long = "smtp-password",
        env = "QUARTET_SMTP_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true
    )]
    pub password: Option<SecretString>,

    /// The sender of every mail.
    #[arg(
        id = "smtp_from",
        long = "smtp-from",
        env = "QUARTET_SMTP_FROM",
        value_name = "SENDER",
        default_value = "Quartet <quartet@localhost.localdomain>"
    )]
    pub from: String,

    /// Whether the way to the mail server must be encrypted and its certificate good.
    #[arg(id = "smtp_tls", long = "smtp-tls", env = "QUARTET_SMTP_TLS", value_enum, default_value_t = Tls::Required)]
    pub tls: Tls,

    /// How long the mail server may take to answer, in seconds.
    #[arg(
        id = "smtp_timeout_seconds",
        long = "smtp-timeout-seconds",
        env = "QUARTET_SMTP_TIMEOUT_SECONDS",
        value_name = "SECONDS",
        default_value_t = 15,
        value_parser = clap::value_parser!(u64).range(1..=300)
    )]
    pub timeout_seconds: u64,
}

/// Whether the way to the mail server is encrypted.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Encrypted, with a good certificate for the host's name.
    Required,
    /// In clear, passwords of accounts being set included: for a server on the same machine only.
    None,
}

impl SmtpSettings {
    pub(super) fn transport(&self) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
        let host = self.host.as_deref().context("there is no mail server: set QUARTET_SMTP_HOST")?;
        let builder = self.builder(host).with_context(|| format!("can't prepare TLS to the mail server `{host}`"))?;
        let mut builder = builder.port(self.port).timeout(Some(self.timeout()));
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            builder = builder.credentials(Credentials::new(username.clone(), password.expose_secret().to_owned()));
        }
        Ok(builder.build())
    }

    /// How long the server may take to answer.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    fn builder(&self, host: &str) -> Result<AsyncSmtpTransportBuilder, lettre::transport::smtp::Error> {
        type Transport = AsyncSmtpTransport<Tokio1Executor>;
        match self.tls {
            Tls::Required if self.port == 465 => Transport::relay(host),
            Tls::Required => Transport::starttls_relay(host),
            Tls::None => Ok(Transport::builder_dangerous(host)),
        }
    }
}
