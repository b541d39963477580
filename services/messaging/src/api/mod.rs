//! The rpcs.

mod arriving;
pub mod ask;
mod block;
mod connect;
pub mod conversation;
mod conversation_view;
pub mod device;
pub mod event;
mod invitation;
pub mod live;
pub mod message;
pub mod message_view;
mod moment;
pub mod participant;
pub mod receipt;
