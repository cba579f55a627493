//! The notification participant: tells customers by mail what became of their order.
//!
//! Mail cannot be both certain and single. A mail whose fate is unknown is reported as `uncertain` and
//! listed, not sent again by itself. `catcher` is a mail server to try this against. Invariant: no
//! message is handed over before the database says `sending`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod config;
pub mod smtp;

use tokio_util::sync::CancellationToken;

pub use config::{Config, OnUncertain};

/// Runs the participant until the token is cancelled, then drains.
///
/// # Errors
/// It cannot start: the database or the configuration is at fault.
pub async fn run(
    config: Config,
    nats: amends_broker::Config,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let _ = (config, nats, shutdown);
    unimplemented!("waits for the participant SDK")
}
