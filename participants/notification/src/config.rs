//! Settings of the notification participant.

use std::path::PathBuf;

use amends_participant::Pools;
use amends_service::{DatabaseConfig, HttpConfig};
use serde::{Deserialize, Serialize};

use crate::smtp;

/// Settings of the notification participant. Section `notification` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Its HTTP listener. Loopback unless said otherwise: what it shows is for operators.
    pub http: HttpConfig,
    /// Its own database.
    pub database: DatabaseConfig,
    /// How many connections to it.
    pub pools: Pools,
    /// How it works on commands. A call is given up only after the longest that handing a mail over may
    /// take, and a shutdown waits longer than elsewhere: a mail that is cut off is in doubt.
    pub participant: amends_participant::Config,
    /// The mail server.
    pub smtp: smtp::Config,
    /// What becomes of a mail of which nobody knows whether it was sent.
    pub on_uncertain: OnUncertain,
    /// A folder with `confirmation.txt` and `rejection.txt`; for what is not there, ours are used.
    pub templates_dir: Option<PathBuf>,
    /// Rows in one answer of a list unless `limit` says otherwise.
    pub page_count: u64,
    /// Most rows in one answer of a list: what one page of a console can use.
    pub page_count_max: u64,
    /// Most mails that are noted as on their way in one transaction; one disk sync pays for all of them.
    pub notes_count_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        let smtp = smtp::Config::default();
        let participant = amends_participant::Config {
            call_timeout_ms: smtp.longest_ms().saturating_add(20_000),
            drain_ms: 20_000,
            ..amends_participant::Config::default()
        };
        Self {
            http: HttpConfig::on_port(8084),
            database: DatabaseConfig::at("sqlite://amends-data/notification.db"),
            pools: Pools::default(),
            participant,
            smtp,
            on_uncertain: OnUncertain::default(),
            templates_dir: None,
            page_count: 50,
            page_count_max: 500,
            notes_count_max: 256,
        }
    }
}

/// What becomes of a mail that was handed over without an answer. Mail cannot be both certain and
/// single; this chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUncertain {
    /// At most one mail: report the doubt and do not send again.
    #[default]
    Report,
    /// At least one mail: send again, under the same Message-ID.
    Resend,
}
