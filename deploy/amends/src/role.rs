//! The services that this binary can be.
//!
//! Invariant: a service runs the same way as a process of its own and as a part of the demo.

use std::fmt;

use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// One service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Provider,
    Inventory,
    Payment,
    Notification,
    Orchestrator,
}

impl Role {
    /// All of them, in an order in which they can be started.
    pub(crate) const ALL: [Self; 5] =
        [Self::Provider, Self::Inventory, Self::Payment, Self::Notification, Self::Orchestrator];

    /// Its command, and its section of the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Notification => "notification",
            Self::Orchestrator => "orchestrator",
        }
    }

    /// Runs it until `shutdown` is cancelled, then drains.
    ///
    /// # Errors
    /// It cannot start; the message says why and what to do.
    pub(crate) async fn run(self, config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
        // Boxed: a service's future is large, and it is made once.
        match self {
            Self::Provider => Box::pin(amends_payment::provider::run(config.provider, shutdown)).await,
            Self::Inventory => Box::pin(amends_inventory::run(config.inventory, config.nats, shutdown)).await,
            Self::Payment => Box::pin(amends_payment::run(config.payment, config.nats, shutdown)).await,
            Self::Notification => {
                Box::pin(amends_notification::run(config.notification, config.nats, shutdown)).await
            }
            Self::Orchestrator => {
                Box::pin(amends_server::run(config.orchestrator, config.nats, shutdown)).await
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
