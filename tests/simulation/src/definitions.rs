//! The definitions that the worlds run: the shipped ones, and some of the simulation's own.
//!
//! Invariant: they are compiled once per thread; a definition that does not compile is a failed run.

use std::rc::Rc;

use amends_contract::Timestamp;
use amends_definition::Definition;
use serde_json::{Value, json};

use crate::dice::Dice;

/// A definition, with a way to make inputs for it.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) definition: Rc<Definition>,
    input: fn(&mut Dice) -> Value,
}

impl Play {
    pub(crate) fn input(&self, dice: &mut Dice) -> Value {
        (self.input)(dice)
    }
}

/// When every world begins.
pub(crate) const fn beginning() -> Timestamp {
    Timestamp::from_unix_ms(1_795_000_000_000)
}

thread_local! {
    static PLAYS: Vec<Play> = compiled();
}

/// All of them.
pub(crate) fn plays() -> Vec<Play> {
    PLAYS.with(Clone::clone)
}

/// A file's name, its text, and how inputs for it are made.
type Source = (&'static str, &'static str, fn(&mut Dice) -> Value);

fn compiled() -> Vec<Play> {
    let sources: [Source; 8] = [
        ("order.v1.yaml", include_str!("../../../saga-definitions/order.v1.yaml"), order),
        ("return-order.v1.yaml", include_str!("../../../saga-definitions/return-order.v1.yaml"), returned),
        ("b2b-order.v1.yaml", include_str!("../../../saga-definitions/b2b-order.v1.yaml"), company),
        ("trip.v1.yaml", include_str!("../definitions/trip.v1.yaml"), numbered),
        ("parcel.v1.yaml", include_str!("../definitions/parcel.v1.yaml"), numbered),
        ("hasty.v1.yaml", include_str!("../definitions/hasty.v1.yaml"), numbered),
        ("fair.v1.yaml", include_str!("../definitions/fair.v1.yaml"), numbered),
        ("chain.v1.yaml", include_str!("../definitions/chain.v1.yaml"), numbered),
    ];
    sources
        .into_iter()
        .map(|(name, source, input)| Play { definition: compile(name, source), input })
        .collect()
}

const SCHEMAS: [(&str, &str); 3] = [
    ("schemas/order-input.v1.json", include_str!("../../../saga-definitions/schemas/order-input.v1.json")),
    (
        "schemas/return-order-input.v1.json",
        include_str!("../../../saga-definitions/schemas/return-order-input.v1.json"),
    ),
    (
        "schemas/b2b-order-input.v1.json",
        include_str!("../../../saga-definitions/schemas/b2b-order-input.v1.json"),
    ),
];

fn compile(name: &str, source: &str) -> Rc<Definition> {
    let schemas = |path: &str| {
        let found = SCHEMAS.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| format!("the simulation has no {path}"))
    };
    match Definition::compile(name, source, &schemas) {
        Ok(definition) => Rc::new(definition),
        Err(diagnostics) => panic!("{name} does not compile:\n{diagnostics}"),
    }
}

fn order(dice: &mut Dice) -> Value {
    json!({
        "customer_id": format!("c-{}", dice.below(5)),
        "email": "ada@example.org",
        "lines": [{ "sku": "TEA-1", "quantity": dice.between(1, 9) }],
        "total": { "amount": dice.between(100, 99_999), "currency": "EUR" },
        "payment_token": "tok-1",
    })
}

fn returned(dice: &mut Dice) -> Value {
    json!({
        "order_id": format!("o-{}", dice.below(5)),
        "customer_id": format!("c-{}", dice.below(5)),
        "email": "ada@example.org",
        "lines": [{ "sku": "TEA-1", "quantity": dice.between(1, 9) }],
        "amount": { "amount": dice.between(100, 99_999), "currency": "EUR" },
    })
}

/// Half of them need an approval.
fn company(dice: &mut Dice) -> Value {
    let recipients: Vec<String> =
        (0..dice.between(1, 3)).map(|number| format!("r-{number}@example.org")).collect();
    json!({
        "customer_id": format!("c-{}", dice.below(5)),
        "email": "ada@example.org",
        "recipients": recipients,
        "approver": "boss@example.org",
        "lines": [{
            "sku": "TEA-1",
            "quantity": dice.between(1, 9),
            "unit_price": { "amount": 100, "currency": "EUR" },
        }],
        "total": { "amount": dice.between(1, 200_000), "currency": "EUR" },
        "payment_token": "tok-1",
    })
}

fn numbered(dice: &mut Dice) -> Value {
    let goods: Vec<u64> = (0..dice.below(4)).collect();
    json!({ "number": dice.below(1000), "urgent": dice.chance(500), "reason": "moved", "goods": goods })
}
