//! The one public port.

mod foreign;
mod frames;
mod http;
mod limits;
mod line;
mod operation;
mod routing;
mod tls;
mod unmigrated;
mod web;
