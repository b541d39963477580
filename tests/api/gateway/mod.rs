//! The one public port.

mod foreign;
mod http;
mod limits;
mod operation;
mod routing;
mod web;
