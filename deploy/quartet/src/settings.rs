//! Every setting of the executable, and reading them.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, Args, Command, FromArgMatches as _, Subcommand as _};
use quartet_chassis::config::{self, Given, Mistakes};
use quartet_chassis::mail::SmtpSettings;
use quartet_chassis::telemetry;
use quartet_chassis::upstream::Address;
use secrecy::SecretString;

use crate::client::{self, Client};
use crate::demands;
use crate::task::Task;

/// What to do, and with which settings. Checked: what exists can be started.
#[derive(Debug, Clone)]
pub struct Settings {
    pub task: Option<Task>,
    pub options: Options,
}

/// Every setting.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct Options {
    /// The data directory: databases, master key and mail when everything runs in one process
    #[arg(long, env = "QUARTET_DATA", value_name = "DIR", default_value = "./data")]
    pub data: PathBuf,

    /// Where to listen: 127.0.0.1:8000 for everything in one process and for the gateway, 127.0.0.1:8001 for identity,
    /// 127.0.0.1:8002 for the catalogue, 127.0.0.1:8003 for media, 127.0.0.1:8004 for messaging
    #[arg(long, env = "QUARTET_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Where to answer `/livez`, `/readyz` and `/metrics`: the cluster's own network, never a public one
    #[arg(long, env = "QUARTET_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,

    /// What to log: `info`, `debug`, or by part: `info,quartet_identity=debug`
    #[arg(long, env = "QUARTET_LOG", value_name = "FILTER", default_value = "info", value_parser = telemetry::parse_filter)]
    pub log: String,

    #[command(flatten, next_help_heading = "Fleet")]
    pub fleet: Fleet,

    #[command(flatten, next_help_heading = "Mail")]
    pub smtp: SmtpSettings,

    #[command(flatten, next_help_heading = "Identity")]
    pub identity: quartet_identity::Config,

    #[command(flatten, next_help_heading = "Catalogue")]
    pub catalogue: quartet_catalogue::Config,

    #[command(flatten, next_help_heading = "Media")]
    pub media: quartet_media::Config,

    #[command(flatten, next_help_heading = "Messaging")]
    pub messaging: quartet_messaging::Config,

    #[command(flatten, next_help_heading = "Gateway")]
    pub gateway: quartet_gateway::Config,

    #[command(flatten, next_help_heading = "Client")]
    pub client: Client,

    #[command(flatten, next_help_heading = "Tests")]
    pub trial: Trial,
}

/// What the roles of a fleet need to know of each other.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct Fleet {
    /// What identity's secrets in the database hang on: 64 hexadecimal digits, as `openssl rand -hex 32` prints. Lost, every
    /// password has to be reset. In one process it lies in the data directory
    #[arg(long, env = "QUARTET_MASTER_KEY", value_name = "HEX", hide_env_values = true)]
    pub master_key: Option<SecretString>,

    /// What the roles know each other by: 64 other hexadecimal digits
    #[arg(long, env = "QUARTET_FLEET_SECRET", value_name = "HEX", hide_env_values = true)]
    pub fleet_secret: Option<SecretString>,

    /// The Redis that spreads revocations: `redis://HOST:PORT`
    #[arg(long, env = "QUARTET_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,

    /// Where identity listens: addresses such as `identity:8001`, separated by commas. A name may stand for several instances
    #[arg(long, env = "QUARTET_IDENTITY_ADDRESS", value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    pub identity_address: Vec<String>,

    /// Where the catalogue listens
    #[arg(long, env = "QUARTET_CATALOGUE_ADDRESS", value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    pub catalogue_address: Vec<String>,

    /// Where media listens
    #[arg(long, env = "QUARTET_MEDIA_ADDRESS", value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    pub media_address: Vec<String>,

    /// Where messaging listens
    #[arg(long, env = "QUARTET_MESSAGING_ADDRESS", value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    pub messaging_address: Vec<String>,

    /// Lets a role that runs alone use a SQLite file. Never two on one file
    #[arg(long, env = "QUARTET_ALLOW_SQLITE")]
    pub allow_sqlite: bool,

    /// Lets identity, the catalogue, media and messaging describe their contracts on their own ports. The gateway has a setting of its own
    #[arg(long, env = "QUARTET_REFLECTION")]
    pub reflection: bool,
}

/// Servers that are there for a test. Flags only: no environment makes a server one of these by accident.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct Trial {
    /// Runs on a temporary data directory that goes with the process, on loopback alone; prints as one line of JSON where, and has a
    /// control service that moves the clock, reads the mail and makes parts fail
    #[arg(long)]
    pub ephemeral: bool,

    /// With --ephemeral: ends when the standard input does, so that it never outlives the tests
    #[arg(long)]
    pub exit_with_stdin: bool,

    /// With --ephemeral: the data directory, which stays when the process ends, for another one to go on with
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,

    /// With --ephemeral, and for commands beside it: the file of the clock, which all processes of a fleet share
    #[arg(long, value_name = "FILE")]
    pub clock_file: Option<PathBuf>,

    /// With --ephemeral: the folder for mail, which all processes of a fleet share
    #[arg(long, value_name = "DIR")]
    pub mail_directory: Option<PathBuf>,

    /// With --ephemeral: how long Redis may take to answer before it counts as away
    #[arg(long, value_name = "MILLISECONDS")]
    pub redis_answer_milliseconds: Option<u64>,

    /// With --ephemeral: how long PostgreSQL may take to give a connection, or to answer a short statement, before it counts as away; for so
    /// long it counts as known, too, what it says of revoked tokens
    #[arg(long, value_name = "MILLISECONDS")]
    pub database_answer_milliseconds: Option<u64>,
}

