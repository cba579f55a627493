//! Latencies: a histogram of microseconds with three digits.
//!
//! Invariant: nothing is left out; what takes longer than can be told counts as the longest.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Ten minutes, in microseconds.
const LONGEST_US: u64 = 600_000_000;

/// How long it took.
#[derive(Clone, Debug)]
pub(crate) struct Latency(Histogram<u64>);

/// What people look at, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_ms: Option<f64>,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are sound"))
    }

    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US));
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes fit")]
    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        Percentiles {
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: Some(self.0.max() as f64 / 1_000.0),
        }
    }
}
