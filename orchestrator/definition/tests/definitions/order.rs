//! The order saga as it ships: what it means, word for word.

use std::fs;

use amends_contract::Digest;
use amends_definition::{Definition, Undo};
use serde_json::Value;

use crate::{compile, folder};

fn order() -> Definition {
    let source = fs::read_to_string(folder().join("order.v1.yaml")).unwrap();
    compile("order.v1.yaml", &source).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// Everything about the steps but their data.
fn outline(definition: &Definition) -> String {
    let mut lines = Vec::new();
    for (list, steps) in [("steps", &definition.steps), ("on_compensated", &definition.on_compensated)] {
        for step in steps {
            let retry = step.retry;
            lines.push(format!(
                "{list}: {} {} {} after {:?}, {} attempts {}..{} ms x{} ~{}, resend {} ms, pending {:?}",
                step.name,
                step.kind,
                step.call,
                step.after,
                retry.attempts,
                retry.initial_ms,
                retry.cap_ms,
                retry.factor,
                retry.jitter,
                step.resend_after_ms,
                step.pending_max_ms
            ));
            match &step.undo {
                None => {}
                Some(Undo::None { because }) => lines.push(format!("    none, because {because}")),
                Some(Undo::Call { call, with, retry, resend_after_ms }) => lines.push(format!(
                    "    {call}, {}, {} attempts {}..{} ms, resend {resend_after_ms} ms",
                    if with.is_some() { "with more" } else { "same data" },
                    retry.attempts,
                    retry.initial_ms,
                    retry.cap_ms,
                )),
            }
        }
    }
    lines.join("\n")
}

#[test]
fn the_order_saga_means_what_its_file_says() {
    let order = order();
    insta::assert_snapshot!(outline(&order), @r#"
    steps: reserve-stock compensatable inventory.reserve-stock after [], 8 attempts 200..30000 ms x2 ~0.2, resend 10000 ms, pending None
        inventory.release-stock, same data, 8 attempts 200..30000 ms, resend 10000 ms
    steps: charge-payment compensatable payment.charge-payment after [0], 8 attempts 200..30000 ms x2 ~0.2, resend 10000 ms, pending Some(86400000)
        payment.refund-payment, same data, 50 attempts 200..30000 ms, resend 10000 ms
    steps: confirm-stock pivot inventory.confirm-stock after [1], 8 attempts 200..30000 ms x2 ~0.2, resend 10000 ms, pending None
    steps: send-confirmation retriable notification.send-confirmation after [2], 8 attempts 200..30000 ms x2 ~0.2, resend 10000 ms, pending None
    on_compensated: send-rejection retriable notification.send-rejection after [], 8 attempts 200..30000 ms x2 ~0.2, resend 10000 ms, pending None
    "#);
    assert_eq!(order.reference().to_string(), "order.v1");
    assert_eq!(order.deadline_ms, Some(86_400_000));
    assert_eq!(order.retention_ms, 2_592_000_000);
    assert_eq!(order.labels.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["customer"]);
    assert_eq!(order.digest, Digest::of(order.source.as_bytes()));
    assert_eq!(order.step("send-rejection").unwrap().call.to_string(), "notification.send-rejection");
    assert!(order.step("nobody").is_none());
}

#[test]
fn its_input_schema_is_closed_and_bounded() {
    fn check(pointer: &str, schema: &Value) {
        let has = |keyword: &str| schema.get(keyword).is_some();
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => {
                assert_eq!(schema["additionalProperties"], false, "{pointer}");
                assert!(has("required"), "{pointer}");
            }
            Some("string") => assert!(has("maxLength") || has("pattern"), "{pointer}"),
            Some("integer") => assert!(has("minimum") && has("maximum"), "{pointer}"),
            Some("array") => assert!(has("maxItems") && has("items"), "{pointer}"),
            _ => assert!(has("$ref"), "{pointer} is open"),
        }
        for group in ["properties", "$defs"] {
            for (name, part) in schema.get(group).and_then(Value::as_object).into_iter().flatten() {
                check(&format!("{pointer}/{group}/{name}"), part);
            }
        }
    }
    let order = order();
    check("", order.input_schema.as_ref().unwrap());
}
