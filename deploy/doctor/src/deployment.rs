//! What is to be examined, as it is configured.
//!
//! Invariant: a role whose configuration is not here is not judged.

use amends_service::HttpConfig;

/// What is to be examined.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// How the broker is reached: by this user's eyes everything is seen.
    pub nats: amends_broker::Config,
    /// The orchestrator, where its configuration is here.
    pub orchestrator: Option<amends_server::Config>,
    /// The participants whose configuration is here.
    pub participants: Vec<Participant>,
}

/// A participant on the SDK.
#[derive(Clone, Debug)]
pub struct Participant {
    /// Its name, as definitions call it.
    pub name: &'static str,
    /// URL of its database.
    pub url: String,
    /// Connections that one process of it may open to its database.
    pub connections_max: u32,
    /// Its listener.
    pub http: HttpConfig,
    /// How old a saga may be whose commands it still runs, in seconds.
    pub horizon_s: u64,
    /// For how much longer it keeps inbox rows, in seconds.
    pub purge_margin_s: u64,
    /// For how long it keeps published events, in seconds.
    pub event_kept_s: u64,
    /// Most commands in one batch.
    pub batch_count_max: usize,
    /// Names of the steps that its tables have to have taken.
    pub migrations: Vec<String>,
}

/// The name of the orchestrator among owners of databases.
pub(crate) const ORCHESTRATOR: &str = amends_contract::ORCHESTRATOR;
