//! How much one client may do.

mod accounts;
mod network;
mod peers;

use std::time::Duration;

use quartet_chassis::failure::Failure;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::Code;

pub use self::accounts::Accounts;
pub use self::network::{Network, NotANetwork};
pub use self::peers::{Client, Connected, OpenStream, Peers, Turn};

/// The answer to a call too many.
fn rate_limited(what: &str, wait: Duration) -> Failure {
    let failure =
        Failure::new(Code::ResourceExhausted, ErrorReason::RateLimited, format!("too many {what}: come back later"));
    // A moment more than computed, so that a client that comes back on time is not refused by a rounding.
    failure.with("limit", what).retry_after(wait + Duration::from_millis(1))
}
