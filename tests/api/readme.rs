//! The README's first five minutes, run as they stand there.

use std::process::{Command, Stdio};

use crate::harness::prelude::*;
use crate::harness::{quartet_command, repository};

/// The commands of a section: its `sh` blocks, one after the other.
fn commands(section: &str) -> String {
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let (_, text) = readme.split_once(&format!("\n## {section}\n")).expect("the README has this section");
    let text = text.split("\n## ").next().unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let of_terminals = blocks.map(|block| match block.starts_with("# the second terminal\n") {
        true => format!("second() {{\n{block}}}\nsecond > \"$QUARTET_DATA/heard\" 2>&1 &\nheard caughtUp\n"),
        false => block.to_owned(),
    });
    of_terminals.collect()
}

/// The same commands against `world`: its port and data directory in the place of the usual ones, and this binary in the place of
/// `cargo run`. A line that must fail (`! …`) ends the script when it does not, what a person breaks off is broken off, and a printed
/// address is opened. What the second terminal shows is waited for before the end, and so is its own.
fn script(world: &World) -> String {
    let commands = commands("The first five minutes");
    let own = commands
        .replace("cargo run --quiet --", "executable")
        .replace("127.0.0.1:8000", &world.gateway().to_string())
        .replace("/tmp/", "$QUARTET_DATA/")
        .replace("data/token", "\"$QUARTET_DATA/token\"")
        .replace("head -c 500000000", "head -c 50000000");
    let strict = own.lines().map(|line| {
        if let Some(command) = line.strip_prefix("! ") {
            format!("if {command}; then exit 1; fi\n")
        } else if let Some(address) = line.strip_prefix("echo \"http://") {
            format!("{line}\nopened \"http://{address}\n")
        } else if line.starts_with("rpc identity.v1.SessionService/SignOut") {
            format!("heard readSeq\n{line}\nwait\ncat \"$QUARTET_DATA/heard\"\n")
        } else if line.ends_with("# break it off …") {
            line.replacen("quartet", "broken_off", 1) + "\n"
        } else {
            format!("{line}\n")
        }
    });
    format!("set -eu\n{EXECUTABLE}{}", strict.collect::<String>())
}

/// Runs this binary as the executable, as `harness::role` does.
const EXECUTABLE: &str = r#"
executable() {
    TESTED_EXECUTABLE_ARGUMENTS=$(printf '%s\037' "$@") "$BINARY" --exact harness::role::a_process_of_the_installation \
        --nocapture --test-threads=1 | sed '1,/'"$(printf '\036')"'/s/.*'"$(printf '\036')"'//'
}

# Ctrl-C once something is stored. A machine that is faster than that has nothing to break off.
broken_off() {
    TESTED_EXECUTABLE_ARGUMENTS=$(printf '%s\037' "$@") "$BINARY" --exact harness::role::a_process_of_the_installation \
        --nocapture --test-threads=1 > /dev/null &
    while kill -0 $! 2> /dev/null; do
        if rpc media.v1.UploadService/ListUploads '{"project_id": "'"$PROJECT"'"}' | grep -q offsetBytes; then break; fi
    done
    kill -INT $! 2> /dev/null || true
    wait $! || true
}

# The second terminal shows something, within half a minute.
heard() {
    for _ in $(seq 300); do
        if grep -q "$1" "$QUARTET_DATA/heard"; then return; fi
        sleep 0.1
    done
    cat "$QUARTET_DATA/heard"
    exit 1
}

opened() {
    python3 -c 'import sys, urllib.request as web; page = web.urlopen(sys.argv[1]); print(page.headers["Content-Type"], len(page.read()))' "$1"
}
"#;

#[tokio::test]
async fn the_first_five_minutes_go_as_the_readme_says() {
    let Some(buf) = std::env::var("QUARTET_TEST_BUF").ok().filter(|buf| !buf.is_empty()) else { return };
    let world = World::own().await;
    if world.is_fleet() {
        return;
    }
    let folder = std::path::Path::new(&buf).parent().unwrap().display().to_string();
    let environment = quartet_command::<&str>(&[]);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script(&world)).current_dir(repository("")).stdin(Stdio::null());
    for (name, _) in environment.get_envs().filter(|(_, value)| value.is_none()) {
        shell.env_remove(name);
    }
    shell.env("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap_or_default()));
    shell
        .env("BINARY", format!("/proc/{}/exe", std::process::id()))
        .env("QUARTET_DATA", world.data().unwrap_or_default())
        .env("QUARTET_SERVER", format!("http://{}", world.gateway()));
    let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // Whoever prints JSON puts one blank or two behind a colon.
    let (stdout, stderr) = (text(&output.stdout).replace("\":  ", "\": "), text(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    for sign in [
        "Activate your account",
        "User account activated successfully.",
        "Password reset successfully.",
        "the laptop",
        "the phone",
        "movies stored",
        "\"JPN\"",
        "\"decades\": [",
        "you@example.com is a new administrator",
        "\"passed\": true",
        "\"completedBlocks\": 2",
        "\"averageGrade\": 95",
        "beach.mp4 is media ",
        "video/mp4 49434",
        "The film begins at eight.",
        "\"started\"",
        "\"caughtUp\"",
        "\"receipt\"",
    ] {
        assert!(stdout.contains(sign), "`{sign}` is not in:\n{stdout}\n{stderr}");
    }
    assert!(stderr.contains("unauthenticated"), "{stderr}");
}
