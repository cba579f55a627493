//! The audit: do the books of provider, inventory and mail agree with the orders?
//!
//! It believes no service about another: money is counted at the provider, mails at the mail server.
//!
//! Invariant: pure; what it says follows from what it was given.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fates::{Ends, Fate, STOCK};

/// A check and whether it holds.
pub(crate) type Check = (bool, String);

/// An order that was placed, and how it ended.
pub(crate) struct Placed<'a> {
    pub(crate) fate: &'a Fate,
    /// The id of order and saga.
    pub(crate) id: String,
    /// `GET /v1/orders/{id}` at its end.
    pub(crate) order: Value,
}

/// Whether an order ended as it was to, and the words for it.
pub(crate) fn verdict(fate: &Fate, order: &Value) -> Check {
    let text = |pointer: &str| order.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    let (status, step, code) = (text("/status"), text("/failure/step"), text("/failure/code"));
    let found = if code == "-" { status.clone() } else { format!("{status}: {code} at {step}") };
    let ok = match fate.ends {
        Ends::Confirmed => status == "confirmed",
        Ends::Rejected { step: at, code: because } => status == "rejected" && step == at && code == because,
    };
    (ok, format!("{}: {found}", fate.title))
}

/// All checks: each order, the money, the stock, the mail.
///
/// `charges` are the `keys` of the provider's books, `stock` the list of inventory, `mails` what the
/// mail server was given.
pub(crate) fn audit(
    placed: &[Placed<'_>],
    charges: &[Value],
    stock: &[Value],
    mails: &[Value],
) -> Vec<Check> {
    let mut checks: Vec<_> = placed.iter().map(|placed| verdict(placed.fate, &placed.order)).collect();
    checks.push(money(placed, charges));
    checks.extend(STOCK.iter().map(|(sku, received)| shelf(placed, sku, *received, stock)));
    checks.push(letters(placed, mails));
    checks
}

fn money(placed: &[Placed<'_>], charges: &[Value]) -> Check {
    let mut net: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for charge in charges {
        // The key is the effect id, which begins with the saga's.
        let saga = charge["key"].as_str().and_then(|key| key.split('/').next()).unwrap_or_default();
        net.entry(saga).or_default().push(charge["net"].as_i64().unwrap_or(i64::MIN));
    }
    let mut ok = true;
    let (mut wanted, mut found) = (0, 0);
    for placed in placed {
        let total = match placed.fate.ends {
            Ends::Confirmed => placed.fate.total(),
            Ends::Rejected { .. } => 0,
        };
        let charged = net.remove(placed.id.as_str()).unwrap_or_default();
        ok &= charged.iter().filter(|net| **net != 0).count() <= 1;
        let charged: i64 = charged.iter().sum();
        ok &= charged == total;
        (wanted, found) = (wanted + total, found + charged);
    }
    ok &= net.is_empty();
    (
        ok,
        format!(
            "money: the provider keeps {} of the {} that confirmed orders cost, each charged once",
            euros(found),
            euros(wanted)
        ),
    )
}

fn shelf(placed: &[Placed<'_>], sku: &str, received: u64, stock: &[Value]) -> Check {
    let of = |placed: &Placed<'_>| {
        placed
            .fate
            .lines
            .iter()
            .filter(|(line, ..)| *line == sku)
            .map(|(_, quantity, _)| quantity)
            .sum::<u64>()
    };
    let sold: u64 = placed.iter().filter(|placed| placed.fate.ends == Ends::Confirmed).map(of).sum();
    let Some(item) = stock.iter().find(|item| item["sku"] == sku) else {
        return (false, format!("stock: inventory does not list {sku}"));
    };
    let count = |name: &str| item[name].as_u64().unwrap_or(u64::MAX);
    let (on_hand, reserved, deducted) = (count("on_hand"), count("reserved"), count("deducted"));
    let ok = count("received") == received
        && on_hand.checked_add(deducted) == Some(received)
        && reserved == 0
        && deducted == sold;
    (
        ok,
        format!(
            "stock: {sku}: {on_hand} on hand + {deducted} sold = {received} received, {reserved} reserved"
        ),
    )
}

fn letters(placed: &[Placed<'_>], mails: &[Value]) -> Check {
    let to = |email: &str| {
        let is_to = |mail: &&Value| {
            mail["to"].as_array().is_some_and(|to| to.iter().any(|to| to.as_str() == Some(email)))
        };
        mails.iter().filter(is_to).count()
    };
    let ok = mails.len() == placed.len() && placed.iter().all(|placed| to(placed.fate.email) == 1);
    (ok, format!("mail: {} customers, {} mails, one each", placed.len(), mails.len()))
}

fn euros(cents: i64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fates::FATES;
    use super::*;

    struct Books {
        placed: Vec<Placed<'static>>,
        charges: Vec<Value>,
        stock: Vec<Value>,
        mails: Vec<Value>,
    }

    /// Books of a day on which all went well.
    fn good() -> Books {
        let placed: Vec<_> = FATES
            .iter()
            .enumerate()
            .map(|(n, fate)| {
                let order = match fate.ends {
                    Ends::Confirmed => json!({ "status": "confirmed" }),
                    Ends::Rejected { step, code } => {
                        json!({ "status": "rejected", "failure": { "step": step, "code": code } })
                    }
                };
                Placed { fate, id: n.to_string(), order }
            })
            .collect();
        let confirmed = || placed.iter().filter(|placed| placed.fate.ends == Ends::Confirmed);
        let charge = |placed: &Placed<'_>| json!({ "key": format!("{}/charge-payment/do/1", placed.id), "net": placed.fate.total() });
        let charges = confirmed().map(charge).collect();
        let sold = |sku: &str| -> u64 {
            let lines = confirmed().flat_map(|placed| placed.fate.lines);
            lines.filter(|(line, ..)| *line == sku).map(|(_, quantity, _)| quantity).sum()
        };
        let item = |(sku, received): &(&str, u64)| {
            let sold = sold(sku);
            json!({ "sku": sku, "received": received, "deducted": sold, "on_hand": received - sold, "reserved": 0 })
        };
        let stock = STOCK.iter().map(item).collect();
        let mails = FATES.iter().map(|fate| json!({ "to": [fate.email] })).collect();
        Books { placed, charges, stock, mails }
    }

    fn wrong(change: impl FnOnce(&mut Books)) -> usize {
        let mut books = good();
        change(&mut books);
        let checks = audit(&books.placed, &books.charges, &books.stock, &books.mails);
        checks.iter().filter(|(ok, _)| !ok).count()
    }

    #[test]
    fn good_books_balance() {
        assert_eq!(wrong(|_| {}), 0);
    }

    #[test]
    fn each_kind_of_fraud_is_found() {
        assert_eq!(wrong(|books| books.placed[0].order = json!({ "status": "pending" })), 1, "not settled");
        assert_eq!(
            wrong(|books| books.placed[1].order["failure"]["code"] = json!("other")),
            1,
            "another reason"
        );
        assert_eq!(wrong(|books| books.charges.push(books.charges[0].clone())), 1, "charged twice");
        assert_eq!(wrong(|books| books.charges.clear()), 1, "nothing charged");
        let stranger = json!({ "key": "stranger/charge-payment/do/1", "net": 1 });
        assert_eq!(wrong(|books| books.charges.push(stranger)), 1, "charged for nobody's order");
        assert_eq!(wrong(|books| books.stock[0]["reserved"] = json!(1)), 1, "still reserved");
        assert_eq!(wrong(|books| books.stock[1]["on_hand"] = json!(0)), 1, "stolen");
        assert_eq!(wrong(|books| books.stock.clear()), STOCK.len(), "no shelves");
        assert_eq!(wrong(|books| books.mails.push(books.mails[0].clone())), 1, "two mails");
        assert_eq!(wrong(|books| books.mails[0]["to"] = json!(["x@y"])), 1, "to the wrong one");
    }
}
