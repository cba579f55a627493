//! The process's metrics: recorded through the `metrics` facade anywhere, shown as Prometheus text.
//!
//! Invariant: recorded samples are folded every few seconds whether or not anybody scrapes, so that memory
//! stays flat.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the buckets of every histogram, in the metric's own unit. Wide enough for seconds
/// (half a millisecond to a minute) and for counts (1 to 1,024).
const BUCKETS: [f64; 22] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 100.0,
    128.0, 256.0, 512.0, 768.0, 1024.0,
];

/// How often recorded samples are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// The content type of Prometheus' text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

static RECORDER: OnceLock<Metrics> = OnceLock::new();

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(Option<PrometheusHandle>);

impl Metrics {
    /// Those of this process; the first call starts recording. All services of one process share them.
    #[must_use]
    pub fn of_process() -> Self {
        RECORDER.get_or_init(install).clone()
    }

    /// All metrics as Prometheus text.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.as_ref().map(PrometheusHandle::render).unwrap_or_default()
    }

    /// The answer to `GET /metrics`.
    #[must_use]
    pub fn response(&self) -> Response {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], self.render()).into_response()
    }
}

fn install() -> Metrics {
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).map(|builder| builder.build_recorder());
    let Ok(recorder) = recorder else { unreachable!("the buckets are not empty") };
    let handle = recorder.handle();
    if ::metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("somebody else records this process's metrics; /metrics stays empty");
        return Metrics(None);
    }
    let upkeep = handle.clone();
    let thread = std::thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(UPKEEP);
            upkeep.run_upkeep();
        }
    });
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread folds metrics; they grow until somebody scrapes them");
    }
    Metrics(Some(handle))
}
