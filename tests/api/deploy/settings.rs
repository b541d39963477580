//! Settings: all mistakes at once, secrets from files and never shown.

use std::os::unix::fs::PermissionsExt as _;

use super::quartet_with;
use crate::harness::quartet;

/// Keys that nobody has.
const KEY: &str = "5f1d0c6f1e4b7a9d3c2b8e7f60914d5a2c3e4f5061728394a5b6c7d8e9fa0b1c";
const OTHER_KEY: &str = "a91d0c6f1e4b7a9d3c2b8e7f60914d5a2c3e4f5061728394a5b6c7d8e9fa0b1c";

/// The lines that name mistakes.
fn mistakes(stderr: &str) -> Vec<&str> {
    stderr.lines().filter_map(|line| line.strip_prefix("  ")).collect()
}

#[test]
fn i25_every_mistake_is_named_in_one_start() {
    let variables = [
        ("QUARTET_IDENTITY_BCRYPT_COST", "99"),
        ("QUARTET_LISTEN", "nowhere"),
        ("QUARTET_REDIS_ULR", "redis://127.0.0.1"),
        ("QUARTET_MASTER_KEY", "hunter2"),
    ];
    let output = quartet_with(&variables, &["--gateway-calls", "many", "identity"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let found = mistakes(&output.stderr);
    for expected in [
        "`--gateway-calls` is `many`",
        "`QUARTET_IDENTITY_BCRYPT_COST` is `99`",
        "`QUARTET_LISTEN` is `nowhere`",
        "`QUARTET_MASTER_KEY` must be 64 hexadecimal digits",
        "`QUARTET_REDIS_ULR` is not a setting; the nearest is `QUARTET_REDIS_URL`",
        "`QUARTET_REDIS_URL` must be set",
        "`QUARTET_FLEET_SECRET` must be set",
        "`QUARTET_IDENTITY_DATABASE_URL` must be set",
        "`QUARTET_SMTP_HOST` must be set",
    ] {
        assert!(found.iter().any(|mistake| mistake.starts_with(expected)), "{expected}: {}", output.stderr);
    }
    assert_eq!(found.len(), 9, "{}", output.stderr);
    assert!(!output.stderr.contains("hunter2"), "{}", output.stderr);
}

#[test]
fn s60_a_bad_secret_is_refused_by_its_name_and_never_shown() {
    let sample = "0123456789abcdef".repeat(4);
    let nearly = &KEY[1..];
    let cases: [(&[(&str, &str)], &str); 8] = [
        (&[("QUARTET_MASTER_KEY", "")], "QUARTET_MASTER_KEY"),
        (&[("QUARTET_MASTER_KEY", nearly)], "QUARTET_MASTER_KEY"),
        (&[("QUARTET_MASTER_KEY", &sample)], "QUARTET_MASTER_KEY"),
        (&[("QUARTET_FLEET_SECRET", "838qKq7dGp34hWij3c8txA5ZD2qm9ybt")], "QUARTET_FLEET_SECRET"),
        (
            &[("QUARTET_FLEET_SECRET", "not-hexadecimal-not-hexadecimal-not-hexadecimal-not-hexadecimal-")],
            "QUARTET_FLEET_SECRET",
        ),
        (&[("QUARTET_MASTER_KEY", KEY), ("QUARTET_FLEET_SECRET", KEY)], "QUARTET_FLEET_SECRET"),
        (&[("QUARTET_SMTP_PASSWORD", "ChangeMe")], "QUARTET_SMTP_PASSWORD"),
        (&[("QUARTET_MASTER_KEY", KEY), ("QUARTET_MASTER_KEY_FILE", "/nowhere")], "QUARTET_MASTER_KEY"),
    ];
    for (variables, name) in cases {
        let output = quartet_with(variables, &["config"]);
        assert_eq!(output.status.code(), Some(2), "{variables:?}: {output:?}");
        assert!(output.stderr.contains(&format!("`{name}`")), "{name}: {}", output.stderr);
        for (_, value) in variables.iter().filter(|(_, value)| value.len() > 8 && !value.starts_with('/')) {
            assert!(!output.stderr.contains(value) && !output.stdout.contains(value), "{name}: {output:?}");
        }
    }
}

#[test]
fn s60_a_secret_lies_in_a_file_that_others_can_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let path = file.to_str().unwrap();
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = quartet_with(&[("QUARTET_MASTER_KEY_FILE", path)], &["config"]);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.contains("QUARTET_MASTER_KEY = (hidden) (file)"), "{}", output.stdout);

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = quartet_with(&[("QUARTET_MASTER_KEY_FILE", path)], &["config"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.contains("QUARTET_MASTER_KEY_FILE") && output.stderr.contains(path), "{}", output.stderr);
}

#[test]
fn x15_config_says_what_is_in_force_and_hides_secrets() {
    let database = "postgres://quartet:Tr0ub4dor@db/identity";
    let redis = "redis://:Tr0ub4dor@redis:6379";
    let variables =
        [("QUARTET_IDENTITY_DATABASE_URL", database), ("QUARTET_REDIS_URL", redis), ("QUARTET_LOG", "info,h2=warn")];
    let output = quartet_with(&variables, &["config", "--fleet-secret", OTHER_KEY, "--listen", "127.0.0.1:9000"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<&str> = output.stdout.lines().collect();
    for expected in [
        "QUARTET_LISTEN = 127.0.0.1:9000 (flag)",
        "QUARTET_LOG = info,h2=warn (environment)",
        "QUARTET_DATA = ./data (default)",
        "QUARTET_SMTP_HOST is not set",
        "QUARTET_FLEET_SECRET = (hidden) (flag)",
        "QUARTET_IDENTITY_DATABASE_URL = (hidden) (environment)",
        "QUARTET_REDIS_URL = (hidden) (environment)",
    ] {
        assert!(lines.contains(&expected), "{expected}: {}", output.stdout);
    }
    assert!(!output.stdout.contains("Tr0ub4dor") && !output.stdout.contains(OTHER_KEY), "{}", output.stdout);
}

#[test]
fn i25_a_role_alone_refuses_sqlite_unless_it_is_told() {
    let mut arguments = vec!["identity", "--identity-database-url", "sqlite:/nowhere/identity.db"];
    arguments.extend(["--master-key", KEY, "--fleet-secret", OTHER_KEY, "--redis-url", "redis://127.0.0.1:1"]);
    arguments.extend(["--smtp-host", "127.0.0.1", "--listen", "127.0.0.1:0"]);
    let refused = quartet(&arguments);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(
        mistakes(&refused.stderr),
        [
            "`QUARTET_IDENTITY_DATABASE_URL` names a SQLite file: a role that runs alone takes one only with `--allow-sqlite`"
        ]
    );
    arguments.push("--allow-sqlite");
    let allowed = quartet(&arguments);
    assert_eq!(allowed.status.code(), Some(1), "it starts, and there is no such folder: {allowed:?}");
}

#[test]
fn i25_a_wrong_command_line_does_not_hide_wrong_variables() {
    let output = quartet_with(&[("QUARTET_GATEWAY_CALLS", "many")], &["--colour"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stderr.contains("'--colour'"), "{}", output.stderr);
    assert!(output.stderr.contains("`QUARTET_GATEWAY_CALLS` is `many`"), "{}", output.stderr);
}
