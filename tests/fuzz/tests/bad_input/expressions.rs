//! Expressions: whatever a definition computes, with whatever data.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, SagaId, Timestamp, Token};
use amends_definition::limits::{EXPRESSION_BYTES_MAX, RENDERED_BYTES_MAX};
use amends_definition::{Definition, ExpressionError, SagaScope, Scope};
use amends_fuzz::{Edited, Json, Text, target};
use bolero::TypeGenerator;
use serde_json::{Value, json};

const PATHS: [&str; 8] = [
    "input",
    "input.a",
    "input.list",
    "input['a b']",
    "steps['one']",
    "steps['one'].x",
    "saga.id",
    "saga.labels",
];
const BINARY: [&str; 14] = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"];
const CALLS: [&str; 9] = ["size", "int", "string", "double", "sum", "has", "min", "type", "no_such_function"];
const METHODS: [&str; 9] =
    ["size", "contains", "startsWith", "endsWith", "matches", "map", "filter", "all", "exists"];

/// An expression as its author may have meant it.
#[derive(Clone, Debug, TypeGenerator)]
enum Expression {
    Int(i64),
    Unsigned(u8),
    Double(f64),
    Text(Text),
    Path(u8),
    Element,
    Bool(bool),
    Raw(Text),
    List(Vec<Expression>),
    Not(Box<Expression>),
    Minus(Box<Expression>),
    Binary(u8, Box<Expression>, Box<Expression>),
    Choice(Box<Expression>, Box<Expression>, Box<Expression>),
    Field(Box<Expression>, Text),
    Index(Box<Expression>, Box<Expression>),
    Call(u8, Vec<Expression>),
    Method(u8, Box<Expression>, Vec<Expression>),
    Each(u8, Box<Expression>, Box<Expression>),
    Map(Vec<(Text, Expression)>),
}

fn one_of<'a>(words: &[&'a str], index: u8) -> &'a str {
    words[usize::from(index) % words.len()]
}

fn list(items: &[Expression]) -> String {
    items.iter().map(Expression::get).collect::<Vec<_>>().join(", ")
}

impl Expression {
    fn get(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Unsigned(number) => format!("{number}u"),
            Self::Double(number) => format!("{number:?}"),
            Self::Text(text) => json!(text.get()).to_string(),
            Self::Path(index) => one_of(&PATHS, *index).to_owned(),
            Self::Element => "x".to_owned(),
            Self::Bool(flag) => flag.to_string(),
            Self::Raw(text) => text.get(),
            Self::List(items) => format!("[{}]", list(items)),
            Self::Not(inner) => format!("!({})", inner.get()),
            Self::Minus(inner) => format!("-({})", inner.get()),
            Self::Binary(index, left, right) => {
                format!("({} {} {})", left.get(), one_of(&BINARY, *index), right.get())
            }
            Self::Choice(which, one, other) => format!("({} ? {} : {})", which.get(), one.get(), other.get()),
            Self::Field(of, name) => format!("{}.{}", of.get(), name.get()),
            Self::Index(of, at) => format!("{}[{}]", of.get(), at.get()),
            Self::Call(index, arguments) => format!("{}({})", one_of(&CALLS, *index), list(arguments)),
            Self::Method(index, of, arguments) => {
                format!("{}.{}({})", of.get(), one_of(&METHODS, *index), list(arguments))
            }
            Self::Each(index, of, what) => {
                format!("{}.{}(x, {})", of.get(), one_of(&METHODS[5..], *index), what.get())
            }
            Self::Map(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| format!("{}: {}", json!(name.get()), value.get()))
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
        }
    }
}

#[test]
fn any_expression() {
    target!((Expression, Json), |(expression, input): &(Expression, Json)| {
        evaluate(&expression.get(), &input.get());
    });
}

#[test]
fn an_edited_expression() {
    const GOOD: [&str; 5] = [
        "input.lines.map(line, {'sku': line.sku, 'quantity': int(line.quantity) * 2})",
        "sum(input.lines.filter(line, line.quantity > 1).map(line, line.unit_price.amount))",
        "has(input.note) && size(input.note) > 3 ? input.note : 'none'",
        "steps['one'].x in [1, 2, 3] || input.total.amount % 7 == 0",
        "string(saga.id) + '/' + saga.started_at",
    ];
    target!((Edited, Json), |(edited, input): &(Edited, Json)| {
        let input = json!({ "lines": input.get(), "note": "four", "total": { "amount": 49 } });
        evaluate(&edited.text(GOOD[edited.of(GOOD.len())]), &input);
    });
}

/// The same twice is the same; an error names the expression and is bounded, as is what comes out.
fn evaluate(expression: &str, input: &Value) {
    let Some(definition) = definition(expression) else { return };
    assert!(expression.len() <= EXPRESSION_BYTES_MAX);
    match (render(&definition, input), render(&definition, input)) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one, other);
            let written = one.to_string();
            assert!(written.len() <= 8 * RENDERED_BYTES_MAX, "{} bytes", written.len());
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), one, "it is stored and read back");
        }
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            assert!(one.to_string().len() <= 4 * EXPRESSION_BYTES_MAX, "{one}");
            assert!(!one.expression.is_empty());
        }
        (one, other) => panic!("{expression} gives {one:?}, then {other:?}"),
    }
}

fn render(definition: &Definition, input: &Value) -> Result<Value, ExpressionError> {
    let steps = BTreeMap::from([(token("one"), json!({ "x": 1, "list": [1, "two", null] }).into())]);
    let (labels, reference) = (BTreeMap::new(), definition.reference());
    let scope = scope(input, &steps, &reference, &labels);
    definition.step("two").unwrap().with.render(&scope)
}

fn scope<'a>(
    input: &'a Value,
    steps: &'a BTreeMap<Token, amends_contract::Json>,
    definition: &'a DefinitionRef,
    labels: &'a BTreeMap<Token, String>,
) -> Scope<'a> {
    let id: SagaId = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap();
    let saga = SagaScope { id, definition, started_at: Timestamp::from_unix_ms(0), labels };
    Scope { input, steps, saga, failure: None, element: None, event: None }
}

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

/// A definition whose second step computes this; `None` where it is refused, which has to say where.
fn definition(expression: &str) -> Option<Definition> {
    let quoted = json!(format!("={expression}"));
    let source = format!(
        "saga: odd\nversion: 1\ndeadline: 1h\nretention: 1d\nsteps:\n  - name: one\n    kind: compensatable\n    \
         call: a.b\n    undo: a.c\n  - name: two\n    kind: compensatable\n    call: a.d\n    undo: a.e\n    \
         with: {{ x: {quoted} }}\n"
    );
    match Definition::compile("odd.v1.yaml", &source, &|_| Err("there is none".to_owned())) {
        Ok(definition) => Some(definition),
        Err(diagnostics) => {
            assert!(diagnostics.iter().all(|mistake| mistake.line >= 1 && !mistake.remedy.is_empty()));
            None
        }
    }
}

/// The definition around the expressions is a good one: else nothing was tried.
#[test]
fn a_good_expression_is_evaluated() {
    let definition = definition("input.a + 1").unwrap();
    assert_eq!(render(&definition, &json!({ "a": 1 })).unwrap(), json!({ "x": 2 }));
}
