//! Settings of the inventory participant.

use amends_participant::Pools;
use amends_service::{DatabaseConfig, HttpConfig};
use serde::{Deserialize, Serialize};

/// Settings of the inventory participant. Section `inventory` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Its HTTP listener. Loopback unless said otherwise: whoever reaches it can restock.
    pub http: HttpConfig,
    /// Its own database.
    pub database: DatabaseConfig,
    /// How many connections to it.
    pub pools: Pools,
    /// How it works on commands.
    pub participant: amends_participant::Config,
    /// Items in one answer of the list unless `limit` says otherwise.
    pub page_count: u64,
    /// Most items in one answer of the list: what one page of a console can use.
    pub page_count_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(8082),
            database: DatabaseConfig::at("sqlite://amends-data/inventory.db"),
            pools: Pools::default(),
            participant: amends_participant::Config::default(),
            page_count: 100,
            page_count_max: 1_000,
        }
    }
}
