//! The rules of stock, without a database.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{
    Change, Changes, InvalidLines, Line, Lines, Refusal, ReturnRefusal, Shelf, Stock, confirm, is_sku,
    put_back, release, reserve, restock, take_back,
};

fn lines(text: &str) -> Result<Lines, InvalidLines> {
    let line = |part: &str| {
        let (sku, quantity) = part.split_once('*').unwrap();
        Line { sku: sku.to_owned(), quantity: quantity.parse().unwrap() }
    };
    Lines::merge(text.split_whitespace().map(line))
}

fn shelf(text: &str) -> Shelf {
    let item = |part: &str| {
        let (sku, quantity) = part.split_once('*').unwrap();
        (sku.to_owned(), restock(Stock::default(), quantity.parse().unwrap()).unwrap())
    };
    text.split_whitespace().map(item).collect()
}

#[test]
fn lines_are_merged_and_sorted() {
    let merged = lines("b*1 a*2 b*3").unwrap();
    assert_eq!(merged, lines("a*2 b*4").unwrap());
    assert_eq!(merged.skus().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(serde_json::to_string(&merged).unwrap(), r#"{"a":2,"b":4}"#);
}

#[test]
fn lines_that_cannot_be_are_named() {
    assert_eq!(lines(""), Err(InvalidLines::None));
    assert_eq!(lines("a*1 b*0"), Err(InvalidLines::Quantity { line: 1, quantity: 0 }));
    assert_eq!(lines("a*-3"), Err(InvalidLines::Quantity { line: 0, quantity: -3 }));
    assert_eq!(lines(&format!("a*{} a*1", i64::MAX)), Err(InvalidLines::TooMany { line: 1 }));
}

#[test]
fn the_first_line_that_cannot_be_had_is_named() {
    let shelf = shelf("a*2 b*2");
    let out = |wanted| Refusal::OutOfStock { sku: "b".to_owned(), wanted, available: 2 };
    assert_eq!(reserve(&shelf, &lines("a*1 b*3 c*1").unwrap()), Err(out(3)));
    let unknown = Refusal::UnknownSku { sku: "c".to_owned() };
    assert_eq!(reserve(&shelf, &lines("a*1 b*2 c*1").unwrap()), Err(unknown.clone()));
    assert_eq!((out(3).code(), unknown.code()), ("out-of-stock", "unknown-sku"));
    let long = Refusal::UnknownSku { sku: "x".repeat(1_000_000) };
    assert!(long.to_string().len() < 200);
}

#[test]
fn what_is_reserved_already_is_not_available() {
    let stock = Stock { on_hand: 5, reserved: 4, deducted: 1, received: 6 };
    let shelf = Shelf::from([("a".to_owned(), stock)]);
    assert!(reserve(&shelf, &lines("a*1").unwrap()).is_ok());
    let refusal = reserve(&shelf, &lines("a*2").unwrap()).unwrap_err();
    assert_eq!(refusal.to_string(), "a: 2 wanted, 1 available");
}

#[test]
fn what_is_not_held_can_neither_be_released_nor_confirmed() {
    let shelf = shelf("a*2");
    for wanted in ["a*1", "b*1"] {
        assert!(release(&shelf, &lines(wanted).unwrap()).is_err());
        assert!(confirm(&shelf, &lines(wanted).unwrap()).is_err());
    }
}

#[test]
fn restocking_is_bounded() {
    assert_eq!(restock(Stock::default(), 0), None);
    assert_eq!(restock(Stock::default(), -1), None);
    let full = restock(Stock::default(), i64::MAX).unwrap();
    assert_eq!(restock(full, 1), None);
}

#[test]
fn skus() {
    assert!(is_sku("TEA-1_b.2") && is_sku(&"x".repeat(64)));
    for wrong in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
        assert!(!is_sku(wrong), "{wrong}");
    }
}

/// What can happen to a shelf.
#[derive(Clone, Debug)]
enum Happening {
    Restock(usize, i64),
    Reserve(Vec<(usize, i64)>),
    Release(usize),
    Confirm(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..4_usize, 1..20_i64).prop_map(|(sku, quantity)| Happening::Restock(sku, quantity)),
        prop::collection::vec((0..5_usize, 1..8_i64), 1..5).prop_map(Happening::Reserve),
        any::<usize>().prop_map(Happening::Release),
        any::<usize>().prop_map(Happening::Confirm),
    ]
}

fn sku(number: usize) -> String {
    format!("SKU-{number}")
}

fn apply(shelf: &mut Shelf, changes: &Changes) {
    for (sku, change) in changes {
        let stock = shelf.get_mut(sku).expect("only what exists is changed");
        *stock = stock.after(change).expect("only what stays sound is changed");
    }
}

fn ended(reservations: &mut Vec<Lines>, number: usize) -> Option<Lines> {
    (!reservations.is_empty()).then(|| reservations.swap_remove(number % reservations.len()))
}

