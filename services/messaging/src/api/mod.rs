//! The rpcs.

mod arriving;
pub mod ask;
mod block;
mod connect;
pub mod conversation;
mod conversation_view;
pub mod device;
pub mod event;
pub mod live;
pub mod message;
mod moment;
pub mod participant;
mod reach;
pub mod receipt;
pub mod told;
