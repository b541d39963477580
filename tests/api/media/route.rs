//! The way to media.

use crate::harness::prelude::*;
use crate::harness::raw;

#[tokio::test]
async fn every_service_of_media_is_behind_the_gateway_and_wants_a_token() {
    let world = World::shared().await;
    for rpc in [
        "ProjectService/GetUsage",
        "ProjectMemberService/ListMembers",
        "UploadService/GetUpload",
        "MediaService/GetMedia",
    ] {
        let path = format!("/quartet.media.v1.{rpc}");
        let refused = raw::call(world.channel(), &path, None, Vec::new()).await.expect_err("answered without a token");
        assert_eq!(refused.code(), Code::Unauthenticated, "{path}: {refused:?}");
    }
}
