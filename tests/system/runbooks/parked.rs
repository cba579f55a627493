//! Parked sagas: each reason is brought about, and the saga goes on by the lines of its page.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::{Desk, Page, STEP};
use crate::{alone, operators::text};

#[tokio::test]
async fn what_a_participants_word_has_parked_goes_on_by_the_lines_of_its_page() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    // Alive to the broker, and silent: the test answers in its place.
    desk.system.process("notification").signal(Signal::STOP);
    let replies = [
        ("pending-max", json!({ "outcome": "pending" })),
        ("conflict", json!({ "outcome": "conflict" })),
        ("expired", json!({ "outcome": "expired" })),
        (
            "rejected",
            json!({ "outcome": "rejected", "code": "no-such-address", "message": "nobody lives there" }),
        ),
        ("cancelled", json!({ "outcome": "cancelled" })),
        ("reply", json!({ "outcome": "undone" })),
    ];
    let mut parked = Vec::new();
    for (number, (name, reply)) in (0..).zip(replies) {
        let saga = desk.order(number).await;
        desk.system.step_is(&saga, STEP, "sent").await;
        desk.forge(&saga, &reply);
        desk.system.step_is(&saga, STEP, "stuck").await;
        parked.push((Page::named(&format!("parked-{name}")), saga));
    }
    for (page, saga) in &parked {
        let said = desk.done(page, "check", &[("SAGA", saga)]);
        assert!(said.contains(page.shown()), "{}: {said}", page.name);
        data(&desk, saga);
        desk.done(page, "do", &[("SAGA", saga)]);
    }
    desk.system.process("notification").signal(Signal::CONT);
    for (page, saga) in &parked {
        desk.status_is(saga, "completed").await;
        let said = desk.done(page, "over", &[("SAGA", saga)]);
        assert!(!said.contains("hangs"), "{}: {said}", page.name);
    }
}

/// What a person would write into `data.json`.
fn data(desk: &Desk, saga: &str) {
    let lines =
        json!([{ "sku": "TEA-1", "quantity": 1, "unit_price": { "amount": 499, "currency": "EUR" } }]);
    let data = json!({ "to": "ada@example.org", "order": saga, "lines": lines });
    fs::write(desk.system.folder().join("data.json"), data.to_string()).expect("a file can be written");
}

#[tokio::test]
async fn commands_that_cannot_be_sent_are_given_by_hand() {
    let _turn = alone().await;
    let desk = Desk::new(None).await;
    let lines =
        json!([{ "sku": "TEA-1", "quantity": 1, "unit_price": { "amount": 499, "currency": "EUR" } }]);
    let input = json!({ "lines": lines, "essay": "x".repeat(200_000), "to": "nowhere" });
    fs::write(desk.system.folder().join("input.json"), input.to_string()).expect("a file can be written");
    for name in ["expression", "too-large", "schema"] {
        let page = Page::named(&format!("parked-{name}"));
        let started = desk.run(&format!("amends saga start {name} --input input.json"), &[]);
        assert!(started.status.success(), "{}", text(&started));
        let saga = String::from_utf8_lossy(&started.stdout).trim().to_owned();
        desk.system.step_is(&saga, STEP, "stuck").await;
        let said = desk.done(&page, "check", &[("SAGA", &saga)]);
        assert!(said.contains(page.shown()), "{}: {said}", page.name);
        data(&desk, &saga);
        desk.done(&page, "do", &[("SAGA", &saga)]);
        desk.status_is(&saga, "completed").await;
        assert!(!desk.done(&page, "over", &[("SAGA", &saga)]).contains("hangs"));
    }
}

#[tokio::test]
async fn what_was_settled_by_hand_is_undone_by_hand() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("parked-by-hand");
    desk.system.kill("inventory");
    let saga = desk.order(1).await;
    desk.system.step_is(&saga, "reserve-stock", "sent").await;
    // The command is lost, and somebody says that he did it himself.
    desk.wire.api("STREAM.PURGE.AMENDS_CMD", &json!({}));
    fs::write(desk.system.folder().join("output.json"), r#"{"reservation_id":"by-hand"}"#).expect("a file");
    let settled = desk.run(
        "amends saga settle \"$SAGA\" --step reserve-stock --effect do --output output.json --reason 'put aside by hand'",
        &[("SAGA", &saga)],
    );
    assert!(settled.status.success(), "{}", text(&settled));
    desk.system.start_service("inventory");
    desk.system.ready("inventory").await;
    // Nobody knows that reservation: the saga turns, and its first step can be undone by nobody.
    desk.status_is(&saga, "parked").await;
    let said = desk.done(&page, "check", &[("SAGA", &saga)]);
    assert!(said.contains(page.shown()), "{said}");
    desk.done(&page, "do", &[("SAGA", &saga)]);
    desk.status_is(&saga, "compensated").await;
    assert!(!desk.done(&page, "over", &[("SAGA", &saga)]).contains("hangs"));
}
