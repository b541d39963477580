//! Streams that end at the gateway: at the call's deadline, or a while after the process was told to stop.

use std::time::Duration;

use quartet_chassis::failure::Failure;
use quartet_chassis::serve::Drain;
use quartet_chassis::{deadline, ending};
use quartet_proto::r#type::v1::ErrorReason;
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;

use crate::limit::OpenStream;

/// The body of a stream's answer with an end to it. What counts the stream is kept until the body is gone.
pub fn ending(body: Body, deadline: Option<Instant>, drain: &Drain, counted: Option<OpenStream>) -> Body {
    let drain = drain.clone();
    let end = Box::pin(async move {
        let _counted = counted;
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => deadline::exceeded(),
            () = drain.streams_end() => shutting_down(),
        }
    });
    ending::ending(body, end)
}

fn shutting_down() -> Failure {
    let message = "the server shuts down: go on with another";
    Failure::new(Code::Unavailable, ErrorReason::ShuttingDown, message).retry_after(Duration::ZERO)
}