fn held(reservations: &[Lines]) -> BTreeMap<String, i64> {
    let mut held = BTreeMap::new();
    for lines in reservations {
        let lines: BTreeMap<String, i64> =
            serde_json::from_value(serde_json::to_value(lines).unwrap()).unwrap();
        lines.into_iter().for_each(|(sku, quantity)| *held.entry(sku).or_default() += quantity);
    }
    held
}

proptest! {
    #[test]
    fn stock_stays_sound_whatever_happens(happenings in prop::collection::vec(happening(), 1..60)) {
        let (mut shelf, mut active) = (Shelf::new(), Vec::new());
        for happening in happenings {
            match happening {
                Happening::Restock(number, quantity) => {
                    let stock = shelf.entry(sku(number)).or_default();
                    *stock = restock(*stock, quantity).unwrap();
                }
                Happening::Reserve(wanted) => {
                    let line = |(number, quantity)| Line { sku: sku(number), quantity };
                    let lines = Lines::merge(wanted.into_iter().map(line)).unwrap();
                    let before = shelf.clone();
                    match reserve(&shelf, &lines) {
                        Ok(changes) => {
                            apply(&mut shelf, &changes);
                            active.push(lines);
                        }
                        Err(_) => prop_assert_eq!(&shelf, &before),
                    }
                }
                Happening::Release(number) => {
                    if let Some(lines) = ended(&mut active, number) {
                        let changes = release(&shelf, &lines);
                        prop_assert!(changes.is_ok(), "an active reservation can be released");
                        apply(&mut shelf, &changes.unwrap());
                    }
                }
                Happening::Confirm(number) => {
                    if let Some(lines) = ended(&mut active, number) {
                        let changes = confirm(&shelf, &lines);
                        prop_assert!(changes.is_ok(), "an active reservation can be confirmed");
                        apply(&mut shelf, &changes.unwrap());
                    }
                }
            }
            let held = held(&active);
            for (sku, stock) in &shelf {
                prop_assert!(stock.is_sound(), "{} {:?}", sku, stock);
                prop_assert!(stock.available() >= 0);
                prop_assert_eq!(stock.reserved, held.get(sku).copied().unwrap_or_default());
            }
        }
    }

    #[test]
    fn no_change_makes_a_sound_stock_unsound(
        on_hand in 0..i64::MAX / 2, part in 0..=100_i64, deducted in 0..i64::MAX / 2,
        change in prop::array::uniform4(prop_oneof![-10..10_i64, any::<i64>()]),
    ) {
        let reserved = on_hand / 100 * part;
        let stock = Stock { on_hand, reserved, deducted, received: on_hand + deducted };
        prop_assert!(stock.is_sound());
        let [on_hand, reserved, deducted, received] = change;
        if let Some(after) = stock.after(&Change { on_hand, reserved, deducted, received }) {
            prop_assert!(after.is_sound());
        }
    }
}

#[test]
fn no_more_comes_back_than_was_sold() {
    let many = |texts: &[&str]| texts.iter().map(|text| lines(text).unwrap()).collect::<Vec<_>>();
    let back = |sold: &[&str], back: &[&str], wanted: &str| {
        take_back(&many(sold), &many(back), &lines(wanted).unwrap())
    };
    let too_many =
        |sku: &str, wanted, left| Err(ReturnRefusal::MoreThanSold { sku: sku.to_owned(), wanted, left });
    assert_eq!(back(&["a*3 b*1"], &[], "a*3 b*1"), Ok(()));
    assert_eq!(back(&["a*3", "a*2"], &["a*1"], "a*4"), Ok(()));
    assert_eq!(back(&["a*3"], &["a*1", "a*1"], "a*2"), too_many("a", 2, 1));
    assert_eq!(back(&["a*3"], &["a*3"], "a*1"), too_many("a", 1, 0));
    assert_eq!(back(&["a*3"], &[], "b*1"), too_many("b", 1, 0));
    assert_eq!(back(&["a*1"], &[], &format!("a*{}", i64::MAX)), too_many("a", i64::MAX, 1));
    assert_eq!(back(&[], &[], "a*1"), Err(ReturnRefusal::NotSold));
}

#[test]
fn goods_that_come_back_are_no_longer_sold() {
    let stock = Stock { on_hand: 5, reserved: 4, deducted: 2, received: 7 };
    let shelf = Shelf::from([("a".to_owned(), stock)]);
    let changes = put_back(&shelf, &lines("a*2").unwrap()).unwrap();
    let after = stock.after(&changes["a"]).unwrap();
    assert_eq!(after, Stock { on_hand: 7, reserved: 4, deducted: 0, received: 7 });
    assert!(put_back(&shelf, &lines("a*3").unwrap()).is_err(), "more than was ever deducted");
    assert!(put_back(&shelf, &lines("b*1").unwrap()).is_err());
}
