//! Files up and down beside nginx on the same disk, and the first byte of a range in a long one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::installation::{Embedded, Engine};
use crate::peer::nginx_files::NginxFiles;
use crate::process::Meter;
use crate::report::{Bound, Report, figure, median};
use crate::settings::Settings;
use crate::transfer::{Content, Desk, Getter, http_put};

/// The file that goes up and down, in MiB; in a hurry a shorter one.
const SIZE: u64 = 512;
const QUICK: u64 = 24;
/// The long file, and how often a range of it is asked for.
const LONG: u64 = 10_000_000_000;
const RANGES: u64 = 200;
const RANGE: u64 = 64 << 10;
/// Memory that a transfer may take, in MiB, whatever is transferred.
const MEMORY: f64 = 64.0;

const WAYS: [Way; 7] =
    [Way::NginxPut, Way::NginxPutSynced, Way::Upload, Way::PutChunk, Way::NginxGet, Way::HttpGet, Way::Download];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    NginxPut,
    NginxPutSynced,
    Upload,
    PutChunk,
    NginxGet,
    HttpGet,
    Download,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::NginxPut => "nginx PUT",
            Way::NginxPutSynced => "nginx PUT, then fsync",
            Way::Upload => "Upload (stream)",
            Way::PutChunk => "PutChunk (8 MiB)",
            Way::NginxGet => "nginx GET",
            Way::HttpGet => "GET /media/…",
            Way::Download => "Download (stream)",
        }
    }

    fn is_nginx(self) -> bool {
        matches!(self, Way::NginxPut | Way::NginxPutSynced | Way::NginxGet)
    }

    /// What it is held against.
    fn peer(self) -> Option<Way> {
        match self {
            Way::Upload | Way::PutChunk => Some(Way::NginxPutSynced),
            Way::HttpGet | Way::Download => Some(Way::NginxGet),
            _ => None,
        }
    }
}

/// What one transfer has cost.
#[derive(Clone, Copy)]
struct Cost {
    /// MiB a second.
    rate: f64,
    /// Seconds of the server's CPU for a GiB.
    cpu: f64,
    /// MiB that the server's memory stood above its idle state at most.
    memory: f64,
}

struct Stage {
    embedded: Embedded,
    nginx: NginxFiles,
    desk: Desk,
    /// A file that is there to be fetched, as Quartet and as nginx know it.
    media_id: String,
    content: Content,
    idle: [f64; 2],
}

impl Stage {
    async fn set(size: u64) -> anyhow::Result<Stage> {
        let embedded = tokio::task::block_in_place(|| Embedded::start(Engine::Sqlite, "files", &[]))?;
        let nginx = tokio::task::block_in_place(NginxFiles::start)?;
        let desk = Desk::open(embedded.address()).await?;
        let idle = [embedded.server.meter().memory_of_all(), nginx.meter().memory_of_all()];
        let content = Content::new(0, size);
        let media_id = desk.upload(&content).await?;
        http_put(nginx.address(), "/there", &content).await?;
        Ok(Stage { embedded, nginx, desk, media_id, content, idle })
    }

    async fn transfer(&self, way: Way, number: u64) -> anyhow::Result<Cost> {
        let content = Content::new(number, self.content.size() - 16);
        let (meter, idle) = if way.is_nginx() {
            (self.nginx.meter(), self.idle[1])
        } else {
            (self.embedded.server.meter(), self.idle[0])
        };
        let watch = Watch::begin(meter.clone());
        let (cpu, began) = (meter.cpu(), Instant::now());
        let made = self.carry_out(way, &content).await?;
        let (span, cpu) = (began.elapsed(), meter.cpu().saturating_sub(cpu));
        let memory = watch.end() - idle;
        if let Some(media_id) = made {
            self.desk.delete(&media_id).await?;
        }
        let mebibytes = content.size() as f64 / f64::from(1 << 20);
        Ok(Cost { rate: mebibytes / span.as_secs_f64(), cpu: cpu.as_secs_f64() / content.gibibytes(), memory })
    }

    /// The id of the file that has been made.
    async fn carry_out(&self, way: Way, content: &Content) -> anyhow::Result<Option<String>> {
        let got = match way {
            Way::Upload => return Ok(Some(self.desk.upload(content).await?)),
            Way::PutChunk => return Ok(Some(self.desk.put_chunks(content).await?)),
            Way::NginxPut | Way::NginxPutSynced => {
                http_put(self.nginx.address(), "/new", content).await?;
                let file = std::fs::File::open(self.nginx.path("new"))?;
                if way == Way::NginxPutSynced {
                    tokio::task::block_in_place(|| file.sync_all())?;
                }
                return Ok(None);
            }
            Way::NginxGet => Getter::connect(self.nginx.address(), None).await?.get("/there", None).await?,
            Way::HttpGet => {
                let mut getter = Getter::connect(self.desk.address, Some(&self.desk.token)).await?;
                getter.get(&format!("/media/{}", self.media_id), None).await?
            }
            Way::Download => self.desk.download(&self.media_id, 0, 0).await?,
        };
        ensure!(got.0 == content.size(), "{} bytes came", got.0);
        Ok(None)
    }
}

