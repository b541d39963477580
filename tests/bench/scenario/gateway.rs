//! The gateway, in process and as a process of its own, beside a direct call and nginx.

use std::net::SocketAddr;
use std::sync::Arc;

use quartet_proto::identity::v1::GetMeRequest;

use crate::contest::{Contestant, Result, contest};
use crate::grpc::frame_bytes;
use crate::installation::{self, Embedded, Engine, FLEET_SECRET, MASTER_KEY, always, wait};
use crate::load::{Load, Script};
use crate::movies;
use crate::peer::nginx::Nginx;
use crate::peer::redis::Redis;
use crate::process::{Meter, Server, quartet};
use crate::report::{Bound, Report, figure};
use crate::settings::Settings;

const GET_MOVIE: &str = "/quartet.catalogue.v1.MovieService/GetMovie";
const GET_ME: &str = "/quartet.identity.v1.AccountService/GetMe";
/// Connections, and calls at the same time on each.
const SHAPES: [(usize, usize); 2] = [(1, 1), (8, 32)];

/// All servers of the scenario.
struct Stage {
    echo: Server,
    identity: Server,
    catalogue: Server,
    media: Server,
    messaging: Server,
    /// In front of identity and catalogue.
    gateway: Server,
    /// In front of the echo, which stands in for the catalogue.
    gateway_of_echo: Server,
    nginx: Nginx,
    embedded: Embedded,
    _redis: Redis,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn set(settings: &Settings) -> anyhow::Result<Stage> {
        let redis = Redis::start()?;
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data").display().to_string();
        let place = ["--data", &data, "--master-key", MASTER_KEY];
        quartet(&[&["migrate"], &place[..]].concat())?;
        installation::create_administrator(&place)?;

        let role = |words: &[&str]| {
            let fleet = [
                "--allow-sqlite",
                "--master-key",
                MASTER_KEY,
                "--fleet-secret",
                FLEET_SECRET,
                "--redis-url",
                &redis.url,
            ];
            Server::quartet(&[words, &fleet[..]].concat())
        };
        let database = |name: &str| format!("sqlite:{data}/{name}.db");
        let (of_identity, of_catalogue) = (database("identity"), database("catalogue"));
        let identity = role(&["identity", "--identity-database-url", &of_identity])?;
        let at = identity.listen.to_string();
        let catalogue = role(&["catalogue", "--identity-address", &at, "--catalogue-database-url", &of_catalogue])?;
        let echo = Server::echo()?;
        let files = ["--media-database-url", &database("media"), "--media-directory", &format!("{data}/media")];
        let media = role(&[&["media", "--identity-address", &at], &files[..]].concat())?;
        let at_media = media.listen.to_string();
        let of_messaging = database("messaging");
        let beside = ["--identity-address", &at, "--media-address", &at_media];
        let messaging = role(&[&["messaging", "--messaging-database-url", &of_messaging], &beside[..]].concat())?;
        let at_messaging = messaging.listen.to_string();
        let gateway = |catalogue: SocketAddr| {
            let catalogue = catalogue.to_string();
            let others = ["--catalogue-address", &catalogue, "--messaging-address", &at_messaging];
            role(&[&["gateway"], &beside[..], &others[..]].concat())
        };
        let (gateway, gateway_of_echo) = (gateway(catalogue.listen)?, gateway(echo.listen)?);
        let nginx = Nginx::start(&[echo.listen, catalogue.listen, identity.listen])?;
        let embedded = Embedded::start(Engine::Sqlite, "gateway", &[])?;

        let movies = movies::plain(settings)?;
        wait(async {
            for address in [gateway.listen, embedded.address()] {
                let token = installation::sign_in(address).await?.access_token;
                installation::import(address, &token, &movies.csv).await?;
            }
            Ok(())
        })?;
        Ok(Stage {
            echo,
            identity,
            catalogue,
            media,
            messaging,
            gateway,
            gateway_of_echo,
            nginx,
            embedded,
            _redis: redis,
            _folder: folder,
        })
    }
}

/// One way to one server: its name, where it is, gRPC-web or not, whose CPU counts as the proxy's, whose as the server's.
struct Way<'a> {
    name: &'static str,
    address: SocketAddr,
    web: bool,
    proxy: Option<Meter>,
    server: &'a Server,
}

impl Way<'_> {
    fn contestant(&self, path: &'static str, script: Script, token: Option<&str>, shape: (usize, usize)) -> Contestant {
        let load = Load {
            address: self.address,
            path,
            web: self.web,
            token: token.map(str::to_owned),
            script,
            connections: shape.0,
            streams: shape.1,
        };
        Contestant {
            name: self.name.to_owned(),
            load,
            meters: [Some(self.server.meter()), self.proxy.clone()].into_iter().flatten().collect(),
        }
    }
}

/// A call, all its ways, and what is asked in what form.
struct Course<'a> {
    what: &'static str,
    path: &'static str,
    script: Script,
    /// What it asks of the embedded installation, whose ids are others.
    embedded_script: Script,
    token: Option<String>,
    embedded_token: Option<String>,
    ways: Vec<Way<'a>>,
}

