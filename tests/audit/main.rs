//! The auditor on real books: a system that did everything right has nothing to hide, and each violation that
//! is planted into a copy of its books is found and named.
//!
//! A check that was never seen to fail proves nothing; so there is a plant for each invariant.

#![allow(clippy::expect_used, reason = "a test may stop with a word")]

mod day;
mod forgeries;
mod plants;
mod postgres;
mod sqlite;
