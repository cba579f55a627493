//! What the handlers share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::{ApiConfig, Config};
use crate::core::Core;
use crate::idempotency::InFlight;
use crate::keys::Door;

/// State of both routers. Cheap to clone.
#[derive(Clone)]
pub(super) struct App(Arc<Inner>);

pub(super) struct Inner {
    pub(super) core: Core,
    pub(super) door: Door,
    pub(super) api: ApiConfig,
    pub(super) in_flight: InFlight,
    /// How old a saga may be whose commands participants still run, in seconds.
    pub(super) horizon_s: u64,
    /// Whether the service subjects are answered.
    pub(super) service_subjects: bool,
    /// Ends waits, so that shutting down need not sit them out.
    pub(super) shutdown: CancellationToken,
}

impl App {
    pub(super) fn new(core: Core, config: &Config, shutdown: &CancellationToken) -> Self {
        let door = Door::new(core.store().clone(), &config.api);
        let (api, shutdown) = (config.api.clone(), shutdown.clone());
        let (in_flight, horizon_s) = (InFlight::default(), config.horizon_s);
        let service_subjects = config.service_subjects;
        Self(Arc::new(Inner { core, door, api, in_flight, horizon_s, service_subjects, shutdown }))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}
