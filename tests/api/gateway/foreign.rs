//! Clients that know nothing of ours: everything they use they learn by reflection.

use std::process::{Command, Stdio};

use bytes::Bytes;

use crate::harness::prelude::*;
use crate::harness::repository;

/// A program that `tests/run` has got; without it, as with `cargo test` alone, there is nothing to ask.
fn program(variable: &str) -> Option<Command> {
    let program = std::env::var(variable).ok().filter(|program| !program.is_empty())?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    Some(command)
}

async fn run(mut command: Command) -> (bool, String, String) {
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// A world with the movies of a fixture. A fleet's gateway serves reflection only when told to.
async fn reflecting() -> World {
    let world = World::with(&["--gateway-reflection", "true"]).await;
    let content = Bytes::from(std::fs::read(fixture("movies.csv")).unwrap());
    let mut steps = world.admin().await.imports(&world);
    let mut steps = steps.import_movie_file(ImportMovieFileRequest { content }).await.unwrap().into_inner();
    let mut last = None;
    while let Some(step) = steps.message().await.unwrap() {
        last = Some(step);
    }
    assert_eq!(last.unwrap().summary.unwrap().movies_stored, 10);
    world
}

#[tokio::test]
async fn python_registers_signs_in_and_reads_movies_by_reflection_alone() {
    let Some(mut python) = program("QUARTET_TEST_PYTHON") else { return };
    let world = reflecting().await;
    let control = world.control_port().to_string();
    python.arg(repository("tests/foreign/client.py")).arg(world.gateway().to_string()).arg(control);
    let (ok, stdout, stderr) = run(python).await;
    assert!(ok, "{stdout}\n{stderr}");
    assert!(stdout.ends_with("all well\n"), "{stdout}");
}

#[tokio::test]
async fn buf_curl_lists_movies_and_shows_a_refusal() {
    let Some(mut buf) = program("QUARTET_TEST_BUF") else { return };
    let world = reflecting().await;
    let address = |path: &str| format!("http://{}/{path}", world.gateway());
    buf.args([
        "curl",
        "--http2-prior-knowledge",
        "--protocol",
        "grpc",
        "--data",
        r#"{"pageSize": 3, "orderBy": "score desc"}"#,
    ]);
    buf.arg(address("quartet.catalogue.v1.MovieService/ListMovies"));
    let (ok, stdout, stderr) = run(buf).await;
    assert!(ok, "{stdout}\n{stderr}");
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let names: Vec<_> =
        answer["movies"].as_array().unwrap().iter().map(|movie| movie["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["The Day After", "Kaze no Machi", "Snow on the Volga"]);
    assert_eq!(answer["totalSize"], 10);

    let mut buf = program("QUARTET_TEST_BUF").unwrap();
    buf.args(["curl", "--protocol", "grpcweb", "--schema"]).arg(repository("proto"));
    buf.args(["--data", r#"{"movieId": "00000000-0000-7000-8000-000000000000"}"#]);
    buf.arg(address("quartet.catalogue.v1.MovieService/GetMovie"));
    let (ok, stdout, stderr) = run(buf).await;
    assert!(!ok && stderr.contains("not_found"), "{stdout}\n{stderr}");
}
