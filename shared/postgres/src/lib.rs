//! What whoever works on a PostgreSQL server needs beside a driver: a way to it over TCP that notices when it is gone,
//! and its clock, carried on between two looks at it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod clock;
mod relay;

pub use clock::{CLOCK_AHEAD_MAX_MS, Clock};
pub use relay::Relay;
