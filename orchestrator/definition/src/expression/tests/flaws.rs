//! What is told when an expression is loaded.

use super::{run, table};

#[test]
fn syntax_is_checked() {
    insta::assert_snapshot!(table(&[
        "input.",
        "input total",
        "1 +",
        "'open",
        "has(input)",
        "input.?total",
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
    has(input)
        expression at 4: this is no expression: invalid argument to has() macro (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])
    input.?total
        expression at 5: this is no expression: unsupported syntax '.?' (write CEL (https://cel.dev): texts in quotes, fields after a dot, steps as steps['name'])

        expression at 0: the expression is empty (write an expression behind the `=`; a text that is just `=` is written "='='")
    "#);
}

#[test]
fn functions_are_checked() {
    insta::assert_snapshot!(table(&[
        "input.lines.mop(l, l)",
        "siez(input.lines)",
        "now()",
        "_x(1)",
        "input.lines.sum()",
        "size(1, 2)",
        "contains('a', 'b')",
        "input.lines.map(l)",
        "optional.of(1)",
        "siez(1) + mop(2)",
    ]), @r#"
    input.lines.mop(l, l)
        unknown-function at 12: there is no function `mop` (did you mean `map`?)
    siez(input.lines)
        unknown-function at 0: there is no function `siez` (did you mean `size`?)
    now()
        unknown-function at 0: there is no function `now` (there are size, int, double, string, sum, money, contains, startsWith, endsWith, has, all, exists, exists_one, map, filter)
    _x(1)
        unknown-function at 0: there is no function `_x` (there are size, int, double, string, sum, money, contains, startsWith, endsWith, has, all, exists, exists_one, map, filter)
    input.lines.sum()
        unknown-function at 12: `sum` is not used like this (write sum(list))
    size(1, 2)
        unknown-function at 0: `size` is not used like this (write size(x))
    contains('a', 'b')
        unknown-function at 0: `contains` is not used like this (write text.contains(part))
    input.lines.map(l)
        unknown-function at 12: `map` is not used like this (write list.map(x, value))
    optional.of(1)
        unknown-function at 9: there is no function `of` (there are size, int, double, string, sum, money, contains, startsWith, endsWith, has, all, exists, exists_one, map, filter)
    siez(1) + mop(2)
        unknown-function at 0: there is no function `siez` (did you mean `size`?); unknown-function at 10: there is no function `mop` (did you mean `map`?)
    "#);
}

#[test]
fn what_cannot_be_rendered_or_replayed_is_refused() {
    insta::assert_snapshot!(table(&[
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
    ]), @r#"
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
