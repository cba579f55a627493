//! A definition that is not ours: parallel branches of unequal length, a conditional step on either side of
//! the pivot, an element each, a signal that may come or not. It runs on the services as they are, under
//! kills, and all books agree.

use amends_tests::{
    Definitions, System,
    audit::{audit_with, deals_settled},
    deals::{Deal, Fate, Starts},
    eventually,
    traffic::{PLENTY, restock},
};
use serde_json::json;

use crate::alone;

const EXTRA: &str = "RIBBON-1";

const GIFT: &str = "
saga: gift
version: 1
description: A gift, perhaps wrapped, perhaps with a greeting that somebody still writes.
labels: { wrapped: =string(input.wrapped) }
deadline: 12h
defaults:
  retry: { attempts: 8, initial: 200ms, factor: 2, cap: 5s, jitter: 0.2 }

steps:
  - name: take-gift
    kind: compensatable
    call: inventory.reserve-stock
    with: { lines: =input.lines }
    undo: inventory.release-stock

  - name: take-ribbon
    kind: compensatable
    when: =input.wrapped
    call: inventory.reserve-stock
    with: { lines: [{ sku: RIBBON-1, quantity: 1 }] }
    undo: inventory.release-stock

  - name: charge
    kind: compensatable
    after: []
    call: payment.charge-payment
    with: { amount: =input.total, customer: =input.customer_id, token: =input.payment_token }
    undo: payment.refund-payment

  - name: greeting
    after: [take-gift]
    await: { signal: greeting, timeout: 2s, on_timeout: go-on }

  - name: hand-over
    kind: pivot
    after: [take-ribbon, charge, greeting]
    call: inventory.confirm-stock
    with: { reservation: \"=steps['take-gift'].reservation_id\" }

  - name: use-ribbon
    kind: retriable
    when: =input.wrapped
    call: inventory.confirm-stock
    with: { reservation: \"=steps['take-ribbon'].reservation_id\" }

  - name: tell
    kind: retriable
    after: [hand-over]
    for_each: =input.recipients
    as: friend
    at_most: 5
    call: notification.send-confirmation
    with: { to: =friend, order: =saga.id, lines: =input.lines }

on_compensated:
  - name: sorry
    kind: retriable
    call: notification.send-rejection
    with: { to: =input.email, order: =saga.id, reason: =failure.code }
";

fn gift(number: u64) -> Deal {
    let (token, fate) = match number % 5 {
        3 => ("tok_declined", Fate::Compensated(Some("charge"), "card-declined")),
        4 => ("tok_timeout", Fate::Completed),
        _ => ("tok_visa", Fate::Completed),
    };
    let mut deal = Deal::of_company(number, 2, token, fate);
    let wrapped = number.is_multiple_of(2);
    deal.definition = "gift";
    deal.input["wrapped"] = json!(wrapped);
    if wrapped {
        deal.pieces.push((EXTRA, 1));
    }
    deal
}

#[tokio::test]
async fn a_definition_written_by_somebody_else_settles_under_kills() {
    const GIFTS: u64 = 40;
    let _turn = alone().await;
    let definitions = Definitions::of(&["order.v1"]);
    definitions.write("gift.v1.yaml", GIFT);
    let mut system = System::start_on(&definitions, None).await;
    restock(&system).await;
    system.restock(EXTRA, 1_000).await;
    let starts = Starts::of(&system, (0..GIFTS).map(gift).collect());
    for (victim, moment) in [("payment", 5), ("orchestrator", 12), ("inventory", 20), ("orchestrator", 30)] {
        eventually(
            &format!("{moment} gifts are accepted"),
            async || (starts.accepted() >= moment).then_some(()),
            async || system.dump().await,
        )
        .await;
        system.kill(victim);
        system.start_service(victim);
        system.ready(victim).await;
    }
    let deals = starts.all().await;
    deals_settled(&system, &deals).await;
    assert!(deals.iter().any(|deal| deal.pieces.contains(&(PLENTY.0, 2))), "gifts are sold");
    audit_with(&system, &[], &deals).await;
}
