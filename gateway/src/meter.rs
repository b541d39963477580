//! Counting: one handle per method and code, made once, so that a call only adds.

use std::array;
use std::time::Duration;

use http::HeaderMap;
use metrics::{Counter, Histogram, counter, histogram};
use tonic::{Code, Status};

/// How many codes there are, OK among them.
const CODES: usize = 17;

/// What is counted of one method.
pub struct Meter {
    calls: [Counter; CODES],
    seconds: Histogram,
}

impl Meter {
    pub fn new(method: &str) -> Meter {
        let method = method.trim_start_matches('/').to_owned();
        let counted = |code: usize| {
            let code = format!("{:?}", Code::from_i32(code as i32));
            counter!("quartet_gateway_calls_total", "method" => method.clone(), "code" => code)
        };
        Meter {
            calls: array::from_fn(counted),
            seconds: histogram!("quartet_gateway_call_seconds", "method" => method.clone()),
        }
    }

    /// Counts an answer by the code in its head; of a stream that is what it began with.
    pub fn record(&self, headers: &HeaderMap, time: Duration) {
        if let Some(counter) = self.calls.get(code(headers) as usize) {
            counter.increment(1);
        }
        self.seconds.record(time);
    }
}

/// The code in the head of an answer. One that has none there carries it at its end.
pub fn code(headers: &HeaderMap) -> Code {
    headers.get(Status::GRPC_STATUS).map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
