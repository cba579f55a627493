//! What a play needs to be there: a definition, settings, and what its auditor is told.
//!
//! Invariant: all that differs from what ships stands here.

/// A definition's name, as it is started.
pub(super) const SAGA: &str = "planted";

/// An order that waits for an approval, so that it can be looked at, and turned, in between. A step that has failed waits for a
/// minute: in a play that is for ever.
const ORDER: &str = "
saga: planted
version: 1
defaults:
  resend_after: RESEND
  retry: { attempts: 50, initial: 60s, factor: 2, cap: 60s, jitter: 0 }
steps:
  - name: reserve-stock
    kind: compensatable
    call: inventory.reserve-stock
    with: { lines: =input.lines }
    undo: inventory.release-stock
  - name: charge-payment
    kind: compensatable
    call: payment.charge-payment
    with: { amount: =input.total, customer: =input.customer_id, token: =input.payment_token }
    undo: payment.refund-payment
  - { name: approval, await: { signal: approval, timeout: 1h, on_timeout: compensate } }
  - name: confirm-stock
    kind: pivot
    call: inventory.confirm-stock
    with: { reservation: \"=steps['reserve-stock'].reservation_id\" }
  - name: send-confirmation
    kind: retriable
    call: notification.send-confirmation
    with: { to: =input.email, order: =saga.id, lines: =input.lines }
";

/// One whose point of no return is the charge, which is asked for once.
const CHARGED_LAST: &str = "
saga: planted
version: 1
defaults: { resend_after: RESEND }
steps:
  - name: reserve-stock
    kind: compensatable
    call: inventory.reserve-stock
    with: { lines: =input.lines }
    undo: inventory.release-stock
  - { name: approval, await: { signal: approval, timeout: 1h, on_timeout: compensate } }
  - name: charge-payment
    kind: pivot
    call: payment.charge-payment
    with: { amount: =input.total, customer: =input.customer_id, token: =input.payment_token }
    retry: { attempts: 1 }
  - name: confirm-stock
    kind: retriable
    call: inventory.confirm-stock
    with: { reservation: \"=steps['reserve-stock'].reservation_id\" }
";

/// What has to be there.
#[derive(Clone, Copy)]
pub(super) struct Scenery {
    definition: &'static str,
    /// After how long without a reply a command is sent again.
    resend_after: &'static str,
    /// What the services are told, beside [`QUICK`].
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// For how long participants remember, if it is otherwise than what ships, in milliseconds.
    pub(super) horizon_ms: Option<u64>,
    /// So many sends of an effect are explained by what the play does.
    pub(super) sends_explained: u64,
}

/// So that nobody waits long for what was lost, or looks for it seldom.
pub(super) const QUICK: &[(&str, &str)] = &[
    ("AMENDS_NATS__ACK_WAIT_MS", "3000"),
    ("AMENDS_ORCHESTRATOR__LOOPS__IDLE_INTERVAL_MS", "500"),
    ("AMENDS_PAYMENT__PARTICIPANT__PENDING_AFTER_MS", "300"),
    ("AMENDS_PAYMENT__PARTICIPANT__RECOVER_CAP_MS", "1000"),
];

impl Scenery {
    /// An order, asked for again every second.
    pub(super) const ORDER: Self =
        Self { definition: ORDER, resend_after: "1s", settings: &[], horizon_ms: None, sends_explained: 50 };

    /// One whose point of no return is the charge.
    pub(super) const CHARGED_LAST: Self = Self { definition: CHARGED_LAST, ..Self::ORDER };

    /// The same, but nobody has a reason to ask for anything again as long as the play lasts.
    pub(super) const fn asked_once(self) -> Self {
        Self { resend_after: "10m", sends_explained: 0, ..self }
    }

    /// The same, with participants that remember for so many milliseconds.
    pub(super) const fn remembering(self, horizon_ms: u64) -> Self {
        Self { horizon_ms: Some(horizon_ms), ..self }
    }

    /// The same with other settings.
    pub(super) const fn with(self, settings: &'static [(&'static str, &'static str)]) -> Self {
        Self { settings, ..self }
    }

    /// The definition's file.
    pub(super) fn definition(&self) -> String {
        self.definition.replace("RESEND", self.resend_after)
    }
}