/// Defaults of a server that is there for a test: as fast as it can be, and nobody is held back.
const TRIAL_DEFAULTS: &[(&str, &str)] = &[
    ("identity_bcrypt_cost", "4"),
    ("identity_mails_per_hour", "1000"),
    ("identity_failed_sign_ins", "1000000"),
    ("identity_failed_sign_ins_per_minute", "60000"),
    ("identity_failed_sign_ins_per_account", "1000000"),
    ("identity_failed_accounts_per_network", "0"),
    ("messaging_sends_per_minute", "0"),
    ("messaging_starts_per_minute", "0"),
    ("messaging_streams_per_account", "200"),
    ("messaging_begins_per_minute", "0"),
    ("messaging_frames_per_second", "0"),
    ("messaging_named_per_minute", "0"),
    ("messaging_misses_per_hour", "0"),
    ("messaging_strangers_per_hour", "0"),
    ("messaging_acts_per_minute", "0"),
    ("messaging_searches_per_minute", "0"),
    ("gateway_connections_per_address", "10000"),
    ("gateway_mails_per_minute", "1000000"),
    ("gateway_calls_per_address", "8192"),
    ("gateway_streams_per_address", "8192"),
    ("gateway_rate_per_address", "1000000"),
    ("gateway_rate_per_account", "1000000"),
];

/// The command line's description.
pub fn command() -> Command {
    let command = Task::augment_subcommands(Options::augment_args(Command::new("quartet")))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Accounts, movies, courses, files and conversations behind one port: everything in one process, or one role of a fleet")
        .after_help("Every setting is taken by every command, as a flag or from its variable.")
        .subcommand_required(false)
        .disable_help_subcommand(true);
    hide_settings_of_tools(config::with_files(command))
}

/// The help of a tool shows what is the tool's own, and where it works.
fn hide_settings_of_tools(command: Command) -> Command {
    let settings: Vec<_> = command.get_arguments().cloned().collect();
    let hidden = settings.iter().filter(|arg| arg.get_id() != "data").map(|arg| arg.clone().hide(true));
    let hidden: Vec<_> = hidden.collect();
    command.mut_subcommands(|tool| match tool.get_name() {
        "identity" | "catalogue" | "messaging" | "gateway" => tool,
        "media" | "push" => {
            let is_shown = |arg: &Arg| client::SHOWN.contains(&arg.get_id().as_str());
            let hidden: Vec<_> =
                settings.iter().filter(|arg| !is_shown(arg)).map(|arg| arg.clone().hide(true)).collect();
            tool.mut_subcommands(move |tool| tool.args(hidden.clone()))
        }
        _ if tool.has_subcommands() => {
            let hidden = hidden.clone();
            tool.args(hidden.clone()).mut_subcommands(move |tool| tool.args(hidden.clone()))
        }
        _ => tool.args(hidden.clone()),
    })
}

/// Reads a command line and the environment.
pub fn read(args: Vec<OsString>) -> Result<Given, Error> {
    let mut command = command();
    if args.iter().any(|arg| arg == "--ephemeral") {
        for &(id, value) in TRIAL_DEFAULTS {
            command = command.mut_arg(id, |arg| arg.default_value(value));
        }
    }
    Given::read(command, args)
}

impl Settings {
    /// The settings, or everything that is wrong with them.
    pub fn of(given: Given) -> Result<Settings, Mistakes> {
        let refused = |error: Error| {
            let mut mistakes = Mistakes::default();
            mistakes.add(error.to_string());
            mistakes
        };
        let mut options = Options::from_arg_matches(given.settings()).map_err(refused)?;
        // A test's server sends no mail to the world because of an environment that it happens to be started in.
        if options.trial.ephemeral && given.settings().value_source("smtp_host") != Some(ValueSource::CommandLine) {
            options.smtp.host = None;
        }
        let task = match given.matches().subcommand() {
            Some(_) => Some(Task::from_arg_matches(given.matches()).map_err(refused)?),
            None => None,
        };
        let settings = Settings { task, options };
        let mut mistakes = given.mistakes;
        demands::check(&settings, &mut mistakes);
        if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
    }
}

impl Options {
    /// Where to listen; a test's server takes any free port.
    pub fn listen(&self, port: u16) -> SocketAddr {
        let port = if self.trial.ephemeral { 0 } else { port };
        self.listen.unwrap_or_else(|| loopback(port))
    }

    /// Where the admin port is, if there is one.
    pub fn admin_listen(&self) -> Option<SocketAddr> {
        self.admin_listen.or_else(|| self.trial.ephemeral.then(|| loopback(0)))
    }
}

/// A port of loopback.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn address(text: &str) -> Result<String, String> {
    text.parse::<Address>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}
