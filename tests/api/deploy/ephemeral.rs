//! Servers that are there for a test.

use std::time::Instant;

use crate::harness::prelude::*;
use crate::harness::{Process, promised, quartet};

#[test]
fn s60_an_ephemeral_server_listens_on_loopback_alone() {
    for (flag, address) in [("--listen", "0.0.0.0:0"), ("--listen", "[::]:0"), ("--admin-listen", "192.0.2.1:80")] {
        let refused = quartet(&["--ephemeral", flag, address]);
        assert_eq!(refused.status.code(), Some(2), "{flag} {address}: {refused:?}");
        assert!(refused.stderr.contains(&format!("`{flag}`")), "{}", refused.stderr);
    }
    let answers = [["--redis-answer-milliseconds", "1"], ["--database-answer-milliseconds", "1"]];
    let others = [&["--clock-file", "/tmp/clock"][..], &["--mail-directory", "/tmp/mail"], &["--exit-with-stdin"]];
    for flag in others.into_iter().chain(answers.iter().map(|answer| &answer[..])) {
        let refused = quartet(flag);
        assert_eq!(refused.status.code(), Some(2), "{flag:?}: {refused:?}");
        assert!(refused.stderr.contains("goes with `--ephemeral`"), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn f12_an_ephemeral_server_leaves_nothing_behind() {
    let arguments = ["--ephemeral", "--exit-with-stdin"].map(str::to_owned);
    let mut process = Process::start(&arguments).await;
    let data = process.started.data.clone();
    assert!(data.join("identity.db").exists());
    let began = Instant::now();
    process.signal(rustix::process::Signal::TERM);
    let status = process.ended(promised(Duration::from_secs(10))).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "after {:?}", began.elapsed());
    assert!(!data.exists());
}

#[tokio::test]
async fn i25_a_fault_that_does_not_exist_is_refused() {
    let world = World::shared().await;
    let unknown = quartet_proto::control::v1::SetFaultRequest { fault: 0, failing: true, ..Default::default() };
    let refused = refusal(world.control().set_fault(unknown).await);
    assert_eq!((refused.code, refused.fields.as_slice()), (Code::InvalidArgument, &["fault".to_owned()][..]));
}