const DIRECT: &str = "direct";
const NGINX: &str = "nginx grpc_pass";
const GATEWAY: &str = "gateway process";
const GATEWAY_WEB: &str = "gateway process, gRPC-web";
const EMBEDDED: &str = "in process";
const EMBEDDED_WEB: &str = "in process, gRPC-web";

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let stage = Stage::set(settings)?;
    let idle = stage.gateway_of_echo.meter().memory();
    for course in courses(&stage)? {
        for shape in SHAPES {
            measure(settings, report, &course, shape)?;
        }
    }
    let rows = [
        ("gateway process, idle", idle),
        ("gateway process of the echo, after load", stage.gateway_of_echo.meter().memory()),
        ("gateway process of the fleet, after load", stage.gateway.meter().memory()),
        ("nginx, all processes", stage.nginx.meter().memory_of_all()),
        ("echo", stage.echo.meter().memory()),
        ("identity", stage.identity.meter().memory()),
        ("catalogue", stage.catalogue.meter().memory()),
        ("media", stage.media.meter().memory()),
        ("messaging", stage.messaging.meter().memory()),
        ("everything in one process", stage.embedded.server.meter().memory()),
    ];
    report.goal(
        "gateway process: resident after load, MiB",
        stage.gateway_of_echo.meter().memory(),
        Bound::AtMost(24.0),
    );
    report.table(&["resident", "MiB"], &rows.map(|(name, memory)| vec![name.to_owned(), figure(memory)]));
    Ok(())
}

fn courses(stage: &Stage) -> anyhow::Result<Vec<Course<'_>>> {
    let (gateway, embedded) = (stage.gateway.listen, stage.embedded.address());
    let (movies, embedded_movies, token, embedded_token) = wait(async {
        Ok((
            installation::get_movies(gateway).await?,
            installation::get_movies(embedded).await?,
            installation::sign_in(gateway).await?.access_token,
            installation::sign_in(embedded).await?.access_token,
        ))
    })?;
    let way = |name, address, web, proxy: Option<Meter>, server| Way { name, address, web, proxy, server };
    let nginx = || Some(stage.nginx.meter());
    let hundred_bytes = Script::Cycle(Arc::new(vec![frame_bytes(&[b'x'; 100])]));
    let through = |server, gateway: &Server, nginx_index: usize, direct: SocketAddr| {
        vec![
            way(DIRECT, direct, false, None, server),
            way(NGINX, stage.nginx.in_front_of(nginx_index), false, nginx(), server),
            way(GATEWAY, gateway.listen, false, Some(gateway.meter()), server),
            way(GATEWAY_WEB, gateway.listen, true, Some(gateway.meter()), server),
        ]
    };
    let in_process = || {
        let server = &stage.embedded.server;
        [way(EMBEDDED, embedded, false, None, server), way(EMBEDDED_WEB, embedded, true, None, server)]
    };
    let mut of_movies = through(&stage.catalogue, &stage.gateway, 1, stage.catalogue.listen);
    of_movies.extend(in_process());
    let mut of_me = through(&stage.identity, &stage.gateway, 2, stage.identity.listen);
    of_me.extend(in_process());
    Ok(vec![
        Course {
            what: "echo of 100 bytes",
            path: GET_MOVIE,
            script: hundred_bytes.clone(),
            embedded_script: hundred_bytes,
            token: None,
            embedded_token: None,
            ways: through(&stage.echo, &stage.gateway_of_echo, 0, stage.echo.listen),
        },
        Course {
            what: "GetMovie (SQLite)",
            path: GET_MOVIE,
            script: movies,
            embedded_script: embedded_movies,
            token: None,
            embedded_token: None,
            ways: of_movies,
        },
        Course {
            what: "GetMe with a token (SQLite)",
            path: GET_ME,
            script: always(&GetMeRequest {}),
            embedded_script: always(&GetMeRequest {}),
            token: Some(token),
            embedded_token: Some(embedded_token),
            ways: of_me,
        },
    ])
}

fn measure(settings: &Settings, report: &mut Report, course: &Course<'_>, shape: (usize, usize)) -> anyhow::Result<()> {
    let contestants = course.ways.iter().map(|way| {
        let embedded = way.name == EMBEDDED || way.name == EMBEDDED_WEB;
        let (script, token) =
            if embedded { (&course.embedded_script, &course.embedded_token) } else { (&course.script, &course.token) };
        way.contestant(course.path, script.clone(), token.as_deref(), shape)
    });
    let contestants: Vec<Contestant> = contestants.collect();
    let results = contest(settings, &contestants)?;
    let direct = results.first().map_or(f64::NAN, |result| result.rate);
    let row = |(contestant, result): (&Contestant, &Result)| {
        vec![
            contestant.name.clone(),
            figure(result.rate),
            figure(result.rate / direct),
            figure(result.p50),
            figure(result.p99),
            result.cpu_text(0),
            result.cpu_text(1),
        ]
    };
    let rows: Vec<_> = contestants.iter().zip(&results).map(row).collect();
    report.say(&format!("{}, {} × {}", course.what, shape.0, shape.1));
    report.table(&["way", "req/s", "of direct", "p50 ms", "p99 ms", "server µs", "proxy µs"], &rows);

    for (contestant, result) in contestants.iter().zip(&results) {
        let what = format!("{}, {}×{}: {}", course.what, shape.0, shape.1, contestant.name);
        let share = if shape == (1, 1) { 0.62 } else { 0.5 };
        match contestant.name.as_str() {
            EMBEDDED | EMBEDDED_WEB => {
                report.goal(format!("{what}, of direct"), result.rate / direct, Bound::AtLeast(0.95))
            }
            GATEWAY | GATEWAY_WEB => {
                report.goal(format!("{what}, of direct"), result.rate / direct, Bound::AtLeast(share));
                if shape != (1, 1) {
                    report.goal(format!("{what}, CPU µs"), result.cpu(1), Bound::AtMost(12.0));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
