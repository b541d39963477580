//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use quartet_proto::media::v1::MediaKind;

/// What to run or to do. Without one of these everything runs in one process.
#[derive(Subcommand, Debug, Clone)]
pub enum Task {
    /// Runs accounts, sessions and keys: one role of a fleet
    Identity,
    /// Runs movies and courses: one role of a fleet
    Catalogue,
    /// Runs projects and their files: one role of a fleet. With `put` or `get`: brings a file into a project, or out of one
    Media {
        #[command(subcommand)]
        tool: Option<MediaTool>,
    },
    /// Runs conversations, messages and pushes: one role of a fleet
    Messaging,
    /// Tries the pushes of an account's devices
    #[command(subcommand)]
    Push(Push),
    /// Runs the public port: one role of a fleet
    Gateway,
    /// Brings databases up to this version. A fleet's roles wait for it
    Migrate {
        /// Only this service's database
        #[arg(long)]
        only: Option<Context>,
    },
    /// Brings in movies, or accounts from another program
    #[command(subcommand)]
    Import(Import),
    /// Makes administrators
    #[command(subcommand)]
    Admin(Admin),
    /// Makes and removes programs that may act for accounts
    #[command(subcommand)]
    Clients(Clients),
    /// Changes the keys that tokens are signed with
    #[command(subcommand)]
    Keys(Keys),
    /// Prints the last mail that was written into the data directory
    Mail(Mail),
    /// Makes people, movies and a course to try things with, and prints once how to sign in
    ///
    /// Four people at `demo.example` (a teacher, two students, a moderator) with passwords that no other installation has, forty old
    /// films, and a course in which one student has been at work. An installation with accounts of its own is left alone without
    /// `--yes`. A second run changes nothing; one that was cut off is taken up.
    Seed {
        /// Also where there are accounts already
        #[arg(long)]
        yes: bool,
    },
    /// Prints the settings in force, with secrets hidden, and where each comes from
    Config,
}

/// A service with a database.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    Identity,
    Catalogue,
    Media,
    Messaging,
}

/// What can be imported.
#[derive(Subcommand, Debug, Clone)]
pub enum Import {
    /// Imports movies from a CSV file. The same file again changes nothing
    Movies {
        /// The file
        file: PathBuf,
    },
    /// Imports accounts with their bcrypt hashes. An address that has an account is left as it is; nobody gets a mail
    Accounts {
        /// The file: CSV with a header line, or a JSON object a line, with `email` and, all optional, `password_hash`,
        /// `email_verified`, `first_name`, `last_name`, `roles`, `create_time`
        file: PathBuf,
        /// Its form, when the name's end does not tell
        #[arg(long)]
        format: Option<AccountFormat>,
    },
}

/// The form of a file of accounts.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountFormat {
    Csv,
    Jsonl,
}

/// What can be done with files, as an account of a server that may be anywhere.
#[derive(Subcommand, Debug, Clone)]
pub enum MediaTool {
    /// Uploads a file into a project. Broken off, the same command goes on where it was; the same file again changes nothing
    Put(Put),
    /// Downloads a file. Broken off, the same command goes on where it was
    Get(Get),
}

/// What can be done with pushes, as an account of a server that may be anywhere.
#[derive(Subcommand, Debug, Clone)]
pub enum Push {
    /// Sends a push to a device and prints what came of each step. Without a device: prints the account's devices
    Test {
        /// The device's id
        device: Option<String>,
    },
}

/// What to upload.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct Put {
    /// The file
    pub file: PathBuf,
    /// The project's id
    pub project: String,
    /// What it is, when the name's end does not tell
    #[arg(long)]
    pub kind: Option<FileKind>,
    /// Its type, such as `video/mp4`, when the name's end does not tell
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// Its name in the project, when it is to be another one
    #[arg(long)]
    pub name: Option<String>,
    /// How long to wait for a server or a line that is away
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub patience: u64,
}

/// What to download.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct Get {
    /// The file's id, as `media put` prints it
    pub media: String,
    /// The file or the folder that it goes to. Without it: into this folder, under its own name
    pub file: Option<PathBuf>,
    /// How long to wait for a server or a line that is away
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub patience: u64,
}

/// What a file is in its project.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Video,
    Transcript,
    AiSummary,
    AiAudio,
    AiVideo,
}

impl From<FileKind> for MediaKind {
    fn from(kind: FileKind) -> MediaKind {
        match kind {
            FileKind::Video => MediaKind::Video,
            FileKind::Transcript => MediaKind::Transcript,
            FileKind::AiSummary => MediaKind::AiSummary,
            FileKind::AiAudio => MediaKind::AiAudio,
            FileKind::AiVideo => MediaKind::AiVideo,
        }
    }
}

/// What can be done about administrators.
#[derive(Subcommand, Debug, Clone)]
pub enum Admin {
    /// Makes an administrator, or makes the account with this address one and gives it the password
    Create {
        /// The address
        email: String,
        /// File whose first line is the password, `-` for the standard input. Without it the password is asked on the terminal
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

/// What can be done about programs that act for accounts.
#[derive(Subcommand, Debug, Clone)]
pub enum Clients {
    /// Makes a client and prints its id and its key. The key is shown this once
    Create {
        /// The name, which the owners of accounts read in their sessions: letters, digits, `-` and `_`
        name: String,
        /// What it may do: `token.mint`, ask for access tokens of accounts
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
    },
    /// Lists the clients
    List,
    /// Deletes a client and ends the sessions that it has started
    Delete {
        /// The name
        name: String,
    },
}

/// What can be done about keys.
#[derive(Subcommand, Debug, Clone)]
pub enum Keys {
    /// Begins the change to a new signing key. Tokens that were given out stay good
    Rotate {
        /// In an emergency: refuse every token that earlier keys have signed, at once
        #[arg(long)]
        withdraw_now: bool,
    },
}

/// Which mails to print.
#[derive(Args, Debug, Clone)]
#[group(skip)]
pub struct Mail {
    /// Only mails to this address
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// All of them, the oldest first
    #[arg(long)]
    pub all: bool,
}

impl Task {
    /// Whether it runs until it is told to stop.
    pub fn is_role(&self) -> bool {
        matches!(self, Task::Identity | Task::Catalogue | Task::Media { tool: None } | Task::Messaging | Task::Gateway)
    }
}
