//! Conversations, and what is said in them.

mod connect;
mod contact;
mod conversation;
mod conversation_list;
mod edit;
mod erasure;
mod history;
mod history_page;
pub mod listener;
mod live;
mod live_fleet;
pub mod meet;
mod message;
mod numbering;
mod participant;
pub mod push;
mod race;
mod reaction;
mod receipt;
mod retention;
mod search;
mod send_race;
mod slow;
pub mod talk;
