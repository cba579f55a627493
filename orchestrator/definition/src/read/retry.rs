//! `retry` and `resend_after`, and what holds where a definition says nothing.
//!
//! Invariant: a retry that is returned can be carried out: it has at least one attempt, and its pauses
//! grow from `initial` to `cap`.

use crate::limits::{ATTEMPTS_MAX, FACTOR_MAX};
use crate::node::Node;
use crate::report::Report;
use crate::{Retry, Rule};

use super::fields::{Fields, Words};
use super::values::{duration, number, whole};

pub(super) const RETRY: Words =
    Words { what: "retry", known: &["attempts", "initial", "factor", "cap", "jitter"] };

pub(super) const DEFAULTS: Words = Words { what: "defaults", known: &["resend_after", "retry"] };

/// What steps and undos take when they say nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) retry: Retry,
    pub(super) resend_after_ms: u64,
}

impl Default for Defaults {
    /// Eight attempts take about a minute, which is long enough for a restart.
    fn default() -> Self {
        let retry = Retry { attempts: 8, initial_ms: 200, factor: 2.0, cap_ms: 30_000, jitter: 0.2 };
        Self { retry, resend_after_ms: 10_000 }
    }
}

/// Reads `defaults`.
pub(super) fn defaults(report: &mut Report, node: Option<&Node>) -> Defaults {
    let built_in = Defaults::default();
    let Some(fields) = node.and_then(|node| Fields::read(report, node, &DEFAULTS)) else {
        return built_in;
    };
    Defaults {
        retry: retry(report, fields.get("retry"), built_in.retry),
        resend_after_ms: optional_duration(report, fields.get("resend_after"))
            .unwrap_or(built_in.resend_after_ms),
    }
}

/// Reads a `retry`; what it leaves out is taken from `base`.
pub(super) fn retry(report: &mut Report, node: Option<&Node>, base: Retry) -> Retry {
    let Some(fields) = node.and_then(|node| Fields::read(report, node, &RETRY)) else { return base };
    let attempts = fields.get("attempts").and_then(|node| whole(report, node, "attempts", 1..=ATTEMPTS_MAX));
    let factor = fields.get("factor").and_then(|node| number(report, node, "factor", 1.0..=FACTOR_MAX));
    let jitter = fields.get("jitter").and_then(|node| number(report, node, "jitter", 0.0..=1.0));
    let initial_ms = optional_duration(report, fields.get("initial"));
    let cap_ms = optional_duration(report, fields.get("cap"));
    let read = Retry {
        attempts: attempts.unwrap_or(base.attempts),
        initial_ms: initial_ms.unwrap_or(base.initial_ms),
        factor: factor.unwrap_or(base.factor),
        cap_ms: cap_ms.unwrap_or(base.cap_ms),
        jitter: jitter.unwrap_or(base.jitter),
    };
    let said = fields.get("cap").filter(|_| cap_ms.is_some());
    if let Some(node) = said.or(fields.get("initial").filter(|_| initial_ms.is_some()))
        && read.cap_ms < read.initial_ms
    {
        let message = format!(
            "the longest pause ({}ms) is shorter than the first ({}ms)",
            read.cap_ms, read.initial_ms
        );
        report.add(node.span.clone(), Rule::Range, message, "raise `cap` or lower `initial`");
    }
    read
}

/// A duration that may be left out.
pub(super) fn optional_duration(report: &mut Report, node: Option<&Node>) -> Option<u64> {
    node.and_then(|node| duration(report, node))
}
