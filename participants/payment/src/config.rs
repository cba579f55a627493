//! Settings of the payment participant.

use amends_participant::Pools;
use amends_service::{DatabaseConfig, HttpConfig};
use serde::{Deserialize, Serialize};

use crate::gateway;

/// Settings of the payment participant. Section `payment` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Its HTTP listener. Loopback unless said otherwise: what it shows is for operators.
    pub http: HttpConfig,
    /// Its own database.
    pub database: DatabaseConfig,
    /// How many connections to it.
    pub pools: Pools,
    /// How it works on commands.
    pub participant: amends_participant::Config,
    /// How the provider is reached.
    pub gateway: gateway::Config,
    /// Rows in one answer of a list unless `limit` says otherwise.
    pub page_count: u64,
    /// Most rows in one answer of a list: what one page of a console can use.
    pub page_count_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(8083),
            database: DatabaseConfig::at("sqlite://amends-data/payment.db"),
            pools: Pools::default(),
            participant: amends_participant::Config::default(),
            gateway: gateway::Config::default(),
            page_count: 50,
            page_count_max: 500,
        }
    }
}
