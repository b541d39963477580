//! The rpcs.

pub mod ask;
mod connect;
pub mod conversation;
mod conversation_view;
pub mod device;
pub mod event;
pub mod live;
pub mod message;
pub mod participant;
pub mod receipt;
pub mod told;
