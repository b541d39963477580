//! Accounts, sessions and tokens.

mod account;
mod audit;
mod challenge;
mod claims;
pub mod client;
mod crowded;
mod device;
mod directory;
pub mod email_change;
pub mod erasure;
pub mod feed;
mod fields;
mod hold;
mod import;
mod issue;
mod key;
mod leaving;
mod letters;
mod outage;
mod parallel;
mod password;
mod profile;
mod revocation;
mod role;
mod sameness;
mod session;
mod sign_in_code;
mod smtp;
mod swap;
mod takeover;
mod throttle;
mod timing;
pub mod token;

/// What has broken programs before (S-36): every field that takes a text gets to see it.
const HOSTILE: [&str; 24] = [
    "'",
    "''",
    "\"",
    "\\",
    "%",
    "_",
    "a%",
    "' or '1'='1",
    "'; drop table account; --",
    "$1",
    "?1",
    ":1",
    "))--",
    "\u{10ffff}",
    "\u{202e}evil",
    "\u{feff}x",
    "\u{e9}\u{301}\u{301}",
    "\u{1f468}\u{200d}\u{1f469}",
    "null",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "a\0b",
    "a\r\nBcc: b@example.com",
    "\u{1b}[31m",
];
