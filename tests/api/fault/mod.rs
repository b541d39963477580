//! Parts that fail, clients that go away, processes that are told to stop. F-06, Redis, stands with the revocations.

mod cancelled;
mod clock;
mod commit;
mod drain;
mod erasure;
mod media;
mod messaging;
mod postgres;
mod stage;
mod start;