/// Looks again and again how much memory a server holds.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<f64>,
}

impl Watch {
    fn begin(meter: Meter) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut most = meter.memory_of_all();
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
                most = most.max(meter.memory_of_all());
            }
            most
        });
        Watch { stop, thread }
    }

    fn end(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or(f64::NAN)
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let size = if settings.quick { QUICK } else { SIZE };
    let costs = runtime()?.block_on(async {
        let stage = Stage::set(size << 20).await?;
        let mut costs: Vec<Vec<Cost>> = WAYS.iter().map(|_| Vec::new()).collect();
        for round in 0..settings.rounds as u64 {
            for (at, way) in WAYS.into_iter().enumerate() {
                costs[at].push(stage.transfer(way, 1 + round * WAYS.len() as u64 + at as u64).await?);
            }
        }
        anyhow::Ok(costs)
    })?;
    let of = |way: Way, value: fn(&Cost) -> f64| {
        let at = WAYS.iter().position(|other| *other == way).unwrap_or_default();
        median(costs[at].iter().map(value))
    };
    let mut rows = Vec::new();
    for way in WAYS {
        let rate = of(way, |cost| cost.rate);
        let share = way.peer().map(|peer| rate / of(peer, |cost| cost.rate));
        let share_text = share.map_or_else(|| "–".to_owned(), figure);
        let (cpu, memory) = (of(way, |cost| cost.cpu), of(way, |cost| cost.memory));
        rows.push(vec![way.name().to_owned(), figure(rate), share_text, figure(cpu), figure(memory)]);
        if let Some(share) = share {
            report.goal(format!("{}: of nginx", way.name()), share, Bound::AtLeast(0.8));
            report.goal(format!("{}: MiB above idle", way.name()), memory, Bound::AtMost(MEMORY));
        }
    }
    report.say(&format!(
        "A file of {size} MiB, one at a time, everything in one process on a folder; nginx on the same disk"
    ));
    report.table(&["way", "MiB/s", "of nginx", "server s/GiB", "MiB above idle"], &rows);
    Ok(())
}

/// The first byte of ranges anywhere in a file of 10 GB.
pub fn long(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let size = if settings.quick { QUICK << 20 } else { LONG };
    let room = rustix::fs::statvfs(std::env::temp_dir().as_path())?;
    ensure!(room.f_bavail * room.f_frsize > size + (2 << 30), "there is no room for a file of {size} bytes");
    runtime()?.block_on(measure_ranges(size, report))
}

async fn measure_ranges(size: u64, report: &mut Report) -> anyhow::Result<()> {
    let embedded = tokio::task::block_in_place(|| Embedded::start(Engine::Sqlite, "long", &[]))?;
    let nginx = tokio::task::block_in_place(NginxFiles::start)?;
    // A sparse file is as long as any, and nginx does not look into it.
    std::fs::File::create(nginx.path("there"))?.set_len(size)?;
    let (content, desk) = (Content::new(0, size), Desk::open(embedded.address()).await?);
    let idle = embedded.server.meter().memory();
    let watch = Watch::begin(embedded.server.meter());
    let media_id = desk.upload(&content).await?;
    let memory = watch.end() - idle;
    // A new token: the upload may have taken longer than one lives.
    let desk = Desk::open(embedded.address()).await?;
    let path = format!("/media/{media_id}");
    let rows = vec![
        row("nginx GET", by_http(nginx.address(), None, "/there", size).await?),
        row("GET /media/…", by_http(desk.address, Some(&desk.token), &path, size).await?),
        row("Download (stream)", by_stream(&desk, &media_id, size).await?),
    ];
    report.say(&format!(
        "The first byte of {RANGES} ranges of {} KiB in a file of {} MB",
        RANGE >> 10,
        size / 1_000_000
    ));
    report.table(&["way", "p50 ms", "p99 ms"], &rows);
    report.goal("upload of the long file: MiB above idle", memory, Bound::AtMost(MEMORY));
    Ok(())
}

fn row(name: &str, mut times: Vec<Duration>) -> Vec<String> {
    times.sort_unstable();
    let at =
        |share: f64| times.get((times.len() as f64 * share) as usize).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    vec![name.to_owned(), figure(at(0.5)), figure(at(0.99))]
}

/// Where the ranges begin: all over the file, the same for everybody.
fn offsets(size: u64) -> impl Iterator<Item = u64> {
    (0..RANGES).map(move |number| (number * 7919 % RANGES) * ((size - RANGE) / RANGES))
}

async fn by_http(address: SocketAddr, token: Option<&str>, path: &str, size: u64) -> anyhow::Result<Vec<Duration>> {
    let mut getter = Getter::connect(address, token).await?;
    let mut times = Vec::new();
    for offset in offsets(size) {
        let (count, first) = getter.get(path, Some((offset, RANGE))).await?;
        ensure!(count == RANGE, "{count} bytes came");
        times.push(first);
    }
    Ok(times)
}

async fn by_stream(desk: &Desk, media_id: &str, size: u64) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for offset in offsets(size) {
        let (count, first) = desk.download(media_id, offset, RANGE).await?;
        ensure!(count == RANGE, "{count} bytes came");
        times.push(first);
    }
    Ok(times)
}
