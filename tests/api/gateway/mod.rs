//! The one public port.

mod foreign;
mod http;
mod limits;
mod routing;
mod web;
