//! The whole configuration: each crate's own, under one roof.
//!
//! Invariant: what can be set is what stands here; everything else under `AMENDS_` is an error.

use amends_crash as crash;
use amends_planted as planted;
use amends_service::{
    LogConfig, RuntimeConfig,
    config::{ConfigError, Loaded, Sources},
};
use serde::{Deserialize, Serialize};

use crate::cli::{ADMIN_URL_VARIABLE, API_KEY_VARIABLE, Settings};

/// All sections.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// How every service reaches the broker.
    pub(crate) nats: amends_broker::Config,
    /// What every service logs.
    pub(crate) log: LogConfig,
    /// What every service runs on.
    pub(crate) runtime: RuntimeConfig,
    /// The orchestrator.
    pub(crate) orchestrator: amends_server::Config,
    /// The inventory participant.
    pub(crate) inventory: amends_inventory::Config,
    /// The payment participant.
    pub(crate) payment: amends_payment::Config,
    /// The notification participant.
    pub(crate) notification: amends_notification::Config,
    /// The simulated payment provider.
    pub(crate) provider: amends_payment::provider::Config,
}

/// Reads it: defaults < `DATABASE_URL` < file < environment < `--set`.
///
/// # Errors
/// [`ConfigError`], which names every key that is wrong and where it stands.
pub(crate) fn load(settings: &Settings) -> Result<Loaded<Config>, ConfigError> {
    let sources = Sources::of_process(settings.config.as_deref())?
        .reserve(&[API_KEY_VARIABLE, ADMIN_URL_VARIABLE])
        .reserve(crash::VARIABLES)
        .reserve(planted::VARIABLES)
        .fallback("orchestrator.database.url", "DATABASE_URL");
    settings.set.iter().fold(sources, |sources, (key, value)| sources.flag(key, value, "--set")).load()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(environment: &[(&str, &str)]) -> Sources {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Sources::new(None, environment.iter().map(owned).collect())
    }

    #[test]
    fn every_service_has_its_section() {
        let loaded: Loaded<Config> = sources(&[
            ("AMENDS_NATS__URL", "nats://n:1"),
            ("AMENDS_INVENTORY__DATABASE__URL", "sqlite://i.db"),
            ("AMENDS_PAYMENT__DATABASE__URL", "sqlite://p.db"),
            ("AMENDS_NOTIFICATION__DATABASE__URL", "sqlite://m.db"),
            ("AMENDS_PROVIDER__DATABASE__URL", "sqlite://b.db"),
            ("AMENDS_ORCHESTRATOR__HTTP__LISTEN", "127.0.0.1:1"),
            ("AMENDS_ORCHESTRATOR__ADMIN__LISTEN", "127.0.0.1:2"),
        ])
        .load()
        .unwrap();
        assert_eq!(loaded.value.nats.url.to_string(), "nats://n:1");
        assert_eq!(loaded.value.inventory.database.url, "sqlite://i.db");
    }

    #[test]
    fn the_database_url_is_the_orchestrators_unless_it_has_its_own() {
        let url = |environment: &[(&str, &str)]| {
            let sources = sources(environment).fallback("orchestrator.database.url", "DATABASE_URL");
            sources.load::<Config>().unwrap().value.orchestrator.database.url
        };
        let shared = ("DATABASE_URL", "postgres://db/all");
        assert_eq!(url(&[shared]), "postgres://db/all");
        assert_eq!(
            url(&[shared, ("AMENDS_ORCHESTRATOR__DATABASE__URL", "postgres://db/own")]),
            "postgres://db/own"
        );
    }

    #[test]
    fn the_defaults_are_complete_and_can_be_read_back() {
        let loaded: Loaded<Config> = sources(&[]).load().unwrap();
        assert!(loaded.settings.len() > 80, "{}", loaded.settings.len());
        assert!(loaded.settings.iter().all(|setting| setting.source == "default"));
    }
}
