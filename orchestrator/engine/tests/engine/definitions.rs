//! The definitions that the scenarios run.

use std::sync::OnceLock;

use amends_definition::Definition;
use serde_json::{Value, json};

/// Compiles a definition of a test.
pub(crate) fn compile(source: &str) -> Definition {
    let name = source.trim_start().lines().next().and_then(|line| line.strip_prefix("saga: ")).unwrap();
    Definition::compile(&format!("{name}.v1.yaml"), source, &|path| Err(format!("there is no {path}")))
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// The order saga. Without jitter, so that moments are round.
pub(crate) fn order() -> Definition {
    static ORDER: OnceLock<Definition> = OnceLock::new();
    ORDER.get_or_init(|| compile(ORDER_SOURCE)).clone()
}

pub(crate) const ORDER_SOURCE: &str = "
saga: order
version: 1
description: Reserve, charge, confirm, tell.
labels: { customer: =input.customer_id }
deadline: 24h
defaults:
  resend_after: 10s
  retry: { attempts: 3, initial: 200ms, factor: 2, cap: 30s, jitter: 0 }

steps:
  - name: reserve-stock
    kind: compensatable
    call: inventory.reserve-stock
    pending_max: 30s
    with: { lines: =input.lines }
    undo: inventory.release-stock

  - name: charge-payment
    kind: compensatable
    call: payment.charge-payment
    with: { amount: =input.total, customer: =input.customer_id }
    pending_max: 30s
    undo: { call: payment.refund-payment, retry: { attempts: 4, cap: 20s } }

  - name: confirm-stock
    kind: pivot
    call: inventory.confirm-stock
    with: { reservation: \"=steps['reserve-stock'].reservation_id\" }
    pending_max: 30s

  - name: send-confirmation
    kind: retriable
    call: notification.send-confirmation
    pending_max: 30s
    with: { to: =input.email, order: =saga.id }

on_compensated:
  - name: send-rejection
    kind: retriable
    call: notification.send-rejection
    pending_max: 30s
    with: { to: =input.email, order: =saga.id, reason: =failure.code }
";

/// What an order is about.
pub(crate) fn order_input() -> Value {
    json!({
        "customer_id": "c-1",
        "email": "ada@example.org",
        "lines": [{ "sku": "TEA-1", "quantity": 2 }],
        "total": { "amount": 998, "currency": "EUR" },
    })
}

/// A saga without a pivot, whose middle step has no undo.
pub(crate) fn parcel() -> Definition {
    static PARCEL: OnceLock<Definition> = OnceLock::new();
    PARCEL.get_or_init(|| compile(PARCEL_SOURCE)).clone()
}

const PARCEL_SOURCE: &str = "
saga: parcel
version: 1
deadline: 1h
defaults:
  resend_after: 10s
  retry: { attempts: 2, initial: 1s, factor: 2, cap: 30s, jitter: 0 }

steps:
  - name: book
    kind: compensatable
    call: carrier.book
    pending_max: 30s
    with: { parcel: =input.parcel }
    undo: { call: carrier.unbook, with: { reason: =input.reason } }

  - name: announce
    kind: compensatable
    call: notification.announce
    pending_max: 30s
    with: { parcel: =input.parcel }
    undo: none
    because: an announcement cannot be unsaid

  - name: label
    kind: compensatable
    call: carrier.label
    pending_max: 30s
    with: { parcel: =input.parcel }
    undo: carrier.unlabel
";

/// A saga with branches: `pack` and `insure` both come after `book`, and `ship` after both. The language
/// has no word for it yet; the engine is written for it.
pub(crate) fn diamond() -> Definition {
    static DIAMOND: OnceLock<Definition> = OnceLock::new();
    let compiled = || {
        let mut definition = compile(DIAMOND_SOURCE);
        for (step, after) in definition.steps.iter_mut().zip([vec![], vec![0], vec![0], vec![1, 2]]) {
            step.after = after;
        }
        definition
    };
    DIAMOND.get_or_init(compiled).clone()
}

const DIAMOND_SOURCE: &str = "
saga: diamond
version: 1
deadline: 1h
defaults:
  resend_after: 10s
  retry: { attempts: 2, initial: 1s, factor: 2, cap: 30s, jitter: 0 }

steps:
  - name: book
    kind: compensatable
    call: carrier.book
    pending_max: 30s
    with: { parcel: =input.parcel }
    undo: carrier.unbook

  - name: pack
    kind: compensatable
    call: warehouse.pack
    pending_max: 30s
    with: { parcel: =input.parcel }
    undo: warehouse.unpack

  - name: insure
    kind: compensatable
    call: insurer.insure
    pending_max: 30s
    with: { parcel: =input.parcel }
    undo: insurer.terminate

  - name: ship
    kind: pivot
    call: carrier.ship
    pending_max: 30s
    with: { parcel: =input.parcel }
";

/// A quote that somebody has to approve, and feedback that need not come.
pub(crate) fn approval() -> Definition {
    compile(
        "
saga: approval
version: 1
deadline: 240h
defaults:
  resend_after: 10s
  retry: { attempts: 3, initial: 200ms, factor: 2, cap: 30s, jitter: 0 }
steps:
  - name: quote
    kind: compensatable
    call: sales.quote
    undo: sales.withdraw
  - name: approve
    await: { signal: approval, timeout: 48h, on_timeout: compensate }
  - name: ship
    kind: pivot
    call: warehouse.ship
    with: { approved: \"=steps['approve']\" }
  - name: listen
    await: { signal: feedback, timeout: 24h, on_timeout: go-on }
",
    )
}

/// A charge and an approval side by side.
pub(crate) fn approval_beside_charge() -> Definition {
    compile(
        "
saga: beside
version: 1
defaults:
  resend_after: 10s
  retry: { attempts: 3, initial: 200ms, factor: 2, cap: 30s, jitter: 0 }
steps:
  - name: hold
    kind: compensatable
    call: warehouse.hold
    undo: warehouse.release
    after: []
  - name: charge
    kind: compensatable
    call: payment.charge
    undo: payment.refund
    after: []
  - name: approve
    await: approval
    after: []
  - name: ship
    kind: pivot
    call: warehouse.ship
    after: [hold, charge, approve]
",
    )
}

/// Packs each parcel of a list.
pub(crate) fn parcels() -> Definition {
    compile(
        "
saga: parcels
version: 1
defaults:
  resend_after: 10s
  retry: { attempts: 3, initial: 200ms, factor: 2, cap: 30s, jitter: 0 }
steps:
  - name: open
    kind: compensatable
    call: warehouse.open
    undo: warehouse.close
  - name: pack
    kind: compensatable
    for_each: =input.parcels
    as: parcel
    at_most: 3
    call: warehouse.pack
    with: { parcel: =parcel.id }
    undo: { call: warehouse.unpack, with: { label: =parcel.id } }
  - name: ship
    kind: pivot
    call: carrier.ship
    with: { boxes: \"=steps['pack']\" }
",
    )
}

/// Checks only what is expensive.
pub(crate) fn checked() -> Definition {
    compile(
        "
saga: checked
version: 1
deadline: 24h
output: { score: \"=steps['check'] == null ? 0 : steps['check'].score\" }
defaults:
  resend_after: 10s
  retry: { attempts: 3, initial: 200ms, factor: 2, cap: 30s, jitter: 0 }
steps:
  - name: reserve
    kind: compensatable
    call: warehouse.reserve
    undo: warehouse.release
  - name: check
    kind: compensatable
    when: =input.total > 1000
    call: credit.check
    undo: none
    because: it only looks
  - name: ship
    kind: pivot
    call: warehouse.ship
    with: { check: \"=steps['check']\" }
",
    )
}

/// A step that only so many sagas may be in at a time.
pub(crate) fn limited() -> Definition {
    compile(
        "
saga: limited
version: 1
deadline: 24h
defaults:
  resend_after: 10s
  retry: { attempts: 3, initial: 200ms, factor: 2, cap: 30s, jitter: 0 }
steps:
  - name: charge
    kind: compensatable
    concurrency: 2
    call: payment.charge
    undo: payment.refund
  - name: ship
    kind: pivot
    call: warehouse.ship
",
    )
}

/// What is given up has to be accepted by somebody.
pub(crate) fn apology() -> Definition {
    compile(
        "
saga: apology
version: 1
defaults:
  resend_after: 10s
  retry: { attempts: 3, initial: 200ms, factor: 2, cap: 30s, jitter: 0 }
steps:
  - name: hold
    kind: compensatable
    call: warehouse.hold
    undo: warehouse.release
on_compensated:
  - name: accept
    await: { signal: accepted, timeout: 24h, on_timeout: go-on }
",
    )
}
