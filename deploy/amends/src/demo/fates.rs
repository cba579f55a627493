//! The five orders of the demo and what is to become of them.
//!
//! Invariant: an order's fate is decided here, before it is placed; the audit compares, it does not
//! explain.

use serde_json::{Value, json};

/// What is on the shelves when the demo opens.
pub(crate) const STOCK: [(&str, u64); 3] = [("MUG-1", 40), ("TEA-1", 100), ("POT-1", 3)];

/// One order.
pub(crate) struct Fate {
    pub(crate) title: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) email: &'static str,
    /// SKU, quantity, price of one in cents.
    pub(crate) lines: &'static [(&'static str, u64, i64)],
    pub(crate) token: &'static str,
    pub(crate) ends: Ends,
    pub(crate) twist: Option<Twist>,
}

/// How an order ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Confirmed,
    Rejected { step: &'static str, code: &'static str },
}

/// What is done to the services meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    /// Payment is killed when the provider has taken the money and not told yet.
    KillPayment,
}

pub(crate) const FATES: [Fate; 5] = [
    Fate {
        title: "1. Two mugs and some tea",
        expected: "reserved, charged, confirmed, and a mail",
        email: "ada@shop.example",
        lines: &[("MUG-1", 2, 1_290), ("TEA-1", 1, 850)],
        token: "tok_visa",
        ends: Ends::Confirmed,
        twist: None,
    },
    Fate {
        title: "2. Five teapots, and only three are there",
        expected: "rejected by inventory; nothing charged, nothing held",
        email: "barbara@shop.example",
        lines: &[("POT-1", 5, 4_900)],
        token: "tok_visa",
        ends: Ends::Rejected { step: "reserve-stock", code: "out-of-stock" },
        twist: None,
    },
    Fate {
        title: "3. A card that is declined",
        expected: "rejected by payment; the reserved stock is released again: amends",
        email: "grace@shop.example",
        lines: &[("MUG-1", 4, 1_290)],
        token: "tok_declined",
        ends: Ends::Rejected { step: "charge-payment", code: "card-declined" },
        twist: None,
    },
    Fate {
        title: "4. A payment provider that charges and then times out",
        expected: "the charge is asked for again under the same key until its fate is known; charged once",
        email: "hedy@shop.example",
        lines: &[("TEA-1", 3, 850)],
        token: "tok_timeout",
        ends: Ends::Confirmed,
        twist: None,
    },
    Fate {
        title: "5. The payment service killed (kill -9) between the charge and the note of it",
        expected: "started again, it finds its open intent, asks under the same key; charged once",
        email: "radia@shop.example",
        lines: &[("POT-1", 1, 4_900), ("MUG-1", 1, 1_290)],
        token: "tok_visa",
        ends: Ends::Confirmed,
        twist: Some(Twist::KillPayment),
    },
];

impl Fate {
    /// The body of `POST /v1/orders`.
    pub(crate) fn order(&self) -> Value {
        let customer = self.email.split('@').next().unwrap_or_default();
        let line = |(sku, quantity, price): &(&str, u64, i64)| json!({ "sku": sku, "quantity": quantity, "unit_price": { "amount": price, "currency": "EUR" } });
        json!({
            "customer_id": customer,
            "email": self.email,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
            "payment_token": self.token,
        })
    }

    /// What it costs, in cents.
    pub(crate) fn total(&self) -> i64 {
        self.lines
            .iter()
            .map(|(_, quantity, price)| i64::try_from(*quantity).unwrap_or(i64::MAX) * price)
            .sum()
    }
}
