//! The order saga has no finding; without the refund it has exactly one.

use crate::{findings, rehearse, table};

const ORDER: &str = include_str!("../../../../saga-definitions/order.v1.yaml");

#[test]
fn the_order_saga_has_no_finding() {
    let report = rehearse(ORDER, &[]);
    assert_eq!(findings(&report), "");
    insta::assert_snapshot!(table(&report));
}

#[test]
fn a_charge_without_undo_is_left_behind() {
    let undo = "undo: { call: payment.refund-payment, retry: { attempts: 50, cap: 30s } }";
    assert!(ORDER.contains(undo));
    let source = ORDER.replace(undo, "undo: none\n    because: refunds are made by hand");
    let report = rehearse(&source, &[]);
    insta::assert_snapshot!(findings(&report), @"LeftBehind in 15 of 64 cases, such as when confirm-stock is rejected: charge-payment would be left behind: it has no undo (refunds are made by hand), so what it did stays when the saga is compensated. Give it an `undo`; if it does no harm, allow it with --allow-left charge-payment");
    let charged = |row: &&amends_rehearsal::dry_run::Row| !row.left.is_empty();
    assert!(report.rows.iter().filter(charged).all(|row| row.left == ["charge-payment"]));
    assert_eq!(rehearse(&source, &["charge-payment"]).findings, []);
}
