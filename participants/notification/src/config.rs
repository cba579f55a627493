//! Settings of the notification participant.

use serde::{Deserialize, Serialize};

use crate::smtp;

/// Settings of the notification participant. Section `notification` of the configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The mail server.
    pub smtp: smtp::Config,
    /// What becomes of a mail of which nobody knows whether it was sent.
    pub on_uncertain: OnUncertain,
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
