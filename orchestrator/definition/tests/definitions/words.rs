//! Every word of the language, read into the model.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, SagaId, Timestamp, Token};
use amends_definition::{
    Call, Definition, Element, ExpressionError, OnTimeout, SagaScope, Scope, Step, Template, Undo,
};
use serde_json::{Value, json};

use crate::compile;

/// A saga that uses them all.
pub(crate) const B2B: &str = r#"
saga: b2b
version: 3
input: schemas/order-input.v1.json
starts_on: { event: cart.checked-out, input: { order: =event.data.order, at: =event.time } }
output: { charge: =steps.charge.id, insured: =steps.insure != null, told: "=size(steps['reserve'])" }
steps:
  - { name: approval, await: approval, when: =input.total.amount > 100000 }
  - name: reserve
    kind: compensatable
    after: []
    for_each: =input.lines
    as: line
    at_most: 50
    concurrency: 20
    call: inventory.reserve-stock
    with: { sku: =line.sku, twice: =line.quantity * 2 }
    undo: { call: inventory.release-stock, with: { quantity: =line.quantity } }
    schemas: { command: schemas/order-input.v1.json }
  - name: charge
    kind: compensatable
    after: [insure]
    call: payment.charge-payment
    with: { amount: "=money(sum(steps['reserve'].map(r, r.price)), input.total.currency)" }
    undo: payment.refund-payment
    schemas: { command: schemas/order-input.v1.json }
  - name: insure
    kind: compensatable
    when: =input.total.amount > 100000
    after: [reserve]
    call: { saga: insurance, version: 2 }
    undo: { saga: cancel-insurance, with: { why: =input.email }, retry: { attempts: 50 } }
  - { name: confirm, kind: pivot, after: [approval, charge], call: inventory.confirm-stock }
  - { name: delivery, await: { signal: delivery, timeout: 72h, on_timeout: go-on } }
  - { name: customs, await: customs }
  - { name: bill, kind: retriable, after: [confirm], call: { saga: billing } }
on_compensated:
  - { name: tell, kind: retriable, call: notification.send-rejection, with: { why: =failure.code } }
  - { name: call-back, await: call-back, after: [] }
"#;

