//! Templates of a compiled definition, rendered.

use std::collections::BTreeMap;
use std::fs;

use amends_contract::{Address, Command, DATA_DEPTH_MAX, DefinitionRef, Envelope, SagaId, Timestamp, Token};
use amends_definition::{Definition, ExpressionErrorKind, FailureScope, SagaScope, Scope, Template, Undo};
use serde_json::{Value, json};

use crate::{compile, folder};

fn input() -> Value {
    json!({
        "customer_id": "c-7",
        "email": "ada@example.com",
        "lines": [{ "sku": "TEA-1", "quantity": 2, "unit_price": { "amount": 350, "currency": "EUR" } }],
        "total": { "amount": 700, "currency": "EUR" },
        "payment_token": "tok_visa",
    })
}

/// Renders in the scope of a saga in which `reserve-stock` has succeeded.
fn render(template: &Template, input: &Value) -> Result<Value, amends_definition::ExpressionError> {
    let id: SagaId = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap();
    let definition: DefinitionRef = "order.v1".parse().unwrap();
    let labels = BTreeMap::from([(Token::new("customer").unwrap(), "c-7".to_owned())]);
    let steps =
        BTreeMap::from([(Token::new("reserve-stock").unwrap(), json!({ "reservation_id": "r-1" }).into())]);
    let saga =
        SagaScope { id, definition: &definition, started_at: Timestamp::from_unix_ms(0), labels: &labels };
    let failure = Some(FailureScope { step: None, code: "deadline", detail: "24 h are over" });
    template.render(&Scope { input, steps: &steps, saga, failure, element: None, event: None })
}

/// A saga with one step whose data is `with`.
fn with(with: &str) -> Template {
    let source = format!(
        "saga: a\nversion: 1\nsteps:\n- name: b\n  kind: pivot\n  call: c.d\n  with: {}\n",
        with.replace('\n', "\n    ")
    );
    let definition = compile("a.yaml", &source).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    definition.steps[0].with.clone()
}

#[test]
fn the_commands_of_the_order_saga() {
    let source = fs::read_to_string(folder().join("order.v1.yaml")).unwrap();
    let order: Definition = compile("order.v1.yaml", &source).unwrap();
    let input = input();
    let mut lines = vec![format!("customer: {}", render(&order.labels["customer"], &input).unwrap())];
    for step in order.steps.iter().chain(&order.on_compensated) {
        lines.push(format!("{}: {}", step.name, render(&step.with, &input).unwrap()));
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    customer: "c-7"
    reserve-stock: {"lines":[{"quantity":2,"sku":"TEA-1","unit_price":{"amount":350,"currency":"EUR"}}]}
    charge-payment: {"amount":{"amount":700,"currency":"EUR"},"customer":"c-7","token":"tok_visa"}
    confirm-stock: {"reservation":"r-1"}
    send-confirmation: {"lines":[{"quantity":2,"sku":"TEA-1","unit_price":{"amount":350,"currency":"EUR"}}],"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.com"}
    send-rejection: {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"deadline","to":"ada@example.com"}
    "#);
}

#[test]
fn literals_and_expressions_mix() {
    let template = with(
        r#"
list: [1, -2, 2.5, true, null, plain, "=input.total.amount", { deep: "= 1 + 1" }]
literal: { "a/b": [ "x=y", "'= no'" ], n: 9223372036854775807 }
quoted: "='= ' + 'text'"
computed: =sum(input.lines.map(l, l.quantity * l.unit_price.amount))
folded: >-
  =input.total.amount
  > 500 ? 'much' : 'little'
labels: =saga.labels"#,
    );
    insta::assert_json_snapshot!(render(&template, &input()).unwrap(), @r#"
    {
      "computed": 700,
      "folded": "much",
      "labels": {
        "customer": "c-7"
      },
      "list": [
        1,
        -2,
        2.5,
        true,
        null,
        "plain",
        700,
        {
          "deep": 2
        }
      ],
      "literal": {
        "a/b": [
          "x=y",
          "'= no'"
        ],
        "n": 9223372036854775807
      },
      "quoted": "= text"
    }
    "#);
}

#[test]
fn all_of_the_input_is_an_expression_too() {
    assert_eq!(render(&with("=input"), &input()).unwrap(), input());
}

#[test]
fn a_step_without_data_sends_an_empty_object() {
    let source = "saga: a\nversion: 1\nsteps:\n- {name: b, kind: pivot, call: c.d}\n";
    let definition = compile("a.yaml", source).unwrap();
    assert_eq!(render(&definition.steps[0].with, &input()).unwrap(), json!({}));
}

#[test]
fn an_undo_may_add_what_earlier_steps_brought() {
    let source = "
saga: a
version: 1
steps:
- { name: reserve-stock, kind: compensatable, call: b.c, undo: none, because: it expires }
- name: charge
  kind: compensatable
  call: b.d
  undo: { call: b.e, with: { reservation: \"=steps['reserve-stock'].reservation_id\" } }
";
    let definition = compile("a.yaml", source).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let [none, call] = [0, 1].map(|step| definition.steps[step].undo.clone().unwrap());
    assert!(matches!(none, Undo::None { because } if because == "it expires"));
    let Undo::Call { with: Some(with), .. } = call else { panic!("{call:?}") };
    assert_eq!(render(&with, &input()).unwrap(), json!({ "reservation": "r-1" }));
}

#[test]
fn an_error_says_where_and_what_and_is_the_same_every_time() {
    let template = with("{ fine: =input.total, list: [1, { \"a/b\": =input.missing }] }");
    let error = render(&template, &input()).unwrap_err();
    assert_eq!(error.kind, ExpressionErrorKind::NoSuchKey);
    assert_eq!(error.pointer, "/list/1/a~1b");
    assert_eq!(error.to_string(), "=input.missing: no-such-key: there is no \"missing\"");
    assert_eq!(render(&template, &input()).unwrap_err(), error);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_made() {
    let input = json!({ "text": "x".repeat(100_000), "list": vec![0; 100] });
    let error = render(&with("{ a: \"=input.list.map(x, input.text)\" }"), &input).unwrap_err();
    assert_eq!(error.kind, ExpressionErrorKind::TooLarge);
    // The whole template shares the room, not each expression.
    let fields: Vec<String> = (0..20).map(|number| format!("f{number}: =input.text")).collect();
    let error = render(&with(&format!("{{ {} }}", fields.join(", "))), &input).unwrap_err();
    assert_eq!(error.kind, ExpressionErrorKind::TooLarge);
}

#[test]
fn what_no_participant_could_read_is_not_rendered() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for with in [with("{ a: =input.deep }"), with("{ a: \"=true ? input.deep : 1\" }")] {
        let fits = json!({ "deep": nested(DATA_DEPTH_MAX - 1) });
        let data = render(&with, &fits).unwrap();
        let command = Command { data: data.into(), ..command() };
        assert!(Envelope::decode(&command.to_envelope().encode()).is_ok());
        let error = render(&with, &json!({ "deep": nested(DATA_DEPTH_MAX) })).unwrap_err();
        assert_eq!(error.kind, ExpressionErrorKind::TooLarge);
    }
}

/// Any command; its data is to be replaced.
fn command() -> Command {
    Command {
        effect: "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/a/do/1".parse().unwrap(),
        send_no: 1,
        address: Address::new("b", "c").unwrap(),
        definition: "order.v1".parse().unwrap(),
        decided_at: Timestamp::from_unix_ms(0),
        undoes: None,
        data: Value::Null.into(),
    }
}
