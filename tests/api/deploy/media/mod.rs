//! `quartet media put` and `get`, as somebody uses them on a machine of their own.

mod line;

use std::path::{Path, PathBuf};

use self::line::{Fate, Line};
use crate::harness::prelude::*;
use crate::harness::{Authority, Output, quartet_command};
use crate::media::{downloaded, noise, project, sha256};

/// The part of a file that is stored at a time.
const PART: usize = 8 << 20;

/// Somebody with a folder, a file in it, and a project.
struct Desk {
    folder: tempfile::TempDir,
    ada: Person,
    project_id: String,
    bytes: Vec<u8>,
}

impl Desk {
    async fn set(world: &World, length: usize) -> Desk {
        let ada = world.sign_up("ada").await;
        let project_id = project(world, &ada, "Holiday").await.project_id;
        let folder = tempfile::tempdir().unwrap();
        let bytes = noise(crate::harness::unique(), length);
        std::fs::write(folder.path().join("beach.mp4"), &bytes).unwrap();
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        let password = folder.path().join("password");
        std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Desk { folder, ada, project_id, bytes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command line of a tool, as Ada with her password.
    fn command(&self, server: &str, words: &[&str]) -> Vec<String> {
        let password = self.path("password").to_str().unwrap().to_owned();
        let who = ["--server", server, "--account", &self.ada.email, "--account-password-file", &password];
        let words = [&["media"], words, &who[..]].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    fn put(&self, server: &str) -> Vec<String> {
        self.command(server, &["put", self.path("beach.mp4").to_str().unwrap(), &self.project_id])
    }

    async fn uploads(&self, world: &World) -> Vec<UploadStatus> {
        let asked = ListUploadsRequest { project_id: self.project_id.clone(), ..Default::default() };
        self.ada.uploads(world).list_uploads(asked).await.unwrap().into_inner().uploads
    }

    async fn media(&self, world: &World) -> Vec<Media> {
        let asked = ListMediaRequest { project_id: self.project_id.clone(), ..Default::default() };
        self.ada.media(world).list_media(asked).await.unwrap().into_inner().media
    }
}

async fn run(world: &World, command: Vec<String>) -> Output {
    world.quartet(&command.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The file's id, of a command that must have gone well.
async fn stored(world: &World, command: Vec<String>) -> String {
    let output = run(world, command).await;
    assert!(output.status.success(), "{output:?}");
    let (_, rest) = output.stdout.split_once(" is media ").unwrap_or_else(|| panic!("{output:?}"));
    rest.split(':').next().unwrap().to_owned()
}

fn server(world: &World) -> String {
    format!("http://{}", world.gateway())
}

#[tokio::test]
async fn m6_a_file_that_is_put_comes_back_and_the_same_again_changes_nothing() {
    let world = World::shared().await;
    let desk = Desk::set(&world, PART + 12_345).await;
    let media_id = stored(&world, desk.put(&server(&world))).await;
    let [media] = &desk.media(&world).await[..] else { panic!("not one file") };
    assert_eq!((media.media_id.as_str(), media.name.as_str()), (media_id.as_str(), "beach.mp4"));
    assert_eq!((media.kind(), media.content_type.as_str()), (MediaKind::Video, "video/mp4"));
    assert_eq!(media.sha256, sha256(&desk.bytes));
    assert!(downloaded(&world, &desk.ada, &media_id).await == desk.bytes);

    let line = Line::to(world.gateway(), Fate::None).await;
    assert_eq!(stored(&world, desk.put(&line.url())).await, media_id);
    assert!(line.up() < 100_000, "nothing was sent again: {}", line.up());

    let back = desk.path("back.mp4");
    let get = desk.command(&server(&world), &["get", &media_id, back.to_str().unwrap()]);
    for _ in 0..2 {
        let output = run(&world, get.clone()).await;
        assert!(output.status.success(), "{output:?}");
        assert!(std::fs::read(&back).unwrap() == desk.bytes);
    }
    assert!(!desk.path("back.mp4.part").exists());

    let sessions = desk.ada.sessions(&world).list_sessions(ListSessionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(sessions.sessions.len(), 1, "the commands have signed out: {sessions:?}");
}

#[tokio::test]
async fn m6_an_access_token_is_as_good_as_a_password() {
    let world = World::shared().await;
    let desk = Desk::set(&world, 1000).await;
    let (file, url) = (desk.path("beach.mp4"), server(&world));
    let mut command = vec!["media", "put", file.to_str().unwrap(), &desk.project_id, "--server", &url];
    command.extend(["--access-token", &desk.ada.access_token, "--name", "Evening.mp4"]);
    stored(&world, command.into_iter().map(str::to_owned).collect()).await;
    assert_eq!(desk.media(&world).await[0].name, "Evening.mp4");
}

#[tokio::test]
async fn m6_an_upload_whose_process_was_killed_goes_on_where_it_was() {
    let world = World::shared().await;
    let desk = Desk::set(&world, 3 * PART + 1).await;
    // The second part never comes whole: while it was being written the next process would send it in vain.
    let line = Line::to(world.gateway(), Fate::Stall(2 * PART as u64 - 200_000)).await;
    let mut command = quartet_command(&desk.put(&line.url()));
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let mut process = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let before = eventually("a part is stored", async || {
        desk.uploads(&world).await.pop().filter(|upload| upload.offset_bytes >= PART as i64)
    })
    .await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(desk.media(&world).await.is_empty(), "nothing of it can be read");

    let line = Line::to(world.gateway(), Fate::None).await;
    let media_id = stored(&world, desk.put(&line.url())).await;
    let rest = desk.bytes.len() as u64 - before.offset_bytes as u64;
    assert!(line.up() < rest + 200_000, "{} bytes for {rest}", line.up());
    let asked = GetUploadRequest { upload_id: before.upload_id };
    let upload = desk.ada.uploads(&world).get_upload(asked).await.unwrap().into_inner().upload.unwrap();
    assert_eq!((upload.state(), &upload.media_id), (UploadState::Completed, &media_id), "it is the very upload");
    assert!(downloaded(&world, &desk.ada, &media_id).await == desk.bytes);
}

#[tokio::test]
async fn m6_an_upload_whose_connection_breaks_goes_on_by_itself() {
    let world = World::shared().await;
    let desk = Desk::set(&world, 3 * PART).await;
    let line = Line::to(world.gateway(), Fate::Stall(PART as u64 + 1_000_000)).await;
    // While a part is being written it would be asked for once more.
    let cut = async {
        let is_stored = async || desk.uploads(&world).await.pop().filter(|upload| upload.offset_bytes >= PART as i64);
        eventually("a part is stored", is_stored).await;
        line.cut();
    };
    let (media_id, ()) = tokio::join!(stored(&world, desk.put(&line.url())), cut);
    assert!(line.connections() >= 2, "{}", line.connections());
    assert!(line.up() < 4 * PART as u64 + 500_000, "{}", line.up());
    assert_eq!(desk.media(&world).await[0].media_id, media_id);
    assert!(downloaded(&world, &desk.ada, &media_id).await == desk.bytes);
}

#[tokio::test]
async fn m7_a_download_goes_on_where_it_was_broken_off() {
    let world = World::shared().await;
    let desk = Desk::set(&world, 2 * PART).await;
    let media_id = stored(&world, desk.put(&server(&world))).await;
    let back = desk.path("back.mp4");
    let get = |url: &str| desk.command(url, &["get", &media_id, back.to_str().unwrap()]);

    let half = &desk.bytes[..PART + 77];
    std::fs::write(desk.path("back.mp4.part"), half).unwrap();
    let line = Line::to(world.gateway(), Fate::None).await;
    let output = run(&world, get(&line.url())).await;
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(&back).unwrap() == desk.bytes);
    assert!(line.down() < (desk.bytes.len() - half.len()) as u64 + 500_000, "{}", line.down());
    std::fs::remove_file(&back).unwrap();

    let line = Line::to(world.gateway(), Fate::Cut(PART as u64)).await;
    let output = run(&world, get(&line.url())).await;
    assert!(output.status.success(), "{output:?}");
    assert!(line.connections() >= 2 && line.down() < 3 * PART as u64, "{} {}", line.connections(), line.down());
    assert!(std::fs::read(&back).unwrap() == desk.bytes);
    std::fs::remove_file(&back).unwrap();

    let other: Vec<u8> = desk.bytes[..PART].iter().map(|byte| !byte).collect();
    std::fs::write(desk.path("back.mp4.part"), other).unwrap();
    let output = run(&world, get(&server(&world))).await;
    assert!(output.status.success() && output.stderr.contains("beginning anew"), "{output:?}");
    assert!(std::fs::read(&back).unwrap() == desk.bytes);
}

#[tokio::test]
async fn m7_a_download_overwrites_nothing_and_stays_in_its_folder() {
    let world = World::shared().await;
    let desk = Desk::set(&world, 1000).await;
    let file = desk.path("beach.mp4");
    let words = ["put", file.to_str().unwrap(), &desk.project_id, "--name", "../../escaped.mp4"];
    let media_id = stored(&world, desk.command(&server(&world), &words)).await;
    let folder = desk.path("in");
    std::fs::create_dir(&folder).unwrap();
    let get = desk.command(&server(&world), &["get", &media_id, folder.to_str().unwrap()]);
    assert!(run(&world, get.clone()).await.status.success());
    let [only] = &names(&folder)[..] else { panic!("{:?}", names(&folder)) };
    std::fs::write(folder.join(only), b"mine").unwrap();
    let refused = run(&world, get).await;
    assert!(!refused.status.success() && refused.stderr.contains("is another file"), "{refused:?}");
    assert_eq!(std::fs::read(folder.join(only)).unwrap(), b"mine");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Over TLS to a server whose certificate is trusted, and to no other.
#[tokio::test]
async fn s62_files_go_over_tls_to_who_is_trusted() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let pair = authority.sign();
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (written("cert.pem", &pair.cert), written("key.pem", &pair.key));
    let world = World::with(&["--gateway-tls-cert", &cert, "--gateway-tls-key", &key]).await;
    let email = world.administrator().await;
    let (file, url) = (written("beach.mp4", "waves"), format!("https://localhost:{}", world.gateway().port()));
    let command = ["media", "put", &file, "nothing", "--server", &url, "--account", &email];
    let command = [&command[..], &["--account-password", PASSWORD]].concat();
    let trusting = |pem: &str| {
        let roots = written("roots.pem", pem);
        let output = quartet_command(&command).env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR").output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = trusting(&authority.pem);
    assert!(said.contains("there is no such project"), "signed in, and was heard: {said}");
    let said = trusting(&Authority::new().pem);
    assert!(said.contains("can't reach https://localhost"), "{said}");
}

#[tokio::test]
async fn m6_what_is_wrong_is_said_in_a_sentence() {
    let world = World::shared().await;
    let desk = Desk::set(&world, 1000).await;
    let (file, url) = (desk.path("beach.mp4"), server(&world));
    let file = file.to_str().unwrap();
    let eve = world.sign_up("eve").await;
    let bare = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let as_eve = ["media", "put", file, &desk.project_id, "--server", &url, "--access-token", &eve.access_token];
    let wrong = ["media", "put", file, &desk.project_id, "--server", &url, "--account", "nobody@example.com"];
    let nowhere = ["media", "put", file, "p", "--server", "http://127.0.0.1:1", "--access-token", "abc"];
    for (command, expected) in [
        (bare(&["media", "put", file, &desk.project_id, "--server", &url]), "say who you are"),
        (bare(&as_eve), "there is no such project"),
        ([bare(&wrong), bare(&["--account-password", "Wrong1!horse"])].concat(), "invalid email or password"),
        (bare(&nowhere), "can't reach http://127.0.0.1:1"),
        (bare(&["media", "put", file, "p", "--server", "127.0.0.1:1"]), "`--server` is `127.0.0.1:1`"),
        (desk.command(&url, &["get", "0193"]), "there is no such file"),
        (desk.command(&url, &["put", "/nowhere.mp4", "p"]), "can't read /nowhere.mp4"),
    ] {
        let output = run(&world, command.clone()).await;
        assert!(!output.status.success(), "{command:?}: {output:?}");
        assert!(output.stderr.to_lowercase().contains(&expected.to_lowercase()), "{command:?}: {output:?}");
        assert!(!output.stderr.contains("panicked") && !output.stderr.contains("Wrong1"), "{output:?}");
    }
}
