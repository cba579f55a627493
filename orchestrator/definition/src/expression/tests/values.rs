//! What expressions bring.

use super::table;

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
fn scalars_are_computed() {
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
    "#);
}

#[test]
fn lists_and_maps_are_computed() {
    insta::assert_snapshot!(table(&[
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
fn money_is_added_exactly_and_in_one_currency() {
    insta::assert_snapshot!(table(&[
        "money(350, 'EUR')",
        "money(input.total, 'EUR').amount + 1",
        "sum(input.lines.map(l, money(l.quantity * l.price, 'EUR')))",
        "sum([{'amount': 1, 'currency': 'EUR'}, money(2, 'EUR')]) == money(3, 'EUR')",
        "sum([money(-1, 'EUR')])",
        "sum([money(1, 'EUR'), money(1, 'USD')])",
        "sum([money(1, 'EUR'), 1])",
        "sum([1, money(1, 'EUR')])",
        "sum([money(input.max, 'EUR'), money(1, 'EUR')])",
        "sum([{'amount': 1}])",
        "sum([{'amount': 1.5, 'currency': 'EUR'}])",
        "sum([{'amount': 1, 'currency': 'euro'}])",
        "money(1.5, 'EUR')",
        "money(1, 'euro')",
        "money('1', 'EUR')",
        "money(1)",
        "input.lines.money('EUR')",
    ]), @r#"
    money(350, 'EUR')
        {"amount":350,"currency":"EUR"}
    money(input.total, 'EUR').amount + 1
        5601
    sum(input.lines.map(l, money(l.quantity * l.price, 'EUR')))
        {"amount":5600,"currency":"EUR"}
    sum([{'amount': 1, 'currency': 'EUR'}, money(2, 'EUR')]) == money(3, 'EUR')
        true
    sum([money(-1, 'EUR')])
        {"amount":-1,"currency":"EUR"}
    sum([money(1, 'EUR'), money(1, 'USD')])
        wrong-type: `sum` does not apply to money of several currencies
    sum([money(1, 'EUR'), 1])
        wrong-type: `sum` does not apply to money and int
    sum([1, money(1, 'EUR')])
        wrong-type: `sum` does not apply to int and money
    sum([money(input.max, 'EUR'), money(1, 'EUR')])
        overflow: the result of `sum` does not fit 64 bits
    sum([{'amount': 1}])
        wrong-type: `sum` does not apply to map
    sum([{'amount': 1.5, 'currency': 'EUR'}])
        wrong-type: `sum` does not apply to map
    sum([{'amount': 1, 'currency': 'euro'}])
        conversion: a currency is three letters A-Z (ISO 4217)
    money(1.5, 'EUR')
        wrong-type: `money` does not apply to double and string
    money(1, 'euro')
        conversion: a currency is three letters A-Z (ISO 4217)
    money('1', 'EUR')
        wrong-type: `money` does not apply to string and string
    money(1)
        unknown-function at 0: `money` is not used like this (write money(amount, currency))
    input.lines.money('EUR')
        unknown-function at 12: `money` is not used like this (write money(amount, currency))
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
