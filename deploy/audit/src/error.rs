//! Why an audit could not look.

use amends_server::verify::VerifyError;

/// Why it could not be looked. What was found so far is lost: half an audit proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A place that cannot be: whoever wrote it down has to mend it.
    #[error("{source_name}: {why}")]
    Config {
        /// Whose place.
        source_name: &'static str,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A place that does not answer.
    #[error("{source_name} cannot be read: {why}")]
    Unavailable {
        /// Which.
        source_name: String,
        /// Why.
        why: String,
    },
    /// The orchestrator's database.
    #[error("the orchestrator's database: {0}")]
    Store(#[from] amends_store::Error),
    /// The broker.
    #[error("the broker: {0}")]
    Broker(#[from] amends_broker::Error),
    /// The journals could not be verified.
    #[error("the journals: {0}")]
    Verify(#[from] VerifyError),
}

impl Error {
    /// Whether a configuration is to blame, so that trying again changes nothing.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Config { .. }
            | Self::Store(amends_store::Error::Config { .. })
            | Self::Broker(amends_broker::Error::Config(_)) => true,
            Self::Unavailable { .. } | Self::Store(_) | Self::Broker(_) | Self::Verify(_) => false,
        }
    }

    /// As the reading of one source goes wrong.
    pub(crate) fn reading(source_name: &str) -> impl Fn(sea_orm::DbErr) -> Self + use<> {
        let source_name = source_name.to_owned();
        move |error| Self::Unavailable { source_name: source_name.clone(), why: error.to_string() }
    }
}
