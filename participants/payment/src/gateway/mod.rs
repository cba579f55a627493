//! The seam to the payment provider. Another provider is another [`Gateway`].
//!
//! Invariant: every call names a key, and calling again under it never takes or gives money twice.

mod classify;
mod config;
mod http;

use async_trait::async_trait;

pub use config::Config;
pub use http::{HttpGateway, InvalidGateway};

use crate::domain::{Charge, Money, Verdict};

/// A payment provider that honours idempotency keys for longer than our inbox remembers effects.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Takes the money, at most once per key.
    async fn charge(&self, key: &str, charge: &Charge) -> Verdict;

    /// Gives back a part of what was taken under `charge_key`, or (`None`) all that is left of it; at most
    /// once per key, and never more than was taken.
    async fn refund(&self, key: &str, charge_key: &str, part: Option<Money>) -> Verdict;

    /// Whether the provider can be reached; for `/readyz` only.
    ///
    /// # Errors
    /// Why not, for people.
    async fn reach(&self) -> Result<(), String>;
}
