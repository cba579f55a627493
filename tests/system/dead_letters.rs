//! Dead letters are sent again once their cause is mended, byte for byte, and have no second effect.

use amends_tests::{
    Definitions, System, Wire,
    audit::{audit, settled},
    eventually,
    traffic::{Kind, Order, restock},
};
use serde_json::{Value, json};

use crate::{
    alone,
    operators::{operate, text},
};

/// It wants a coupon, which no shop ever sends.
const CHECKOUT: &str = "
saga: checkout
version: 1
input: schemas/checkout-input.json
starts_on: { event: cart.checked-out, input: { order: =event.data } }
steps:
  - name: order
    kind: compensatable
    call: { saga: order }
    with: =input.order
    resend_after: 2s
    undo: none
    because: an order that is confirmed stays so
output: { order: =saga.id }
";

const INPUT: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["order", "coupon"]
}"#;

const COMMAND: &str = "amends.cmd.inventory.reserve-stock";

/// The dead letters with this reason, the last one first, once there are so many.
async fn letters(system: &System, code: &str, count: usize) -> Vec<Value> {
    let authorization = system.authorization();
    let url = system.admin(&format!("/v1/dead-letters?code={code}"));
    let look = async || {
        let answer =
            system.client.send("GET", &url, &[("authorization", &authorization)], None).await.ok()?;
        let letters = answer.body["dead_letters"].as_array()?.clone();
        (letters.len() == count).then_some(letters)
    };
    eventually(&format!("{count} letters are dead of {code}"), look, async || system.dump().await).await
}

fn number(letter: &Value) -> String {
    letter["number"].to_string()
}

