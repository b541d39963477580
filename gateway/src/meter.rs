//! Counting: one handle per method and code, made when it is first needed, so that a call only adds.

use std::array;
use std::sync::OnceLock;
use std::time::Duration;

use http::HeaderMap;
use metrics::{Counter, Histogram, counter, histogram};
use tonic::{Code, Status};

/// How many codes there are, OK among them.
const CODES: usize = 17;

/// What is counted of one method.
pub struct Meter {
    method: String,
    calls: [OnceLock<Counter>; CODES],
    seconds: Histogram,
}

impl Meter {
    pub fn new(path: &str) -> Meter {
        let method = path.trim_start_matches('/').to_owned();
        let seconds = histogram!("quartet_gateway_call_seconds", "method" => method.clone());
        Meter { method, calls: array::from_fn(|_| OnceLock::new()), seconds }
    }

    /// Counts an answer by the code in its head; of a stream that is what it began with.
    pub fn record(&self, headers: &HeaderMap, time: Duration) {
        let code = code(headers);
        if let Some(calls) = self.calls.get(code as usize) {
            calls.get_or_init(|| self.counter(code)).increment(1);
        }
        self.seconds.record(time);
    }

    fn counter(&self, code: Code) -> Counter {
        counter!("quartet_gateway_calls_total", "method" => self.method.clone(), "code" => format!("{code:?}"))
    }
}

/// The code in the head of an answer. One that has none there carries it at its end.
pub fn code(headers: &HeaderMap) -> Code {
    headers.get(Status::GRPC_STATUS).map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
