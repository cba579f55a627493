//! What journals would have become under another version: told as one line, so that equal ones can be counted.

use amends_definition::Definition;
use amends_engine::{ENGINE_VERSION, Outlook, foresee};

use crate::definitions::{self, ORDER_SOURCE, compile};
use crate::script::{Script, order, rejected, succeeded};

/// The order with this change to its text.
fn order_with(change: &str, to: &str) -> Definition {
    assert!(ORDER_SOURCE.contains(change), "{change:?} is not there");
    compile(&ORDER_SOURCE.replace(change, to))
}

/// What would become of it, in a line.
fn outlook(script: &Script, after: &Definition) -> String {
    told(foresee(script.journal.clone(), Some(&script.definition), after).unwrap())
}

fn told(outlook: Outlook) -> String {
    match outlook {
        Outlook::Same { other_times: false } => "the same".to_owned(),
        Outlook::Same { other_times: true } => "the same at other times".to_owned(),
        Outlook::Differs(divergence) => {
            let step = divergence.step.unwrap_or_else(|| "-".to_owned());
            format!("{} at {step}: {}", divergence.seq, divergence.how)
        }
        Outlook::OtherEngine { seq, version } => format!("{seq} by engine {version}"),
    }
}

#[test]
fn the_same_definition_gives_the_same() {
    for script in [order(), order().confirmed(), order().timer().charged().cancel(), order().blind_timer()] {
        assert_eq!(outlook(&script, &definitions::order()), "the same");
    }
    let renamed = order_with("description: Reserve, charge, confirm, tell.", "description: The same.");
    assert_eq!(outlook(&order().confirmed(), &renamed), "the same");
}

#[test]
fn other_data_is_told_by_its_fields() {
    let more =
        order_with("customer: =input.customer_id }\n    pend", "to: =input.email, amountless: 1 }\n    pend");
    assert_eq!(
        outlook(&order().confirmed(), &more),
        "2 at charge-payment: its data: +amountless, +to, -customer"
    );
    let other = order_with("amount: =input.total", "amount: =input.total.amount");
    assert_eq!(outlook(&order().reserved(), &other), "2 at charge-payment: its data: ~amount");
    assert_eq!(outlook(&order(), &other), "the same", "it was not charged yet");
}

#[test]
fn times_and_attempts_are_no_difference_as_long_as_they_change_nothing() {
    let patient = order_with("attempts: 3, initial: 200ms", "attempts: 5, initial: 1s");
    assert_eq!(outlook(&order().timer().charged(), &patient), "the same at other times");
    let silent = order().reserved().timer().timer().timer();
    assert_eq!(outlook(&silent, &patient), "5 at charge-payment: sent charge-payment instead of turned");
    let slow = order_with("resend_after: 10s", "resend_after: 20s");
    assert_eq!(outlook(&silent, &slow), "the same at other times");
}

#[test]
fn steps_that_come_go_or_call_others_are_told() {
    let check = "  - name: check-fraud\n    kind: compensatable\n    call: fraud.check\n    \
                 undo: none\n    because: it changes nothing\n\n  - name: charge-payment";
    let more = order_with("  - name: charge-payment", check);
    assert_eq!(
        outlook(&order().charged(), &more),
        "2 at check-fraud: doing check-fraud instead of doing charge-payment"
    );
    let renamed = order_with("  - name: charge-payment", "  - name: take-money");
    assert_eq!(
        outlook(&order().charged(), &renamed),
        "2 at charge-payment: the step is gone; doing take-money instead"
    );
    let other = order_with("call: payment.charge-payment", "call: payment.charge-card");
    assert_eq!(
        outlook(&order().reserved(), &other),
        "2 at charge-payment: its call: payment.charge-card instead of payment.charge-payment"
    );
    let other_undo = order_with("call: payment.refund-payment", "call: payment.give-back");
    assert_eq!(outlook(&order(), &other_undo), "the same");
    let cancelled = order().charged().cancel().reply("confirm-stock", rejected("gone"));
    assert_eq!(
        outlook(&cancelled, &other_undo),
        "5 at charge-payment: its undo's call: payment.give-back instead of payment.refund-payment"
    );
}

#[test]
fn what_cannot_start_is_told() {
    let label = order_with("customer: =input.customer_id }\ndeadline", "customer: =input.lines }\ndeadline");
    let told = outlook(&order(), &label);
    assert!(told.starts_with("1 at -: refused: label customer has no value"), "{told}");
}

#[test]
fn a_journal_of_another_engine_is_not_compared() {
    let mut script =
        order().reply("reserve-stock", succeeded(serde_json::json!({ "reservation_id": "r-1" })));
    script.journal[1].engine_version = ENGINE_VERSION - 1;
    assert_eq!(outlook(&script, &definitions::order()), format!("2 by engine {}", ENGINE_VERSION - 1));
}

#[test]
fn a_deadline_that_moves_is_no_difference() {
    let without = order_with("deadline: 24h\n", "");
    let held = order().timer_with_down(&["inventory"]);
    assert_eq!(outlook(&held, &without), "the same at other times");
    // Nothing but the deadline was due, so without one there is nothing to do.
    let slow = |deadline: &str| {
        let source = ORDER_SOURCE.replace("resend_after: 10s", "resend_after: 48h");
        compile(&source.replace("deadline: 24h\n", deadline))
    };
    let held = Script::start(slow("deadline: 24h\n"), definitions::order_input());
    let held = held.timer_with_down(&["inventory"]).reserved();
    assert_eq!(held.journal[1].decisions.len(), 1);
    assert_eq!(outlook(&held, &slow("")), "the same at other times");
}

#[test]
fn an_input_that_would_change_nothing_is_told() {
    let other = order_with("call: inventory.confirm-stock", "call: warehouse.confirm-stock");
    let unknown_before = foresee(order().confirmed().journal, None, &other).unwrap();
    assert_eq!(told(unknown_before), "4 at confirm-stock: what came in would change nothing: foreign");
    let mut script = order();
    let again = script.journal[0].clone();
    script.journal.push(amends_engine::JournalEntry { seq: 2, ..again });
    assert_eq!(
        outlook(&script, &definitions::order()),
        "2 at -: refused: a saga that exists cannot be started"
    );
}