#[tokio::test]
async fn an_event_is_redriven_once_its_saga_takes_it() {
    let _turn = alone().await;
    let definitions = Definitions::of(&["order.v1"]);
    definitions.write("checkout.v1.yaml", CHECKOUT);
    definitions.write("schemas/checkout-input.json", INPUT);
    let mut system = System::start_on(&definitions, None).await;
    restock(&system).await;
    let mut order = Order::new(Kind::Good, 1, 1);
    let mut input = order.body();
    input["total"] = json!({ "amount": order.total, "currency": "EUR" });
    let event = json!({
        "specversion": "1.0",
        "id": "cart 1",
        "source": "https://shop.example/carts",
        "type": "event.cart.checked-out",
        "time": "2026-11-21T08:02:49.123Z",
        "data": input,
    });
    Wire::connect(&system.broker.url())
        .publish("amends.event.cart.checked-out", event.to_string().as_bytes());
    let letter = number(&letters(&system, "invalid-input", 1).await[0]);

    // Before the cause is mended it comes back.
    let redrive = ["dead-letter", "redrive", &letter, "--reason", "perhaps now"];
    let early = operate(&system, &redrive);
    assert_eq!(early.status.code(), Some(0), "{}", text(&early));
    letters(&system, "invalid-input", 2).await;

    system.kill("orchestrator");
    definitions
        .write("schemas/checkout-input.v2.json", &INPUT.replace(r#"["order", "coupon"]"#, r#"["order"]"#));
    let changes = [("version: 1", "version: 2"), ("checkout-input.json", "checkout-input.v2.json")];
    definitions.derive("checkout.v1.yaml", "checkout.v2.yaml", &changes);
    system.start_service("orchestrator");
    system.ready("orchestrator").await;
    for _ in 0..3 {
        let redriven = operate(&system, &redrive);
        assert!(text(&redriven).contains("perhaps now, sent as "), "{}", text(&redriven));
    }
    let child = eventually(
        "the order is there",
        async || {
            let authorization = system.authorization();
            let url = system.admin("/v1/sagas?definition=order");
            let list = system.client.get(&url, &[("authorization", &authorization)]).await;
            list["sagas"][0]["id"].as_str().map(str::to_owned)
        },
        async || system.dump().await,
    )
    .await;
    order.id = child;
    settled(&system, std::slice::from_ref(&order)).await;
    audit(&system, &[order]).await;

    let shown = operate(&system, &["dead-letter", "show", &letter, "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((&shown["state"], shown["actions"].as_array().map(Vec::len)), (&json!("redriven"), Some(4)));
    assert!(shown["actions"][0]["actor"].as_str().is_some_and(|actor| actor.starts_with("tests (")));
    let shown = operate(&system, &["dead-letter", "show", &letter]);
    assert!(text(&shown).contains(&event.to_string()), "the body, byte for byte: {}", text(&shown));
}

/// A command that is larger than may be.
fn large() -> String {
    format!(
        r#"{{"specversion":"1.0","id":"x","source":"x","type":"x","time":"2026-11-21T08:02:49Z","data":"{}"}}"#,
        "x".repeat(900_000)
    )
}

#[tokio::test]
async fn of_a_batch_one_element_is_redriven_alone() {
    let _turn = alone().await;
    let system = System::start(None).await;
    let mut wire = Wire::connect(&system.broker.url());
    let large = large();
    let seq = wire.publish(COMMAND, format!("[17, {large}]").as_bytes());
    let first = letters(&system, "too-large", 1).await.remove(0);
    assert_eq!((&first["element"], &first["body_bytes"]), (&json!(1), &json!(large.len())));
    assert_eq!(letters(&system, "not-an-envelope", 1).await[0]["element"], 0);
    let listed = text(&operate(&system, &["dead-letter", "ls"]));
    assert!(listed.contains(&format!("\tAMENDS_CMD {seq}#1\t")), "{listed}");

    // More of it than a letter keeps is still in its stream. It goes out without its neighbour.
    let redriven = operate(&system, &["dead-letter", "redrive", &number(&first), "--reason", "whole"]);
    assert_eq!(redriven.status.code(), Some(0), "{}", text(&redriven));
    let again = letters(&system, "too-large", 2).await.remove(0);
    assert_eq!(
        (&again["element"], &again["body_digest"], &again["body_bytes"]),
        (&Value::Null, &first["body_digest"], &first["body_bytes"])
    );
    letters(&system, "not-an-envelope", 1).await;

    // Alone it would be another message than it was.
    wire.publish(COMMAND, b"[[17]]");
    let list = letters(&system, "not-an-envelope", 2).await.remove(0);
    let refused = operate(&system, &["dead-letter", "redrive", &number(&list), "--reason", "look"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("it is a list within a batch"), "{}", text(&refused));

    // Replies are set aside likewise.
    wire.publish("amends.reply.inventory", b"[true]");
    let reply = letters(&system, "not-an-envelope", 3).await.remove(0);
    let shown = operate(&system, &["dead-letter", "show", &number(&reply)]);
    assert!(text(&shown).contains("element    0\n"), "{}", text(&shown));
    assert_eq!((&reply["participant"], &reply["body_preview"]), (&json!("orchestrator"), &json!("true")));
}

#[tokio::test]
async fn a_cut_letter_is_redriven_whole_or_not_at_all() {
    let _turn = alone().await;
    let system = System::start(None).await;
    let mut wire = Wire::connect(&system.broker.url());
    let large = large();
    wire.publish(COMMAND, large.as_bytes());
    wire.publish(COMMAND, b"this is no JSON");
    let first = letters(&system, "too-large", 1).await.remove(0);
    assert_eq!(first["body_bytes"], large.len());

    // Its stream still holds all of it.
    let redriven = operate(&system, &["dead-letter", "redrive", &number(&first), "--reason", "whole"]);
    assert_eq!(redriven.status.code(), Some(0), "{}", text(&redriven));
    let again = letters(&system, "too-large", 2).await.remove(0);
    assert_eq!(
        (&again["body_digest"], &again["body_bytes"], &again["subject"]),
        (&first["body_digest"], &first["body_bytes"], &json!(COMMAND))
    );

    let purged = wire.api("STREAM.PURGE.AMENDS_CMD", &json!({}));
    assert_eq!(purged["success"], true, "{purged}");
    let refused = operate(&system, &["dead-letter", "redrive", &number(&again), "--reason", "whole"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("only the first 524288 of its "), "{}", text(&refused));

    // What fits is kept, whatever the broker forgets.
    let garbage = number(&letters(&system, "not-json", 1).await[0]);
    let redriven = operate(&system, &["dead-letter", "redrive", &garbage, "--reason", "look"]);
    assert_eq!(redriven.status.code(), Some(0), "{}", text(&redriven));
    letters(&system, "not-json", 2).await;
    let too_late = operate(&system, &["dead-letter", "discard", &garbage, "--reason", "a prank"]);
    assert!(text(&too_late).contains("it is redriven already"), "{}", text(&too_late));
    let open = operate(&system, &["dead-letter", "ls", "--state", "open", "--code", "not-json"]);
    let line = text(&open);
    let open = line.split('\t').next().expect("a number").to_owned();
    assert!(line.contains(&format!("{open}\topen\tnot-json\tinventory\t{COMMAND}\t")), "{line}");
    let discarded = operate(&system, &["dead-letter", "discard", &open, "--reason", "a prank"]);
    assert_eq!(discarded.status.code(), Some(0), "{}", text(&discarded));
    assert!(text(&operate(&system, &["dead-letter", "ls"])).contains("\tdiscarded\tnot-json\t"));
}
