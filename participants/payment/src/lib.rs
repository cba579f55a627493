//! The payment participant: charges and refunds, through a provider that is not ours.
//!
//! A charge is an effect outside our database, so every call carries the effect id as idempotency key
//! and is repeated under it until the answer is definite. [`provider`] is a simulated provider to try
//! this against. Invariant: at most one charge and one refund per effect id, whatever is killed.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod config;
pub mod domain;
pub mod gateway;
pub mod provider;

use tokio_util::sync::CancellationToken;

pub use config::Config;

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
