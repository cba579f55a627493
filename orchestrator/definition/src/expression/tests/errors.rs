//! Evaluation errors: they have names, never quote values, and keep the cost in bounds.

use super::table;

#[test]
fn arithmetic_errors() {
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
    "#);
}

#[test]
fn type_errors() {
    insta::assert_snapshot!(table(&[
        "!input.total",
        "input.total && true",
        "input.total ? 1 : 2",
        "int('x')",
        "double('x')",
        "size(3)",
        "sum(['a'])",
        "sum([1, 1.0])",
        "sum(input.customer)",
    ]), @r#"
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
    "#);
}

#[test]
fn errors_of_lists_and_maps() {
    insta::assert_snapshot!(table(&[
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
