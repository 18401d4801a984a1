//! The real binary: commands, crashes, several processes on one database, the page in a browser.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it skips"
)]

mod cluster;
mod commands;
mod crash;
mod curating;
mod disk;
mod gateway;
mod history;
mod operating;
mod page;
mod support;
