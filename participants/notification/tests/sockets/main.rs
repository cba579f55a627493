//! SMTP and the participant over real sockets, a real broker and real databases.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop with a word")]

mod smtp;
