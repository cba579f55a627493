//! The doctor: does a deployment keep what Amends needs of it, and what would be lost in which failure?
//!
//! [`look`] asks broker, databases, files and this machine and brings facts; [`judge`] makes findings of them
//! and knows no I/O, so that each judgement can be tested without a server.
//!
//! Invariant: it only reads, it goes on when parts of a deployment are down and says what it could not look
//! at, and no finding holds a password.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod deployment;
mod facts;
mod finding;
mod judge;
mod look;
mod losses;
mod report;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use deployment::{Deployment, Participant};
pub use finding::{Area, Finding, Level};
pub use losses::Loss;
pub use report::Report;

/// Looks at a deployment and judges it; each part has `patience` to answer.
///
/// # Errors
/// Only when the configuration cannot be used at all; what is down is a finding.
pub async fn examine(deployment: &Deployment, patience: Duration) -> Result<Report, amends_broker::Error> {
    let facts = look::all(deployment, patience).await?;
    Ok(Report { findings: judge::all(deployment, &facts), losses: losses::table(deployment, &facts) })
}