fn b2b() -> Definition {
    compile("b2b.v3.yaml", B2B).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// What the new words say about a step.
fn words(step: &Step) -> String {
    let mut line = format!("{} {}: {}, after {:?}", step.name, step.kind, step.call, step.after);
    let schema = |schema: &Option<amends_definition::Schema>| if schema.is_some() { "schema" } else { "any" };
    line += &format!(", {} -> {}", schema(&step.command_schema), schema(&step.reply_schema));
    if step.when.is_some() {
        line += ", when";
    }
    if let Some(for_each) = &step.for_each {
        line += &format!(", for each {} at most {}", for_each.name, for_each.at_most);
    }
    if let Some(concurrency) = step.concurrency {
        line += &format!(", {concurrency} at a time");
    }
    match &step.call {
        Call::Saga(child) => line += &format!(", {} version {:?}", child.address, child.version),
        Call::Await(signal) => line += &format!(", {:?} ms, then {:?}", signal.timeout_ms, signal.on_timeout),
        Call::Command(_) => {}
    }
    match &step.undo {
        None => {}
        Some(Undo::None { because }) => line += &format!(", not undone: {because}"),
        Some(Undo::Call { call, retry, .. }) => {
            line += &format!(", undone by {call}, {} attempts", retry.attempts)
        }
    }
    line
}

#[test]
fn every_word_reaches_the_model() {
    let b2b = b2b();
    let lines: Vec<String> = b2b.steps.iter().chain(&b2b.on_compensated).map(words).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    approval compensatable: await approval, after [], any -> any, when, None ms, then Compensate, not undone: waiting changes nothing
    reserve compensatable: inventory.reserve-stock, after [], schema -> any, for each line at most 50, 20 at a time, undone by inventory.release-stock, 8 attempts
    charge compensatable: payment.charge-payment, after [3], schema -> any, undone by payment.refund-payment, 8 attempts
    insure compensatable: saga insurance, after [1], any -> any, when, orchestrator.insurance version Some(2), undone by saga cancel-insurance, 50 attempts
    confirm pivot: inventory.confirm-stock, after [0, 2], any -> any
    delivery retriable: await delivery, after [4], any -> any, Some(259200000) ms, then GoOn
    customs retriable: await customs, after [5], any -> any, None ms, then GoOn
    bill retriable: saga billing, after [4], any -> any, orchestrator.billing version None
    tell retriable: notification.send-rejection, after [], any -> any
    call-back retriable: await call-back, after [], any -> any, None ms, then GoOn
    "#);
    let starts_on = b2b.starts_on.as_ref().unwrap();
    assert_eq!((starts_on.entity.as_str(), starts_on.name.as_str()), ("cart", "checked-out"));
    let signals: Vec<&str> = b2b.signals().map(Token::as_str).collect();
    assert_eq!(signals, ["approval", "delivery", "customs", "call-back"]);
}

/// Renders as if the list's element were the order's first line, `steps` as given, and an event there.
fn render(template: &Template, steps: &[(&str, Value)]) -> Result<Value, ExpressionError> {
    let id: SagaId = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap();
    let definition: DefinitionRef = "b2b.v3".parse().unwrap();
    let steps =
        steps.iter().map(|(name, output)| (Token::new(name).unwrap(), output.clone().into())).collect();
    let input = json!({ "total": { "amount": 700, "currency": "EUR" }, "lines": [{ "sku": "TEA-1", "quantity": 2 }] });
    let name = Token::new("line").unwrap();
    let event = json!({ "data": { "order": 7 }, "time": "2026-01-01T00:00:00Z" });
    let labels = BTreeMap::new();
    let started_at = Timestamp::from_unix_ms(0);
    template.render(&Scope {
        input: &input,
        steps: &steps,
        saga: SagaScope { id, definition: &definition, started_at, labels: &labels },
        failure: None,
        element: Some(Element { name: &name, value: &input["lines"][0] }),
        event: Some(&event),
    })
}

#[test]
fn elements_events_and_skipped_steps_are_in_scope() {
    let b2b = b2b();
    let step = |name: &str| b2b.step(name).unwrap();
    let reserved = json!([{ "price": 350 }, { "price": 400 }]);
    let steps = [("reserve", reserved), ("insure", Value::Null), ("charge", json!({ "id": "ch-1" }))];
    let Some(Undo::Call { with: Some(undo), .. }) = &step("reserve").undo else { panic!("it has one") };
    let for_each = step("reserve").for_each.as_ref().unwrap();
    for (template, expected) in [
        (&step("reserve").with, json!({ "sku": "TEA-1", "twice": 4 })),
        (undo, json!({ "quantity": 2 })),
        (&for_each.list, json!([{ "sku": "TEA-1", "quantity": 2 }])),
        (&step("charge").with, json!({ "amount": { "amount": 750, "currency": "EUR" } })),
        (step("insure").when.as_ref().unwrap(), json!(false)),
        (&b2b.starts_on.as_ref().unwrap().input, json!({ "order": 7, "at": "2026-01-01T00:00:00Z" })),
        (b2b.output.as_ref().unwrap(), json!({ "charge": "ch-1", "insured": false, "told": 2 })),
    ] {
        assert_eq!(render(template, &steps).unwrap(), expected);
    }
}

#[test]
fn an_await_that_an_operator_ends_does_what_its_place_allows() {
    let on_timeout = |name: &str| b2b().step(name).unwrap().call.as_await().unwrap().on_timeout;
    assert_eq!(on_timeout("approval"), OnTimeout::Compensate);
    assert_eq!(on_timeout("customs"), OnTimeout::GoOn);
    assert_eq!(on_timeout("call-back"), OnTimeout::GoOn);
}

#[test]
fn an_editors_comment_changes_nothing_but_the_digest() {
    let marked = format!("# yaml-language-server: $schema=definition.schema.json\n{B2B}");
    let marked = compile("b2b.v3.yaml", &marked).unwrap();
    assert_eq!(format!("{:?}", marked.steps), format!("{:?}", b2b().steps));
}

#[test]
fn a_list_without_a_bound_has_the_default_one() {
    let source = B2B.replace("    at_most: 50\n", "");
    let definition = compile("b2b.v3.yaml", &source).unwrap();
    assert_eq!(definition.step("reserve").unwrap().for_each.as_ref().unwrap().at_most, 100);
}

/// The mistakes in a saga with these steps before its pivot, each as rule and message.
fn mistakes(steps: &str) -> Vec<String> {
    let source = format!("saga: a\nversion: 1\nsteps:\n{steps}");
    match compile("a.yaml", &source) {
        Ok(_) => Vec::new(),
        Err(diagnostics) => {
            diagnostics.iter().map(|error| format!("{}: {}", error.rule, error.message)).collect()
        }
    }
}

#[test]
fn order_in_the_file_decides_nothing_where_after_says_otherwise() {
    let fine = "
- { name: confirm, kind: pivot, call: a.b, after: [charge], with: { id: =steps.charge.id } }
- { name: tell, kind: retriable, call: a.c, with: { id: =steps.reserve.id } }
- { name: charge, kind: compensatable, call: a.d, undo: a.e, after: [reserve], with: { id: =steps.reserve.id } }
- { name: reserve, kind: compensatable, call: a.f, undo: a.g, after: [] }
";
    assert_eq!(mistakes(fine), [""; 0]);
    let definition = compile("a.yaml", &format!("saga: a\nversion: 1\nsteps:\n{fine}")).unwrap();
    let after: Vec<&[usize]> = definition.steps.iter().map(|step| step.after.as_slice()).collect();
    assert_eq!(after, [&[2][..], &[0], &[3], &[]]);
}

#[test]
fn one_mistake_in_a_graph_accuses_no_other_step() {
    let slip = "
- { name: reserve, kind: compensatable, call: a.f, undo: a.g }
- { name: charge, kind: compensatable, call: a.d, undo: a.e }
- { name: confirm, kind: pivot, call: a.b, after: [chagre], with: { id: =steps.reserve.id } }
- { name: tell, kind: retriable, call: a.c }
";
    assert_eq!(mistakes(slip), ["unknown-name: there is no step `chagre`"]);
    let stranger = slip.replace("chagre", "nobody");
    assert_eq!(mistakes(&stranger), ["unknown-name: there is no step `nobody`"]);
    let ring = slip.replace("a.g }", "a.g, after: [tell] }").replace(", after: [chagre]", "");
    assert_eq!(mistakes(&ring).len(), 1, "{:?}", mistakes(&ring));
    assert!(mistakes(&ring)[0].starts_with("after: these steps wait for one another"));
}

#[test]
fn a_saga_without_a_pivot_may_have_branches() {
    let fine = "
- { name: reserve, kind: compensatable, call: a.f, undo: a.g, after: [] }
- { name: charge, kind: compensatable, call: a.d, undo: a.e, after: [] }
- { name: approval, await: approval, after: [] }
";
    assert_eq!(mistakes(fine), [""; 0]);
}
