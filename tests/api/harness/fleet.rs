//! An installation of processes: two identities, a catalogue, two medias, two messagings and a gateway, on databases, a Redis and a bucket of its own.

use std::path::PathBuf;
use std::sync::Arc;

use super::postgres::Postgres;
use super::process::{Process, quartet};
use super::redis::Redis;
use super::s3::S3;
use super::unique;

/// A running fleet. Its processes end when it is dropped.
pub struct Fleet {
    pub identities: Vec<Process>,
    pub catalogue: Process,
    pub medias: Vec<Process>,
    pub messagings: Vec<Process>,
    pub gateway: Process,
    pub grounds: Grounds,
}

/// What the roles know each other by.
pub const FLEET_SECRET: &str = "0808080808080808080808080808080808080808080808080808080808080808";

/// How long a database may take to answer that is known to be there.
const PATIENT_WITH_DATABASE: [&str; 2] = ["--database-answer-milliseconds", "20000"];

/// What a fleet stands on.
#[derive(Clone)]
pub struct Grounds {
    pub postgres: Postgres,
    pub redis: Arc<Redis>,
    /// The bucket, where the flags name no other store of objects.
    pub s3: Arc<S3>,
    /// What the names of its databases end with.
    number: String,
    folder: Arc<tempfile::TempDir>,
    flags: Vec<String>,
}

impl Grounds {
    /// Makes databases, migrated, a Redis and a bucket. The flags go to every role.
    pub async fn make(postgres: Postgres, flags: &[&str]) -> Grounds {
        let number = format!("{}_{}", std::process::id(), unique());
        let own = |service: &str| format!("{service}_{number}");
        let names = ["identity", "catalogue", "media", "messaging"].map(own);
        let (identity, catalogue, media, messaging, redis, s3) = tokio::join!(
            postgres.create_database(&names[0]),
            postgres.create_database(&names[1]),
            postgres.create_database(&names[2]),
            postgres.create_database(&names[3]),
            Redis::start(),
            S3::start(),
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("mail")).unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let mut all = vec![
            "--identity-database-url".to_owned(),
            identity,
            "--catalogue-database-url".to_owned(),
            catalogue,
            "--media-database-url".to_owned(),
            media,
            "--messaging-database-url".to_owned(),
            messaging,
            "--redis-url".to_owned(),
            redis.url(),
            "--master-key".to_owned(),
            hex::encode([7; 32]),
            "--fleet-secret".to_owned(),
            FLEET_SECRET.to_owned(),
            "--clock-file".to_owned(),
            path("clock"),
            "--mail-directory".to_owned(),
            path("mail"),
        ];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        // What all tests share is busy now and then, and never away.
        if postgres.is_shared() {
            all.extend(PATIENT_WITH_DATABASE.map(str::to_owned));
        }
        if !flags.contains(&"--media-store") {
            all.extend(s3.flags());
        }
        let (redis, s3) = (Arc::new(redis), Arc::new(s3));
        let folder = Arc::new(folder);
        Grounds { postgres, redis, s3, number, folder, flags: all }
    }

    /// The name of a service's database.
    pub fn database(&self, service: &str) -> String {
        format!("{service}_{}", self.number)
    }

    /// Runs the migrations of all services.
    pub async fn migrate(&self) {
        let command = self.command("migrate", &[]);
        let output = tokio::task::spawn_blocking(move || quartet(&command)).await.unwrap();
        assert!(output.status.success(), "migrate: {}", output.stderr);
    }

    /// The command line of a tool or a role with what it needs to know of the fleet.
    pub fn command(&self, words: &str, more: &[&str]) -> Vec<String> {
        let mut command: Vec<String> = words.split(' ').map(str::to_owned).collect();
        command.extend(self.flags.iter().cloned());
        command.extend(more.iter().map(|flag| (*flag).to_owned()));
        command
    }

    /// The command line of a role.
    pub fn role(&self, role: &str, more: &[&str]) -> Vec<String> {
        let mut command = self.command(role, more);
        command.extend(["--ephemeral".to_owned(), "--exit-with-stdin".to_owned()]);
        command
    }

    /// The command line with a clock of its own.
    fn with_clock(&self, mut command: Vec<String>, name: &str) -> Vec<String> {
        let at = command.iter().position(|word| word == "--clock-file").expect("no clock");
        command[at + 1] = self.path(name).to_str().unwrap().to_owned();
        command
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Fleet {
    /// Starts a fleet on the run's PostgreSQL.
    pub async fn start(flags: &[&str]) -> Fleet {
        Fleet::start_on(Postgres::of_this_run(), flags).await
    }

    /// Starts a fleet on this PostgreSQL.
    pub async fn start_on(postgres: Postgres, flags: &[&str]) -> Fleet {
        Fleet::start_with(postgres, flags, false).await
    }

    /// Starts a fleet whose processes have a clock each.
    pub async fn start_apart(postgres: Postgres, flags: &[&str]) -> Fleet {
        Fleet::start_with(postgres, flags, true).await
    }

    async fn start_with(postgres: Postgres, flags: &[&str], apart: bool) -> Fleet {
        let grounds = Grounds::make(postgres, flags).await;
        grounds.migrate().await;
        let identity = grounds.role("identity", &[]);
        let own = |role: Vec<String>, name: &str| if apart { grounds.with_clock(role, name) } else { role };
        let (one, two) = (own(identity.clone(), "clock-1"), own(identity, "clock-2"));
        let (one, two) = tokio::join!(Process::start(&one), Process::start(&two));
        let identities = vec![one, two];
        let addresses = listening(&identities);
        let catalogue = grounds.role("catalogue", &["--identity-address", &addresses]);
        let media = grounds.role("media", &["--identity-address", &addresses]);
        let messaging = grounds.role("messaging", &["--identity-address", &addresses]);
        let catalogue = own(catalogue, "clock-3");
        let (one, two) = (own(media.clone(), "clock-5"), own(media, "clock-6"));
        let (three, four) = (own(messaging.clone(), "clock-7"), own(messaging, "clock-8"));
        let (catalogue, one, two, three, four) = tokio::join!(
            Process::start(&catalogue),
            Process::start(&one),
            Process::start(&two),
            Process::start(&three),
            Process::start(&four)
        );
        let (medias, messagings) = (vec![one, two], vec![three, four]);
        let at = [addresses, catalogue.started.listen.to_string(), listening(&medias), listening(&messagings)];
        let gateway = grounds.role("gateway", &gateway_flags(&at));
        let gateway = Process::start(&own(gateway, "clock-4")).await;
        let fleet = Fleet { identities, catalogue, medias, messagings, gateway, grounds };
        for process in fleet.processes() {
            process.can_serve().await;
        }
        fleet
    }

    /// Every process, identity's first.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.identities
            .iter()
            .chain([&self.catalogue])
            .chain(&self.medias)
            .chain(&self.messagings)
            .chain([&self.gateway])
    }
}

/// Where the instances of a role are, as an address of it is written.
fn listening(processes: &[Process]) -> String {
    let addresses: Vec<String> = processes.iter().map(|process| process.started.listen.to_string()).collect();
    addresses.join(",")
}

/// What a gateway is told of the others: where identity, the catalogue, media and messaging are.
pub fn gateway_flags(at: &[impl AsRef<str>; 4]) -> [&str; 8] {
    let [identity, catalogue, media, messaging] = at.each_ref().map(AsRef::as_ref);
    [
        "--identity-address",
        identity,
        "--catalogue-address",
        catalogue,
        "--media-address",
        media,
        "--messaging-address",
        messaging,
    ]
}
