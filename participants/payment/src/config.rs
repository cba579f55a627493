//! Settings of the payment participant.

use serde::{Deserialize, Serialize};

use crate::gateway;

/// Settings of the payment participant. Section `payment` of the configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the provider is reached.
    pub gateway: gateway::Config,
}
