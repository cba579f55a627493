//! What the handlers share.

use std::sync::Arc;

use tokio::sync::Semaphore;
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
    /// Requests that may hold their answer back until a saga has ended.
    pub(super) waits: Arc<Semaphore>,
    /// Ends waits, so that shutting down need not sit them out.
    pub(super) shutdown: CancellationToken,
}

impl App {
    pub(super) fn new(core: Core, config: &Config, shutdown: &CancellationToken) -> Self {
        let door = Door::new(core.store().clone(), &config.api);
        let (api, shutdown) = (config.api.clone(), shutdown.clone());
        let (in_flight, horizon_s) = (InFlight::default(), config.horizon_s);
        let service_subjects = config.service_subjects;
        let waits = Arc::new(Semaphore::new(api.waits_max.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner { core, door, api, in_flight, horizon_s, service_subjects, waits, shutdown }))
    }

    /// What `Retry-After` says, in seconds: when what keeps the caller out is over, as far as that is known, or up to
    /// twice as long, so that all who are refused do not come back in step.
    pub(super) fn retry_after_s(&self, over_in_ms: Option<u64>) -> u32 {
        let ApiConfig { retry_after_s, retry_after_max_s, .. } = self.api;
        let least = retry_after_s.max(1);
        let over_in_s = over_in_ms.map_or(least, |ms| u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX));
        let over_in_s = over_in_s.clamp(least, retry_after_max_s.max(least));
        rand::random_range(over_in_s..=over_in_s.saturating_mul(2))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}
