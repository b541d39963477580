//! `quartet clients`, with and without a server on the data directory.

use super::command::well;
use super::home::Server;

#[tokio::test]
async fn i18_clients_are_made_whether_or_not_a_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let create = |name| ["clients", "create", name, "--scope", "token.mint"];
    let first = well(&data, &create("first")).await;
    assert!(first.contains("client_id: ") && first.contains("client_key: "), "{first}");
    let _server = Server::start(&data).await;
    well(&data, &create("second")).await;
    let list = well(&data, &["clients", "list"]).await;
    let names: Vec<&str> = list.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["first", "second"], "{list}");
    assert!(list.lines().all(|line| line.ends_with("last used never")), "{list}");
    well(&data, &["clients", "delete", "first"]).await;
    assert!(!well(&data, &["clients", "list"]).await.contains("first"));
}
