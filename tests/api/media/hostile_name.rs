//! Names of files that want to be more than names.

use std::collections::BTreeSet;
use std::path::Path;

use super::{project, put_all, sha256, video};
use crate::harness::prelude::*;
use crate::harness::wire;

/// In every name, to find it wherever it may come out.
const MARK: &str = "s51canary";

/// Two hundred names that have led out of folders, or into other names.
fn names() -> Vec<String> {
    let ups = [
        "../",
        "..\\",
        "../../../../../../",
        "..%2f",
        "..%5c",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%252f",
        "..%c0%af",
        "..%ef%bc%8f",
        "....//",
        "..;/",
        ".\u{2024}/",
        "\u{ff0e}\u{ff0e}\u{ff0f}",
        "..\u{2215}",
        "..\u{2044}",
        "/",
        "//",
        "\\\\server\\share\\",
        "C:\\",
        "C:/",
        "file:///",
        "~/",
        "~root/",
        "./",
        ".",
        "..",
        "",
        " ",
        "\u{202e}",
        "\u{2066}",
        "\u{200f}",
        "\u{feff}",
        "\u{85}",
        "\0",
        "\r\n",
        "\n",
        "\t",
        "\u{7f}",
        "\"",
        "'",
        "`",
        "$(id)",
        "; ",
        "| ",
        "& ",
        "<script>",
        "--",
        "-rf ",
        "*",
    ];
    let ends = ["", ".mp4", "/../../etc/passwd", "\0.mp4"];
    let mut names: Vec<String> =
        ups.iter().flat_map(|up| ends.iter().map(move |end| format!("{up}{MARK}{end}"))).collect();
    names.truncate(184);
    for device in
        ["CON", "PRN", "AUX", "NUL", "COM1", "LPT1", "con.mp4", "nul.", "a:b", ".htaccess", ".ssh", "lost+found"]
    {
        names.push(device.to_owned());
    }
    names.push("x".repeat(4096));
    names.push("é".repeat(255));
    names.push(format!("{MARK}{}", "/..".repeat(80)));
    names.push(format!("\u{202e}4pm.{MARK}"));
    names
}

#[tokio::test]
async fn s51_two_hundred_hostile_names_name_nothing_but_files_of_the_project() {
    let names = names();
    assert_eq!(names.len(), 200);
    let world = World::own().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let (mut taken, mut refused) = (0, 0);
    for (number, name) in names.iter().enumerate() {
        // All bytes differ, so each has an object of its own.
        let bytes = (number as u32).to_le_bytes();
        let asked = video(&project.project_id, name, &bytes);
        let upload = match ada.uploads(&world).start_upload(asked).await {
            Ok(answer) => answer.into_inner().upload.unwrap(),
            Err(status) => {
                let refusal = Refusal::from(status);
                assert_eq!(refusal.is(), (Code::InvalidArgument, "FIELDS_INVALID"), "{name:?}");
                assert_eq!(refusal.fields, ["name"], "{name:?}");
                refused += 1;
                continue;
            }
        };
        let media = put_all(&world, &ada, &upload, &bytes).await;
        assert_eq!(media.sha256, sha256(&bytes));
        is_one_safe_header(&world, &ada, &media).await;
        let renamed = Media { media_id: media.media_id.clone(), name: format!("{name}2"), ..Default::default() };
        let mask = prost_types::FieldMask { paths: vec!["name".to_owned()] };
        let asked = UpdateMediaRequest { media: Some(renamed), update_mask: Some(mask) };
        if let Ok(answer) = ada.media(&world).update_media(asked).await {
            is_one_safe_header(&world, &ada, &answer.into_inner().media.unwrap()).await;
        }
        taken += 1;
    }
    assert!(taken > 100 && refused > 20, "{taken} taken, {refused} refused");
    nothing_is_named_so(&world, taken);
}

/// The one header in which a name comes out holds nothing that a client would read otherwise.
async fn is_one_safe_header(world: &World, ada: &Person, media: &Media) {
    let bearer = format!("Bearer {}", ada.access_token);
    let target = format!("/media/{}", media.media_id);
    let answer = wire::send(world.gateway(), "GET", &target, &[("authorization", &bearer)], b"").await;
    assert_eq!((answer.status, answer.body.len()), (200, 4), "{:?}", media.name);
    let dispositions = answer.headers.iter().filter(|(name, _)| name == "content-disposition").count();
    let header = answer.header("content-disposition").unwrap_or_default();
    assert_eq!(dispositions, 1, "{header}");
    let (kind, rest) = header.split_once("; filename=\"").unwrap_or_else(|| panic!("{header}"));
    assert!(matches!(kind, "attachment" | "inline"), "{header}");
    let (plain, more) = rest.split_once('"').unwrap_or_else(|| panic!("{header}"));
    assert!(plain.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !b"\"\\/%".contains(&byte)), "{header}");
    let encoded = more.strip_prefix("; filename*=UTF-8''").unwrap_or_else(|| {
        assert!(more.is_empty(), "{header}");
        ""
    });
    assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&byte)), "{header}");
    for wrong in ["%2F", "%5C", "%00", "%0D", "%0A", "%E2%80%AE"] {
        assert!(!encoded.contains(wrong), "{header}");
    }
}

/// Objects have the server's names, as many as there are files, and no file of the machine has the user's.
fn nothing_is_named_so(world: &World, files: usize) {
    let objects: Vec<String> = match (world.data(), world.grounds()) {
        (Some(data), _) => {
            let mut found = BTreeSet::new();
            below(&data, &mut found);
            assert!(found.iter().all(|path| !path.contains(MARK)), "{found:?}");
            let root = data.join("media");
            let root = root.to_str().unwrap();
            found
                .iter()
                .filter_map(|path| path.strip_prefix(root)?.strip_prefix("/objects/"))
                .map(str::to_owned)
                .collect()
        }
        (None, Some(grounds)) => {
            let objects = grounds.s3.objects();
            objects
                .iter()
                .map(|(name, _)| name.strip_prefix("objects/").expect("an object elsewhere").to_owned())
                .collect()
        }
        (None, None) => unreachable!("neither a folder nor a bucket"),
    };
    assert!(objects.len() >= files, "{} objects", objects.len());
    for name in objects {
        let (folder, id) = name.split_once('/').expect("no folder");
        let is_id = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        assert!(folder.len() == 2 && is_id && id.ends_with(folder), "{name}");
    }
    for place in ["/", "/etc", "/tmp", "/root", "/home", "."] {
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
        let strangers: Vec<_> = entries.filter(|entry| entry.file_name().to_string_lossy().contains(MARK)).collect();
        assert!(strangers.is_empty(), "{strangers:?}");
    }
}

fn below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, found);
        } else {
            found.insert(path.to_string_lossy().into_owned());
        }
    }
}
