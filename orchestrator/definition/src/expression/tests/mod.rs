//! Expressions, from text to value or to the words of the refusal.

mod errors;
mod flaws;
mod values;

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, SagaId, Timestamp, Token};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::evaluate::Program;
use super::{Evaluation, Expression, Names, compile};
use crate::limits::LIST_LEN_MAX;
use crate::{Element, FailureScope, SagaScope, Scope};

fn input() -> Value {
    json!({
        "customer": { "name": "Ada", "tags": ["a", "b"] },
        "lines": [
            { "sku": "TEA-1", "quantity": 2, "price": 350 },
            { "sku": "POT-2", "quantity": 1, "price": 4900 },
        ],
        "total": 5600,
        "rate": 0.5,
        "note": null,
        "gift": true,
        "big": u64::MAX,
        "max": i64::MAX,
        "nul": "a\0b",
        "many": (0..=LIST_LEN_MAX).collect::<Vec<_>>(),
        "full": (0..LIST_LEN_MAX).collect::<Vec<_>>(),
        "text": "x".repeat(100_000),
        "é": "ü",
    })
}

/// Evaluates in a scope that has everything.
fn evaluate(expression: &Expression, input: &Value) -> String {
    let steps = BTreeMap::from([(
        Token::new("reserve-stock").unwrap(),
        json!({ "reservation_id": "r-1", "big": u64::MAX }).into(),
    )]);
    let definition: DefinitionRef = "order.v1".parse().unwrap();
    let labels = BTreeMap::from([(Token::new("customer").unwrap(), "c-1".to_owned())]);
    let step = Token::new("charge-payment").unwrap();
    let line = Token::new("line").unwrap();
    let id: SagaId = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap();
    let scope = Scope {
        input,
        steps: &steps,
        saga: SagaScope {
            id,
            definition: &definition,
            started_at: Timestamp::from_unix_ms(1_795_248_169_123),
            labels: &labels,
        },
        failure: Some(FailureScope { step: Some(&step), code: "card-declined", detail: "no" }),
        element: Some(Element { name: &line, value: &input["customer"] }),
        event: None,
    };
    let names = Names::new(&scope);
    match Evaluation::new(&names).evaluate(expression, amends_contract::DATA_DEPTH_MAX) {
        Ok(value) => value.to_string(),
        Err(failure) => format!("{}: {}", failure.kind, failure.message),
    }
}

fn run(source: &str) -> String {
    match compile(source) {
        Ok(compiled) => evaluate(&compiled.expression, &input()),
        Err(flaws) => flaws
            .iter()
            .map(|flaw| format!("{} at {}: {} ({})", flaw.rule, flaw.offset, flaw.message, flaw.remedy))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// A table of expressions and what becomes of them.
fn table(sources: &[&str]) -> String {
    sources.iter().map(|source| format!("{source}\n    {}\n", run(source))).collect()
}

#[test]
fn the_deepest_expressions_run_on_half_a_worker_threads_stack() {
    // The deepest that is allowed, of each kind of nesting.
    let deepest = |make: fn(usize) -> String| {
        let depth = (1..100).rev().find(|depth| compile(&make(*depth)).is_ok()).unwrap();
        assert!(depth > 8 && depth < 99, "{}", make(depth));
        make(depth)
    };
    let sources = [
        deepest(|depth| vec!["1"; depth].join("+")),
        deepest(|depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth))),
        deepest(|depth| format!("{}1{}", "string(".repeat(depth), ")".repeat(depth))),
        deepest(|depth| format!("[1]{}", ".map(x, x)".repeat(depth))),
        deepest(|depth| format!("{}1", "true?1:".repeat(depth))),
    ];
    let run_all = move || sources.iter().filter(|source| !run(source).contains(':')).count();
    let small = std::thread::Builder::new().stack_size(1024 * 1024).spawn(run_all).unwrap();
    assert_eq!(small.join().unwrap(), 5);
}

#[test]
fn a_path_gives_what_the_interpreter_gives() {
    for source in [
        "input",
        "input.total",
        "input.customer.tags",
        "input.customer.missing",
        "input.lines.sku",
        "input.total.x",
        "input.note.x",
        "input.rate.x",
        "input.gift.x",
        "input.text.x",
        "input.big",
        "input.nul",
        "saga.id",
        "saga.labels.nobody",
        "failure",
        "steps['reserve-stock']",
        "steps['reserve-stock'].reservation_id",
        "steps['reserve-stock'].big",
        "steps['nobody'].x",
        "line",
        "line.tags",
        "line.missing",
        "other",
        "other.x",
        "event.data",
    ] {
        let walked = compile(source).unwrap().expression;
        assert!(matches!(walked.program, Program::Path { .. }), "{source}");
        // The same through the interpreter: a conditional is no path.
        let interpreted = compile(&format!("true ? {source} : null")).unwrap().expression;
        assert!(matches!(interpreted.program, Program::Cel(_)), "{source}");
        let input = input();
        assert_eq!(evaluate(&walked, &input), evaluate(&interpreted, &input), "{source}");
    }
}

/// Text that is more often an expression than chance would have it.
fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "input",
        ".lines",
        "['é']",
        "steps",
        "saga",
        "failure",
        ".map(x, ",
        ".filter(x, ",
        ")",
        "(",
        "[",
        "]",
        "{",
        "}",
        "'a'",
        ":",
        ",",
        "?",
        "1",
        "2.5",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        " in ",
        "&&",
        "||",
        "!",
        "x",
        "size(",
        "sum(",
        "has(",
        "true",
        "null",
        "\"",
        "\\",
        "`",
        "@",
        "//",
        "\n",
    ]);
    prop::collection::vec(fragment, 0..24).prop_map(|fragments| fragments.concat())
}

proptest! {
    #[test]
    fn nothing_panics_and_everything_is_repeatable(source in prop_oneof![fragments(), ".{0,60}"]) {
        prop_assert_eq!(run(&source), run(&source));
    }
}
