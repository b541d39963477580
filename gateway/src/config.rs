//! The gateway's settings.

use std::path::PathBuf;

use crate::limit::Network;

/// Settings of the gateway.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Gateway")]
#[group(skip)]
pub struct Config {
    /// PEM file with the certificate and its chain. With it and the key the port speaks TLS; a changed file is read again
    #[arg(
        long = "gateway-tls-cert",
        id = "gateway_tls_cert",
        env = "QUARTET_GATEWAY_TLS_CERT",
        value_name = "FILE",
        requires = "gateway_tls_key"
    )]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(
        long = "gateway-tls-key",
        id = "gateway_tls_key",
        env = "QUARTET_GATEWAY_TLS_KEY",
        value_name = "FILE",
        requires = "gateway_tls_cert"
    )]
    pub tls_key: Option<PathBuf>,

    /// Origins whose pages may call, such as `https://app.example.com`, separated by commas; `*` for all. Cookies are never used, so
    /// `*` gives a page nothing but what its own token may do
    #[arg(
        long = "gateway-cors-origins",
        id = "gateway_cors_origins",
        env = "QUARTET_GATEWAY_CORS_ORIGINS",
        value_delimiter = ',',
        default_value = "*"
    )]
    pub cors_origins: Vec<String>,

    /// Whether `grpc.reflection` describes the contracts to everybody. On when everything runs in one process, else off
    #[arg(long = "gateway-reflection", id = "gateway_reflection", env = "QUARTET_GATEWAY_REFLECTION")]
    pub reflection: Option<bool>,

    /// Threads of a gateway that is a process of its own; one per core when not set
    #[arg(long = "gateway-threads", id = "gateway_threads", env = "QUARTET_GATEWAY_THREADS")]
    pub threads: Option<usize>,

    /// Proxies in front, as addresses or networks such as `10.0.0.0/8`, separated by commas. Only from them is `x-forwarded-for`
    /// believed
    #[arg(
        long = "gateway-trusted-proxies",
        id = "gateway_trusted_proxies",
        env = "QUARTET_GATEWAY_TRUSTED_PROXIES",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<Network>,

    /// Connections at the same time
    #[arg(
        long = "gateway-connections",
        id = "gateway_connections",
        env = "QUARTET_GATEWAY_CONNECTIONS",
        default_value_t = 10_000
    )]
    pub connections: usize,

    /// Connections at the same time from one address (IPv6: one /64). Trusted proxies are not counted
    #[arg(
        long = "gateway-connections-per-address",
        id = "gateway_connections_per_address",
        env = "QUARTET_GATEWAY_CONNECTIONS_PER_ADDRESS",
        default_value_t = 100
    )]
    pub connections_per_address: usize,

    /// After how long a connection whose other end takes nothing of what is sent to it is closed
    #[arg(
        long = "gateway-stall-seconds",
        id = "gateway_stall_seconds",
        env = "QUARTET_GATEWAY_STALL_SECONDS",
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=3600)
    )]
    pub stall_seconds: u32,

    /// Calls at the same time on one connection
    #[arg(
        long = "gateway-streams-per-connection",
        id = "gateway_streams_per_connection",
        env = "QUARTET_GATEWAY_STREAMS_PER_CONNECTION",
        default_value_t = 100
    )]
    pub streams_per_connection: u32,

    /// Calls waiting for their answer at the same time, in all; one more is refused with RESOURCE_EXHAUSTED
    #[arg(long = "gateway-calls", id = "gateway_calls", env = "QUARTET_GATEWAY_CALLS", default_value_t = 8192)]
    pub calls: usize,

    /// Calls waiting for their answer at the same time from one address
    #[arg(
        long = "gateway-calls-per-address",
        id = "gateway_calls_per_address",
        env = "QUARTET_GATEWAY_CALLS_PER_ADDRESS",
        default_value_t = 1000
    )]
    pub calls_per_address: usize,

    /// Streams at the same time from one address (IPv6: one /64), each from its call until its end
    #[arg(
        long = "gateway-streams-per-address",
        id = "gateway_streams_per_address",
        env = "QUARTET_GATEWAY_STREAMS_PER_ADDRESS",
        default_value_t = 200
    )]
    pub streams_per_address: usize,

    /// Calls per second from one address (IPv6: one /64). Behind it may be a whole office
    #[arg(
        long = "gateway-rate-per-address",
        id = "gateway_rate_per_address",
        env = "QUARTET_GATEWAY_RATE_PER_ADDRESS",
        default_value = "2000"
    )]
    pub rate_per_address: std::num::NonZeroU32,

    /// Calls per second of one account, for rpcs that need a token
    #[arg(
        long = "gateway-rate-per-account",
        id = "gateway_rate_per_account",
        env = "QUARTET_GATEWAY_RATE_PER_ACCOUNT",
        default_value = "500"
    )]
    pub rate_per_account: std::num::NonZeroU32,

    /// Calls per minute from one address that send a mail: registrations, activations sent again, resets, sign-in codes,
    /// changes of an address
    #[arg(
        long = "gateway-mails-per-minute",
        id = "gateway_mails_per_minute",
        env = "QUARTET_GATEWAY_MAILS_PER_MINUTE",
        default_value = "30"
    )]
    pub mails_per_minute: std::num::NonZeroU32,
}
