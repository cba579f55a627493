//! The auditor: do all books agree, whatever was killed?
//!
//! It asks every service and believes none about another: money is counted at the provider, mails at the
//! mail server, stock at inventory, orders at the orchestrator.
//!
//! Invariant: it names each order that is wrong and why; an audit of nothing is a failure, too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    System,
    client::{BOOKS, ITEMS},
    eventually_with_progress,
    traffic::{Order, PLENTY, RARE},
};

/// What the services say, at one moment.
struct Books {
    orders: BTreeMap<String, Value>,
    charges: Vec<Value>,
    stock: Vec<Value>,
    caught: Vec<Value>,
    mails: Vec<Value>,
}

/// How many orders have not ended (of 200 at most); `None` while nobody answers.
pub async fn pending(system: &System) -> Option<usize> {
    let authorization = system.authorization();
    let url = system.url("orchestrator", "/v1/orders?status=pending&limit=200");
    let answer = system.client.send("GET", &url, &[("authorization", &authorization)], None).await;
    let answer = answer.ok().filter(|answer| answer.status == 200)?;
    answer.body["orders"].as_array().map(Vec::len)
}

/// Waits until every order has ended.
///
/// # Panics
/// When nothing moves any more before that; with what there is to see.
pub async fn settled(system: &System, orders: &[Order]) {
    eventually_with_progress(
        "every order has ended",
        async || {
            let pending = pending(system).await;
            ((pending == Some(0)).then_some(()), pending)
        },
        async || format!("{} orders\n{}", orders.len(), system.dump().await),
    )
    .await;
}

/// Compares all books.
///
/// # Panics
/// When they do not agree; with every disagreement.
pub async fn audit(system: &System, orders: &[Order]) {
    assert!(!orders.is_empty(), "an audit of nothing proves nothing");
    let books = read(system, orders).await;
    let mut wrong = Vec::new();
    for order in orders {
        wrong.extend(ending(order, &books));
        wrong.extend(money(order, &books));
        wrong.extend(mail(order, &books));
    }
    let ids: BTreeSet<&str> = orders.iter().map(|order| order.id.as_str()).collect();
    if ids.len() != orders.len() {
        wrong.push(format!("{} orders have {} ids", orders.len(), ids.len()));
    }
    for charge in &books.charges {
        if !ids.contains(saga_of(charge)) {
            wrong.push(format!("charged for nobody's order: {charge}"));
        }
    }
    wrong.extend(shelf(PLENTY, orders, &books));
    wrong.extend(shelf(RARE, orders, &books));
    assert!(
        wrong.is_empty(),
        "{} disagreements:\n{}\n{}",
        wrong.len(),
        wrong.join("\n"),
        system.dump().await
    );
}

async fn read(system: &System, orders: &[Order]) -> Books {
    let client = &system.client;
    let authorization = system.authorization();
    let headers = [("authorization", authorization.as_str())];
    let mut found = BTreeMap::new();
    for order in orders {
        let url = system.url("orchestrator", &format!("/v1/orders/{}", order.id));
        found.insert(order.id.clone(), client.get(&url, &headers).await);
    }
    let caught = client.get(&system.url("mail-catcher", "/mails"), &[]).await;
    let with_notification = system.runs("notification");
    Books {
        orders: found,
        charges: client.all(&system.url("provider", "/v1/books"), &BOOKS, &[]).await,
        stock: client.all(&system.url("inventory", "/inventory"), &ITEMS, &[]).await,
        caught: caught.as_array().expect("the mail catcher gives a list").clone(),
        mails: match with_notification {
            true => client.all(&system.url("notification", "/mails"), &ITEMS, &[]).await,
            false => Vec::new(),
        },
    }
}

fn ending(order: &Order, books: &Books) -> Option<String> {
    let found = &books.orders[&order.id];
    let failure = &found["failure"];
    let ok = match order.kind.rejection() {
        None => found["status"] == "confirmed",
        Some((step, code)) => {
            found["status"] == "rejected" && failure["step"] == step && failure["code"] == code
        }
    };
    (!ok).then(|| format!("{}: {:?} ended as {} ({failure})", order.id, order.kind, found["status"]))
}

fn money(order: &Order, books: &Books) -> Option<String> {
    let charges: Vec<_> = books.charges.iter().filter(|charge| saga_of(charge) == order.id).collect();
    let net: i64 = charges.iter().map(|charge| charge["net"].as_i64().expect("a number")).sum();
    let wanted = if order.kind.rejection().is_none() { order.total } else { 0 };
    (net != wanted || charges.len() > 1)
        .then(|| format!("{}: the provider keeps {net}, {wanted} is right: {charges:?}", order.id))
}

/// One mail, or none that is listed as in doubt. Never two.
fn mail(order: &Order, books: &Books) -> Option<String> {
    let is_to = |mail: &&Value| {
        mail["to"].as_array().is_some_and(|to| to.iter().any(|to| to.as_str() == Some(&order.email)))
    };
    let caught = books.caught.iter().filter(is_to).count();
    let in_doubt = books
        .mails
        .iter()
        .any(|mail| mail["status"] == "uncertain" && mail["order"].as_str() == Some(order.id.as_str()));
    match caught {
        1 => None,
        0 if in_doubt => None,
        count => Some(format!("{}: {count} mails to {}, in doubt: {in_doubt}", order.id, order.email)),
    }
}

fn shelf((sku, received): (&str, u64), orders: &[Order], books: &Books) -> Option<String> {
    let sold = orders.iter().filter(|order| order.sku == sku && order.kind.rejection().is_none());
    let sold: u64 = sold.map(|order| order.quantity).sum();
    let Some(item) = books.stock.iter().find(|item| item["sku"] == sku) else {
        return Some(format!("{sku}: inventory does not list it"));
    };
    let count = |name: &str| item[name].as_u64();
    let ok = count("received") == Some(received)
        && count("deducted") == Some(sold)
        && count("on_hand") == Some(received - sold)
        && count("reserved") == Some(0);
    (!ok).then(|| format!("{sku}: {received} received, {sold} sold, but inventory says {item}"))
}

/// Keys at the provider are effect ids, which begin with the saga's id.
fn saga_of(charge: &Value) -> &str {
    charge["key"].as_str().and_then(|key| key.split('/').next()).unwrap_or_default()
}
