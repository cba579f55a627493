//! Is the process alive, can it do its work, and which version is it.
//!
//! `/livez` says that requests are answered at all, `/readyz` runs every named check, `/version` and
//! `/metrics` say what it is and does.
//!
//! Invariant: a check that hangs counts as failed; one bad check never hides the others.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, FutureExt, join_all};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::metrics::Metrics;

/// How long one check may take. Shorter than the 10 s that probes usually wait, so that they get to read
/// which check it was.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// What one check does, and whether the service can do without it.
#[derive(Clone)]
struct Check {
    required: bool,
    run: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// The named checks of one service. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    service: &'static str,
    shutdown: CancellationToken,
    checks: Arc<RwLock<BTreeMap<&'static str, Check>>>,
}

impl Health {
    /// Of the service; not ready any more once `shutdown` is cancelled.
    #[must_use]
    pub fn new(service: &'static str, shutdown: &CancellationToken) -> Self {
        Self { service, shutdown: shutdown.clone(), checks: Arc::default() }
    }

    /// Adds a check, run by every `/readyz`. It answers why it fails, in words for an operator, without
    /// secrets. A check of the same name is replaced.
    pub fn add<F, Fut>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.insert(name, Check { required: true, run: Arc::new(move || check().boxed()) });
    }

    /// Adds a check without which the service does its work all the same, perhaps later: `/readyz` shows
    /// it and stays 200, for a balancer that took every instance away would make it worse.
    pub fn add_advisory<F, Fut>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.insert(name, Check { required: false, run: Arc::new(move || check().boxed()) });
    }

    fn insert(&self, name: &'static str, check: Check) {
        self.checks.write().unwrap_or_else(PoisonError::into_inner).insert(name, check);
    }

    /// Runs all checks side by side.
    pub async fn check(&self) -> Readiness {
        let checks: Vec<(&'static str, Check)> = {
            let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
            checks.iter().map(|(name, check)| (*name, check.clone())).collect()
        };
        let running = checks.into_iter().map(|(name, check)| async move {
            let problem = match tokio::time::timeout(CHECK_TIMEOUT, (check.run)()).await {
                Ok(result) => result.err(),
                Err(_) => Some(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
            };
            CheckResult { name: name.to_owned(), ok: problem.is_none(), required: check.required, problem }
        });
        let mut checks = join_all(running).await;
        if self.shutdown.is_cancelled() {
            let problem = Some("the process is shutting down".to_owned());
            checks.push(CheckResult { name: "shutdown".to_owned(), ok: false, required: true, problem });
        }
        Readiness { ready: checks.iter().all(|check| check.ok || !check.required), checks }
    }

    /// `/livez`, `/readyz`, `/version` and `/metrics`.
    #[must_use]
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> OpenApiRouter<S> {
        OpenApiRouter::new()
            .routes(routes!(livez))
            .routes(routes!(readyz))
            .routes(routes!(version))
            .routes(routes!(metrics))
            .with_state(self.clone())
    }
}

/// Whether a service can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// All required checks passed.
    pub ready: bool,
    /// Each check, by name.
    pub checks: Vec<CheckResult>,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckResult {
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub ok: bool,
    /// Whether the service cannot do its work without it.
    pub required: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Which version runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Version {
    /// The service.
    pub service: &'static str,
    /// The release.
    pub version: &'static str,
    /// The commit it was built from, when the build said so (`AMENDS_COMMIT`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<&'static str>,
}

/// The process answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
async fn livez() -> &'static str {
    "alive\n"
}

/// Every check by name; 503 when a required one fails.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
async fn readyz(State(health): State<Health>) -> Response {
    let readiness = health.check().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(readiness)).into_response()
}

/// Which version runs.
#[utoipa::path(get, path = "/version", tag = "health", responses((status = 200, body = Version)))]
async fn version(State(health): State<Health>) -> axum::Json<Version> {
    axum::Json(Version {
        service: health.service,
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("AMENDS_COMMIT"),
    })
}

/// Metrics of the process as Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String)))]
async fn metrics() -> Response {
    Metrics::of_process().response()
}
