//! The wire contract as a stranger sees it: golden files, round trips, and named errors.
//!
//! The golden files are the contract. A test that fails here means that participants in other languages
//! break, too; change a file only together with docs/PROTOCOL.md and the changelog.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod errors;
mod golden;
mod roundtrip;
mod samples;
