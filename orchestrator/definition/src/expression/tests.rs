//! Expressions, from text to value or to the words of the refusal.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, SagaId, Timestamp, Token};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::evaluate::Program;
use super::{Evaluation, Expression, Names, compile};
use crate::limits::LIST_LEN_MAX;
use crate::{FailureScope, SagaScope, Scope};

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
        json!({ "reservation_id": "r-1", "big": u64::MAX }),
    )]);
    let definition: DefinitionRef = "order.v1".parse().unwrap();
    let labels = BTreeMap::from([(Token::new("customer").unwrap(), "c-1".to_owned())]);
    let step = Token::new("charge-payment").unwrap();
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
    };
    let names = Names::new(&scope);
    match Evaluation::new(&names).evaluate(expression) {
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
fn paths_lead_to_what_is_in_scope() {
    insta::assert_snapshot!(table(&[
        "input.total",
        "input['total']",
        "input.lines[1].sku",
        "input.customer",
        "input.note",
        "input['é']",
        "steps['reserve-stock'].reservation_id",
        "saga",
        "saga.labels.customer",
        "failure.code",
        "input.missing",
        "input.total.deeper",
        "input.lines.sku",
        "input.lines[7]",
        "input.lines[-1]",
        "input.big",
        "input.nul",
        "steps['charge-payment'].charge_id",
        "steps['reserve-stock']",
    ]), @r#"
    input.total
        5600
    input['total']
        5600
    input.lines[1].sku
        "POT-2"
    input.customer
        {"name":"Ada","tags":["a","b"]}
    input.note
        null
    input['é']
        "ü"
    steps['reserve-stock'].reservation_id
        "r-1"
    saga
        {"definition":"order","id":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","labels":{"customer":"c-1"},"started_at":"2026-11-21T08:02:49.123Z","version":1}
    saga.labels.customer
        "c-1"
    failure.code
        "card-declined"
    input.missing
        no-such-key: there is no "missing"
    input.total.deeper
        wrong-type: `.` does not apply to int and string
    input.lines.sku
        wrong-type: `.` does not apply to list and string
    input.lines[7]
        index-out-of-bounds: the list has no element 7
    input.lines[-1]
        index-out-of-bounds: the list has no element -1
    input.big
        overflow: a whole number does not fit 64 bits with a sign
    input.nul
        nul-character: a text contains the character U+0000
    steps['charge-payment'].charge_id
        no-such-key: there is no "charge-payment"
    steps['reserve-stock']
        overflow: a whole number does not fit 64 bits with a sign
    "#);
}

#[test]
fn values_are_computed() {
    insta::assert_snapshot!(table(&[
        "input.total * 2 + 1",
        "-input.total % 1000 - 7 / 2",
        "input.rate * 3.0",
        "double(input.total) / 3.0",
        "1 == 1.0 && input.total > 5 && !(input.total <= 5.5)",
        "input.gift ? 'gift for ' + input.customer.name : 'no gift'",
        "has(input.note) && has(input.customer.name) && !has(input.customer.email)",
        "'name' in input.customer && 'b' in input.customer.tags && !(3 in [1, 2])",
        "size(input.lines) + input.lines.size() + size('äöü') + size(input.customer)",
        "int('42') + int(1.9) + int(true ? 1 : 2)",
        "string(1) + string(true) + string(1.5)",
        "'a,b'.contains(',') && 'ab'.startsWith('a') && 'ab'.endsWith('b')",
        "sum(input.lines.map(l, l.quantity * l.price))",
        "sum([]) + sum([1, 2, 3])",
        "sum([0.5, 0.25])",
        "input.lines.map(l, {'sku': l.sku, 'n': l.quantity})",
        "input.lines.filter(l, l.quantity > 1).map(l, l.sku)",
        "input.lines.map(l, l.quantity > 1, l.sku)",
        "input.lines.all(l, l.price > 0) && input.lines.exists(l, l.sku == 'TEA-1')",
        "input.lines.exists_one(l, l.quantity == 2)",
        "[1, 2] + input.customer.tags + [{'b': 2, 'a': [input.customer]}]",
        "{'z': 1, 'a': {'y': [null, true, 0.5, 'x']}}",
        "1e3",
        "'\\u00e9' + r'\\n'",
    ]), @r#"
    input.total * 2 + 1
        11201
    -input.total % 1000 - 7 / 2
        -603
    input.rate * 3.0
        1.5
    double(input.total) / 3.0
        1866.6666666666667
    1 == 1.0 && input.total > 5 && !(input.total <= 5.5)
        true
    input.gift ? 'gift for ' + input.customer.name : 'no gift'
        "gift for Ada"
    has(input.note) && has(input.customer.name) && !has(input.customer.email)
        true
    'name' in input.customer && 'b' in input.customer.tags && !(3 in [1, 2])
        true
    size(input.lines) + input.lines.size() + size('äöü') + size(input.customer)
        9
    int('42') + int(1.9) + int(true ? 1 : 2)
        44
    string(1) + string(true) + string(1.5)
        "1true1.5"
    'a,b'.contains(',') && 'ab'.startsWith('a') && 'ab'.endsWith('b')
        true
    sum(input.lines.map(l, l.quantity * l.price))
        5600
    sum([]) + sum([1, 2, 3])
        6
    sum([0.5, 0.25])
        0.75
    input.lines.map(l, {'sku': l.sku, 'n': l.quantity})
        [{"n":2,"sku":"TEA-1"},{"n":1,"sku":"POT-2"}]
    input.lines.filter(l, l.quantity > 1).map(l, l.sku)
        ["TEA-1"]
    input.lines.map(l, l.quantity > 1, l.sku)
        ["TEA-1"]
    input.lines.all(l, l.price > 0) && input.lines.exists(l, l.sku == 'TEA-1')
        true
    input.lines.exists_one(l, l.quantity == 2)
        true
    [1, 2] + input.customer.tags + [{'b': 2, 'a': [input.customer]}]
        [1,2,"a","b",{"a":[{"name":"Ada","tags":["a","b"]}],"b":2}]
    {'z': 1, 'a': {'y': [null, true, 0.5, 'x']}}
        {"a":{"y":[null,true,0.5,"x"]},"z":1}
    1e3
        1000.0
    '\u00e9' + r'\n'
        "é\\n"
    "#);
}

#[test]
fn lists_and_maps_compare_whatever_they_are_made_of() {
    insta::assert_snapshot!(table(&[
        "input.customer.tags == ['a', 'b'] && ['a', 'b'] == input.customer.tags",
        "input.customer.tags != ['b', 'a'] && ['a'] != input.customer.tags",
        "input.customer == {'tags': ['a', 'b'], 'name': 'Ada'}",
        "{'name': 'Ada', 'tags': ['a', 'b']} == input.customer",
        "{'name': 'Ada'} == input.customer",
        "input.lines[0] in input.lines && {'a': 1} in [{'a': 1.0}]",
        "input.customer == 'Ada' || input.lines == input.customer || null == input.lines",
        "input.note == null",
    ]), @r#"
    input.customer.tags == ['a', 'b'] && ['a', 'b'] == input.customer.tags
        true
    input.customer.tags != ['b', 'a'] && ['a'] != input.customer.tags
        true
    input.customer == {'tags': ['a', 'b'], 'name': 'Ada'}
        true
    {'name': 'Ada', 'tags': ['a', 'b']} == input.customer
        true
    {'name': 'Ada'} == input.customer
        false
    input.lines[0] in input.lines && {'a': 1} in [{'a': 1.0}]
        true
    input.customer == 'Ada' || input.lines == input.customer || null == input.lines
        false
    input.note == null
        true
    "#);
}

#[test]
fn errors_have_names_and_never_quote_values() {
    insta::assert_snapshot!(table(&[
        "input.total / 0",
        "input.total % 0",
        "input.max + 1",
        "-(-input.max - 1)",
        "input.max * 2",
        "sum([input.max, 1])",
        "1 + 1.0",
        "1 - 'a'",
        "'a' + 1",
        "input.customer + 1",
        "1 + input.customer",
        "input.lines < 3",
        "!input.total",
        "input.total && true",
        "input.total ? 1 : 2",
        "int('x')",
        "double('x')",
        "size(3)",
        "sum(['a'])",
        "sum([1, 1.0])",
        "sum(input.customer)",
        "3 in input.customer",
        "3 in 'abc'",
        "{'a': 1, 'a': 2}",
        "[1][2]",
        "[1]['a']",
        "{'a': 1}.b",
        "[input.big]",
        "[input.nul]",
        "1.0 / 0.0",
        "int(1e300)",
        "input.customer.map(k, k)",
        "(input.gift ? {'a': 1} : {}).map(k, k)",
        "input.total.map(k, k)",
    ]), @r#"
    input.total / 0
        division-by-zero: a number is divided by zero
    input.total % 0
        division-by-zero: a number is divided by zero
    input.max + 1
        overflow: the result of `+` does not fit 64 bits
    -(-input.max - 1)
        overflow: the result of `-` does not fit 64 bits
    input.max * 2
        overflow: the result of `*` does not fit 64 bits
    sum([input.max, 1])
        overflow: the result of `sum` does not fit 64 bits
    1 + 1.0
        wrong-type: `+` does not apply to int and double
    1 - 'a'
        wrong-type: `-` does not apply to values of these types
    'a' + 1
        wrong-type: `+` does not apply to string and int
    input.customer + 1
        wrong-type: `+` does not apply to map and int
    1 + input.customer
        wrong-type: `+` does not apply to int and map
    input.lines < 3
        wrong-type: `<` does not apply to list and int
    !input.total
        wrong-type: `!` does not apply to int
    input.total && true
        wrong-type: `&&` does not apply to int and bool
    input.total ? 1 : 2
        wrong-type: bool is expected, not int
    int('x')
        conversion: `int()` cannot convert this value
    double('x')
        conversion: `double()` cannot convert this value
    size(3)
        wrong-type: `size` does not apply to int
    sum(['a'])
        wrong-type: `sum` does not apply to string
    sum([1, 1.0])
        wrong-type: `sum` does not apply to int and double
    sum(input.customer)
        wrong-type: `sum` does not apply to map
    3 in input.customer
        wrong-type: `in` does not apply to int and map
    3 in 'abc'
        wrong-type: `in` does not apply to int and string
    {'a': 1, 'a': 2}
        duplicate-key: a mapping repeats a key
    [1][2]
        index-out-of-bounds: the list has no element 2
    [1]['a']
        wrong-type: `[]` does not apply to list and string
    {'a': 1}.b
        no-such-key: there is no "b"
    [input.big]
        overflow: a whole number does not fit 64 bits with a sign
    [input.nul]
        nul-character: a text contains the character U+0000
    1.0 / 0.0
        not-json: the number is not finite
    int(1e300)
        conversion: `int()` cannot convert this value
    input.customer.map(k, k)
        wrong-type: only lists are gone through, and this is of type map
    (input.gift ? {'a': 1} : {}).map(k, k)
        wrong-type: only lists are gone through, and this is of type map
    input.total.map(k, k)
        wrong-type: only lists are gone through, and this is of type int
    "#);
}

#[test]
fn costs_are_bounded() {
    insta::assert_snapshot!(table(&[
        "size(input.many)",
        "input.many.map(x, x)",
        "sum(input.many)",
        "3 in input.many",
        "size(input.full + [1])",
        "size(input.full.filter(x, x + 0 > 1))",
        "size(input.full.map(x, input))",
        "input.full.map(x, input.text)",
        "input.full.map(x, input.text + input.text)",
        "input.full.all(x, input == input)",
        "input.full.exists(x, input.text.contains('y'))",
        "input.full.all(x, input.text == input.text)",
    ]), @r#"
    size(input.many)
        1001
    input.many.map(x, x)
        list-too-long: the list has 1001 elements; expressions go through at most 1000
    sum(input.many)
        list-too-long: the list has 1001 elements; expressions go through at most 1000
    3 in input.many
        list-too-long: the list has 1001 elements; expressions go through at most 1000
    size(input.full + [1])
        list-too-long: the list has 1001 elements; expressions go through at most 1000
    size(input.full.filter(x, x + 0 > 1))
        998
    size(input.full.map(x, input))
        1000
    input.full.map(x, input.text)
        too-large: the value has more than 1048576 bytes
    input.full.map(x, input.text + input.text)
        too-costly: evaluating this goes through too many elements or too much text
    input.full.all(x, input == input)
        too-costly: evaluating this goes through too many elements or too much text
    input.full.exists(x, input.text.contains('y'))
        too-costly: evaluating this goes through too many elements or too much text
    input.full.all(x, input.text == input.text)
        too-costly: evaluating this goes through too many elements or too much text
    "#);
}

#[test]
fn flaws_are_told_when_loaded() {
    insta::assert_snapshot!(table(&[
        "input.",
        "input total",
        "1 +",
        "'open",
        "input.lines.mop(l, l)",
        "siez(input.lines)",
        "now()",
        "_x(1)",
        "input.lines.sum()",
        "size(1, 2)",
        "contains('a', 'b')",
        "input.lines.map(l)",
        "has(input)",
        "optional.of(1)",
        "input.?total",
        "input.lines.map(l, input.lines.map(m, m))",
        "input.lines.map(l, l).map(l, l)",
        "input.lines.map(input, input)",
        "{'a': 1}.map(k, k)",
        "{input.total: 1}",
        "b'abc'",
        "1u",
        "'a\\x00b'",
        "Order{total: 1}",
        "@cost",
        "siez(1) + mop(2)",
        "",
    ]), @r#"
    input.
        expression at 6: this is no expression: no viable alternative at input '.' (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])
    input total
        expression at 6: this is no expression: extraneous input 'total' expecting <EOF> (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])
    1 +
        expression at 3: this is no expression: mismatched input '<EOF>' (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])
    'open
        expression at 0: this is no expression: token recognition error at: ''open' (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])
    input.lines.mop(l, l)
        unknown-function at 12: there is no function `mop` (did you mean `map`?)
    siez(input.lines)
        unknown-function at 0: there is no function `siez` (did you mean `size`?)
    now()
        unknown-function at 0: there is no function `now` (there are size, int, double, string, sum, contains, startsWith, endsWith, has, all, exists, exists_one, map, filter)
    _x(1)
        unknown-function at 0: there is no function `_x` (there are size, int, double, string, sum, contains, startsWith, endsWith, has, all, exists, exists_one, map, filter)
    input.lines.sum()
        unknown-function at 12: `sum` is not used like this (write sum(list))
    size(1, 2)
        unknown-function at 0: `size` is not used like this (write size(x))
    contains('a', 'b')
        unknown-function at 0: `contains` is not used like this (write text.contains(part))
    input.lines.map(l)
        unknown-function at 12: `map` is not used like this (write list.map(x, value))
    has(input)
        expression at 4: this is no expression: invalid argument to has() macro (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])
    optional.of(1)
        unknown-function at 9: there is no function `of` (there are size, int, double, string, sum, contains, startsWith, endsWith, has, all, exists, exists_one, map, filter)
    input.?total
        expression at 5: this is no expression: unsupported syntax '.?' (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])
    input.lines.map(l, input.lines.map(m, m))
        expression-limit at 34: a list is gone through inside of another one (go through one list at a time, or let a participant work it out)
    input.lines.map(l, l).map(l, l)
        [{"price":350,"quantity":2,"sku":"TEA-1"},{"price":4900,"quantity":1,"sku":"POT-2"}]
    input.lines.map(input, input)
        unknown-name at 15: `input` has a meaning already (give the macro's variable another name)
    {'a': 1}.map(k, k)
        expression at 12: mappings are indexed, not gone through: their order is not defined (go through a list)
    {input.total: 1}
        expression at 6: the keys of a mapping are texts in quotes (write {'key': value})
    b'abc'
        expression at 0: JSON has no bytes (write a text: 'abc' instead of b'abc')
    1u
        expression at 0: whole numbers have a sign here (write 1 instead of 1u)
    'a\x00b'
        nul-character at 0: the text contains the character U+0000 (leave it out: databases cannot store it)
    Order{total: 1}
        expression at 5: messages with a type name are no part of the language (write a mapping with quoted keys: {'amount': 1})
    @cost
        expression at 0: this is no expression: token recognition error at: '@' (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])
    siez(1) + mop(2)
        unknown-function at 0: there is no function `siez` (did you mean `size`?); unknown-function at 10: there is no function `mop` (did you mean `map`?)

        expression at 0: the expression is empty (write an expression behind the `=`; a text that is just `=` is written "='='")
    "#);
}

#[test]
fn long_and_deep_expressions_are_refused() {
    let sources = [
        "1".repeat(2000),
        format!("{}1{}", "(".repeat(300), ")".repeat(300)),
        vec!["1"; 100].join("+"),
        format!("input{}", ".a[0]".repeat(100)),
        format!("{}1", "true?1:".repeat(140)),
        "!".repeat(1000),
    ];
    let refusals: Vec<String> = sources.iter().map(|source| run(source).chars().take(60).collect()).collect();
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    expression-limit at 0: the expression has 2000 bytes; at mos
    expression-limit at 32: the expression is nested more than 3
    expression-limit at 133: the expression is nested more than 
    expression-limit at 422: the expression is nested more than 
    expression at 672: this is no expression: OtherError(ParseEr
    expression at 1000: this is no expression: extraneous input
    "#);
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
