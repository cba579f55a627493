//! Every word of the language is rehearsed.

use amends_rehearsal::dry_run::{Fault, Report, Row};
use serde_json::json;

use crate::{findings, rehearse, rehearse_with, table};

const PARCEL: &str = "
saga: parcel
version: 1
defaults:
  retry: { attempts: 2, initial: 1s, factor: 1, cap: 1s, jitter: 0 }
steps:
  - name: book
    kind: compensatable
    call: carrier.book
    with: {}
    undo: carrier.unbook
  - name: insure
    kind: compensatable
    after: [book]
    when: =input.insured
    call: insurer.insure
    with: {}
    undo: insurer.cancel
  - name: pack
    kind: compensatable
    after: [book]
    for_each: =input.items
    as: item
    call: warehouse.pack
    with: { item: =item }
    undo: warehouse.unpack
  - name: ship
    kind: pivot
    after: [insure, pack]
    call: carrier.ship
    with: {}
";

#[test]
fn branches_conditions_and_elements() {
    let report = rehearse_with(PARCEL, Some(json!({ "insured": true, "items": ["a", "b"] })), &[]);
    assert_eq!(findings(&report), "");
    // Each way the saga can take is rehearsed: with and without insurance, with two items, one and none.
    let whys = |row: &Row| row.fault == Fault::None || row.fault == Fault::FailsLong;
    let report = Report { rows: report.rows.into_iter().filter(whys).collect(), ..report };
    insta::assert_snapshot!(table(&report), @"
    - | nothing goes wrong | completed | - | - | 5 | 120ms
    book | fails until attempts are used up | compensated (attempts) | - | - | 3 | 1.1s
    book/undo | fails until attempts are used up | compensated (rejected) | book, insure, pack.0, pack.1 | - | 11 | 2.2s
    insure | fails until attempts are used up | compensated (attempts) | book, pack.0, pack.1 | - | 9 | 1.2s
    insure/undo | fails until attempts are used up | compensated (rejected) | book, insure, pack.0, pack.1 | - | 11 | 2.2s
    pack | fails until attempts are used up | compensated (attempts) | book, insure | - | 10 | 1.2s
    pack/undo | fails until attempts are used up | compensated (rejected) | book, insure, pack.0, pack.1 | - | 13 | 2.2s
    ship | fails until attempts are used up | compensated (attempts) | book, insure, pack.0, pack.1 | - | 11 | 1.2s
    (input.insured = false) | nothing goes wrong | completed | - | - | 4 | 120ms
    book (input.insured = false) | fails until attempts are used up | compensated (attempts) | - | - | 3 | 1.1s
    book/undo (input.insured = false) | fails until attempts are used up | compensated (rejected) | book, pack.0, pack.1 | - | 9 | 2.2s
    pack (input.insured = false) | fails until attempts are used up | compensated (attempts) | book | - | 8 | 1.2s
    pack/undo (input.insured = false) | fails until attempts are used up | compensated (rejected) | book, pack.0, pack.1 | - | 11 | 2.2s
    ship (input.insured = false) | fails until attempts are used up | compensated (attempts) | book, pack.0, pack.1 | - | 9 | 1.2s
    (input.items has 0) | nothing goes wrong | completed | - | - | 3 | 120ms
    book (input.items has 0) | fails until attempts are used up | compensated (attempts) | - | - | 3 | 1.1s
    book/undo (input.items has 0) | fails until attempts are used up | compensated (rejected) | book, insure | - | 7 | 2.2s
    insure (input.items has 0) | fails until attempts are used up | compensated (attempts) | book | - | 5 | 1.2s
    insure/undo (input.items has 0) | fails until attempts are used up | compensated (rejected) | book, insure | - | 7 | 2.2s
    ship (input.items has 0) | fails until attempts are used up | compensated (attempts) | book, insure | - | 7 | 1.2s
    (input.items has 1) | nothing goes wrong | completed | - | - | 4 | 120ms
    book (input.items has 1) | fails until attempts are used up | compensated (attempts) | - | - | 3 | 1.1s
    book/undo (input.items has 1) | fails until attempts are used up | compensated (rejected) | book, insure, pack.0 | - | 9 | 2.2s
    insure (input.items has 1) | fails until attempts are used up | compensated (attempts) | book, pack.0 | - | 7 | 1.2s
    insure/undo (input.items has 1) | fails until attempts are used up | compensated (rejected) | book, insure, pack.0 | - | 9 | 2.2s
    pack (input.items has 1) | fails until attempts are used up | compensated (attempts) | book, insure | - | 7 | 1.2s
    pack/undo (input.items has 1) | fails until attempts are used up | compensated (rejected) | book, insure, pack.0 | - | 9 | 2.2s
    ship (input.items has 1) | fails until attempts are used up | compensated (attempts) | book, insure, pack.0 | - | 9 | 1.2s
    ");
}

const APPROVAL: &str = "
saga: approval
version: 1
defaults:
  retry: { attempts: 2, initial: 1s, factor: 1, cap: 1s, jitter: 0 }
steps:
  - name: reserve
    kind: compensatable
    call: shop.reserve
    with: {}
    undo: shop.release
  - name: approve
    kind: compensatable
    await: { signal: approval, timeout: 48h, on_timeout: compensate }
  - name: ship
    kind: pivot
    call: shop.ship
    with: {}
";

#[test]
fn a_signal_comes_or_does_not() {
    let report = rehearse(APPROVAL, &[]);
    assert_eq!(findings(&report), "");
    let awaited = |row: &Row| row.step == "approve" || row.fault == Fault::None;
    let report = Report { rows: report.rows.into_iter().filter(awaited).collect(), ..report };
    insta::assert_snapshot!(table(&report), @"
    - | nothing goes wrong | completed | - | - | 2 | 1.0s
    approve | waits for a signal that does not come | compensated (timeout) | reserve | - | 2 | 48h 0m
    approve | is on its way when the owner cancels | compensated (cancelled) | reserve | - | 2 | 80ms
    ");
}

#[test]
fn a_signal_without_end_is_a_finding() {
    let report = rehearse(&APPROVAL.replace(", timeout: 48h, on_timeout: compensate", ""), &[]);
    insta::assert_snapshot!(findings(&report), @"Endless in 1 of 34 cases, such as when approve waits for a signal that does not come: the saga waits for ever for approval: give the step a `timeout`, or the saga a `deadline`");
}

#[test]
fn an_expression_without_a_value_is_a_finding() {
    let report = rehearse(
        &APPROVAL
            .replace("call: shop.ship\n    with: {}", "call: shop.ship\n    with: { to: =input.nowhere }"),
        &[],
    );
    insta::assert_snapshot!(findings(&report), @"NotCompleted in 1 of 34 cases, such as when nothing goes wrong: with nothing going wrong the saga is compensated: step ship, expression: =input.nowhere: no-such-key: there is no \"nowhere\". If the made-up data are to blame, give your own with --input and --replies");
}
