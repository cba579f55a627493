//! The auditor: do all books agree, whatever was killed?
//!
//! It asks every service and believes none about another: money is counted at the provider, mails at the
//! mail server, stock and returns at inventory, orders and sagas at the orchestrator.
//!
//! Invariant: it names each order that is wrong and why; an audit of nothing is a failure, too.

use std::collections::{BTreeMap, BTreeSet};

use amends_audit::Expectations;
use serde_json::Value;

use crate::{
    System, books,
    client::{BOOKS, ITEMS},
    deals::{Deal, Fate},
    eventually_with_progress,
    traffic::{Kind, Order, PLENTY, RARE},
};

/// What the services say, at one moment.
struct Books {
    orders: BTreeMap<String, Value>,
    /// Sagas that are no plain orders.
    sagas: BTreeMap<String, Value>,
    returns: Vec<Value>,
    charges: Vec<Value>,
    stock: Vec<Value>,
    caught: Vec<Value>,
    /// How many mails came to whom.
    told: BTreeMap<String, usize>,
    /// To whom notification may have sent one.
    in_doubt: BTreeSet<String>,
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

/// Waits until every one of these sagas has ended.
///
/// # Panics
/// When nothing moves any more before that; with what there is to see.
pub async fn deals_settled(system: &System, deals: &[Deal]) {
    let authorization = system.authorization();
    let headers = [("authorization", authorization.as_str())];
    let url = system.admin("/v1/sagas?status=running,compensating,parked&limit=200");
    eventually_with_progress(
        "every saga has ended",
        async || {
            let answer = system.client.send("GET", &url, &headers, None).await.ok();
            let answer = answer.filter(|answer| answer.status == 200);
            let open = answer.and_then(|answer| {
                let sagas = answer.body["sagas"].as_array()?;
                Some(sagas.iter().map(|saga| saga["version"].as_u64()).collect::<Vec<_>>())
            });
            (open.as_ref().is_some_and(Vec::is_empty).then_some(()), open)
        },
        async || format!("{} sagas\n{}", deals.len(), system.dump().await),
    )
    .await;
}

/// Compares all books of a system in which there were only orders.
///
/// # Panics
/// When they do not agree; with every disagreement.
pub async fn audit(system: &System, orders: &[Order]) {
    audit_with(system, orders, &[]).await;
}

/// Compares all books.
///
/// # Panics
/// When they do not agree; with every disagreement.
pub async fn audit_with(system: &System, orders: &[Order], deals: &[Deal]) {
    let books = read(system, orders, deals).await;
    let mut wrong = Vec::new();
    wrong.extend(orders.iter().filter_map(|order| ending(order, &books)));
    wrong.extend(deals.iter().filter_map(|deal| fate(deal, &books)));
    wrong.extend(compare(orders, deals, &books));
    wrong.extend(auditor(system).await);
    assert!(
        wrong.is_empty(),
        "{} disagreements:\n{}\n{}",
        wrong.len(),
        wrong.join("\n"),
        system.dump().await
    );
}

/// Compares all books, whatever became of the sagas, as long as each has ended: under faults an order that
/// should go through may have been undone, but none that cannot go through may have been completed. The auditor
/// is another matter: whoever knows what was done to the system asks it.
///
/// # Panics
/// When a service does not answer.
pub async fn disagreements(system: &System, orders: &[Order], deals: &[Deal]) -> Vec<String> {
    let books = read(system, orders, deals).await;
    let mut wrong = Vec::new();
    let (mut orders, mut deals) = (orders.to_vec(), deals.to_vec());
    for order in &mut orders {
        let status = &books.orders[&order.id]["status"];
        match (status.as_str(), order.kind.rejection()) {
            (Some("confirmed"), None) => {}
            (Some("rejected" | "cancelled"), _) => order.kind = Kind::Turned,
            _ => wrong.push(format!("{}: {:?} ended as {status}", order.id, order.kind)),
        }
    }
    for deal in &mut deals {
        let found = &books.sagas[&deal.id];
        match (found["status"].as_str(), deal.fate) {
            (Some("completed"), Fate::Completed) => {}
            (Some("compensated"), _) => deal.fate = Fate::Compensated(None, ""),
            (status, fate) => wrong.push(format!("{}: {fate:?} ended as {status:?}", deal.id)),
        }
    }
    wrong.extend(compare(&orders, &deals, &books));
    wrong
}

/// What the auditor finds, who reads databases and streams. What the tests know beforehand, how each saga was
/// to end and who was to be told, is compared here.
/// What the auditor finds, whatever else was asked of the system.
///
/// # Panics
/// When the books cannot be read.
pub async fn auditor(system: &System) -> Vec<String> {
    let report = books::report(books::sources(system), &Expectations::default()).await;
    report.findings.iter().map(ToString::to_string).collect()
}

/// All that has to agree, given how each saga ended.
fn compare(orders: &[Order], deals: &[Deal], books: &Books) -> Vec<String> {
    assert!(!orders.is_empty() || !deals.is_empty(), "an audit of nothing proves nothing");
    let mut wrong = Vec::new();
    wrong.extend(orders.iter().filter_map(|order| mail(order, books)));
    wrong.extend(deals.iter().flat_map(|deal| mails(deal, books)));
    wrong.extend(money(orders, deals, books));
    wrong.extend(returns(deals, books));
    wrong.extend(twice(books));
    let ids: BTreeSet<&str> = orders
        .iter()
        .map(|order| &order.id)
        .chain(deals.iter().map(|deal| &deal.id))
        .map(String::as_str)
        .collect();
    if ids.len() != orders.len() + deals.len() {
        wrong.push(format!("{} orders and {} sagas have {} ids", orders.len(), deals.len(), ids.len()));
    }
    wrong.extend(shelves(orders, deals, books));
    wrong
}

async fn read(system: &System, orders: &[Order], deals: &[Deal]) -> Books {
    let client = &system.client;
    let authorization = system.authorization();
    let headers = [("authorization", authorization.as_str())];
    let mut found = BTreeMap::new();
    for order in orders {
        let url = system.url("orchestrator", &format!("/v1/orders/{}", order.id));
        found.insert(order.id.clone(), client.get(&url, &headers).await);
    }
    let mut sagas = BTreeMap::new();
    for deal in deals {
        sagas.insert(deal.id.clone(), system.saga(&deal.id).await);
    }
    let caught = client.get(&system.url("mail-catcher", "/mails"), &[]).await;
    let caught = caught.as_array().expect("the mail catcher gives a list").clone();
    let mut told = BTreeMap::new();
    for address in caught.iter().filter_map(|mail| mail["to"].as_array()).flatten().filter_map(Value::as_str)
    {
        *told.entry(address.to_owned()).or_default() += 1;
    }
    let mails = match system.runs("notification") {
        true => client.all(&system.url("notification", "/mails"), &ITEMS, &[]).await,
        false => Vec::new(),
    };
    let uncertain = mails.iter().filter(|mail| mail["status"] == "uncertain");
    Books {
        orders: found,
        sagas,
        returns: client.all(&system.url("inventory", "/returns"), &ITEMS, &[]).await,
        charges: client.all(&system.url("provider", "/v1/books"), &BOOKS, &[]).await,
        stock: client.all(&system.url("inventory", "/inventory"), &ITEMS, &[]).await,
        in_doubt: uncertain.filter_map(|mail| mail["recipient"].as_str()).map(str::to_owned).collect(),
        told,
        caught,
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

fn fate(deal: &Deal, books: &Books) -> Option<String> {
    let found = &books.sagas[&deal.id];
    let failure = &found["failure"];
    let ok = match deal.fate {
        Fate::Completed => found["status"] == "completed",
        Fate::Compensated(step, code) => {
            found["status"] == "compensated" && failure["step"].as_str() == step && failure["code"] == code
        }
    };
    let (definition, wanted, status) = (deal.definition, deal.fate, &found["status"]);
    (!ok).then(|| format!("{}: {definition} that was to be {wanted:?} is {status} ({failure})", deal.id))
}

/// What the provider keeps of each charge is what all sagas about it come to, and nobody is charged twice.
fn money(orders: &[Order], deals: &[Deal], books: &Books) -> Vec<String> {
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for order in orders {
        let total = if order.kind.rejection().is_none() { order.total } else { 0 };
        *wanted.entry(&order.id).or_default() += total;
    }
    for deal in deals {
        *wanted.entry(deal.payer()).or_default() += if deal.is_completed() { deal.money } else { 0 };
    }
    let mut wrong = Vec::new();
    let mut charges_of: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for charge in &books.charges {
        if !wanted.contains_key(saga_of(charge)) {
            wrong.push(format!("charged for nobody's order: {charge}"));
        }
        charges_of.entry(saga_of(charge)).or_default().push(charge);
    }
    for (id, wanted) in wanted {
        let charges = charges_of.remove(id).unwrap_or_default();
        let net: i64 = charges.iter().map(|charge| charge["net"].as_i64().expect("a number")).sum();
        if net != wanted || charges.len() > 1 {
            wrong.push(format!("{id}: the provider keeps {net}, {wanted} is right: {charges:?}"));
        }
    }
    wrong
}

/// Goods of a completed return are on the shelf; nothing of another is on its way any more.
fn returns(deals: &[Deal], books: &Books) -> Vec<String> {
    let mut wrong = Vec::new();
    for deal in deals.iter().filter(|deal| deal.definition == "return-order") {
        let of_deal = |found: &&Value| found["id"].as_str().is_some_and(|id| id.starts_with(&deal.id));
        let found: Vec<_> = books.returns.iter().filter(of_deal).map(|found| &found["state"]).collect();
        let ok = match deal.is_completed() {
            true => found == ["restocked"],
            false => found.is_empty() || found == ["cancelled"],
        };
        if !ok {
            wrong.push(format!("{}: {:?}, and inventory has its goods {found:?}", deal.id, deal.fate));
        }
    }
    wrong
}

fn mail(order: &Order, books: &Books) -> Option<String> {
    told(&order.id, &order.email, books)
}

/// Everybody who is to be told, and nobody else.
fn mails(deal: &Deal, books: &Books) -> Vec<String> {
    let otherwise = std::slice::from_ref(&deal.told_otherwise);
    let (told_now, not_told) =
        if deal.is_completed() { (&deal.told[..], otherwise) } else { (otherwise, &deal.told[..]) };
    let mut wrong: Vec<_> = told_now.iter().filter_map(|address| told(&deal.id, address, books)).collect();
    for address in not_told.iter().filter(|address| !told_now.contains(address)) {
        let count = caught(address, books);
        if count > 0 {
            wrong.push(format!("{}: {count} mails to {address}, who is not to be told", deal.id));
        }
    }
    wrong
}

/// One mail, or none that is listed as in doubt.
fn told(id: &str, address: &str, books: &Books) -> Option<String> {
    let in_doubt = books.in_doubt.contains(address);
    match caught(address, books) {
        1 => None,
        0 if in_doubt => None,
        count => Some(format!("{id}: {count} mails to {address}, in doubt: {in_doubt}")),
    }
}

fn caught(address: &str, books: &Books) -> usize {
    books.told.get(address).copied().unwrap_or_default()
}

/// Each effect mails once: two mails of one Message-ID are one too many, whoever gets them.
fn twice(books: &Books) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let id = |mail: &Value| mail["message_id"].as_str().map(str::to_owned);
    let again = books.caught.iter().filter_map(id).filter(|id| !seen.insert(id.clone()));
    again.map(|id| format!("{id} was mailed twice")).collect()
}

/// Every shelf: what was brought in is there or was sold, and what was sold is what the sagas say.
fn shelves(orders: &[Order], deals: &[Deal], books: &Books) -> Vec<String> {
    let mut sold: BTreeMap<&str, i64> = BTreeMap::from([(PLENTY.0, 0), (RARE.0, 0)]);
    for order in orders.iter().filter(|order| order.kind.rejection().is_none()) {
        *sold.entry(order.sku).or_default() += i64::try_from(order.quantity).expect("small");
    }
    for (sku, pieces) in deals.iter().filter(|deal| deal.is_completed()).flat_map(|deal| &deal.pieces) {
        *sold.entry(sku).or_default() += pieces;
    }
    let mut wrong = Vec::new();
    for (sku, sold) in sold {
        let Some(item) = books.stock.iter().find(|item| item["sku"] == sku) else {
            wrong.push(format!("{sku}: inventory does not list it"));
            continue;
        };
        let count = |name: &str| item[name].as_i64().unwrap_or(i64::MIN);
        let fixed = [PLENTY, RARE].into_iter().find(|(known, _)| *known == sku);
        let received =
            fixed.map_or(count("received"), |(_, received)| i64::try_from(received).expect("small"));
        let ok = count("received") == received
            && count("deducted") == sold
            && count("on_hand") == received - sold
            && count("reserved") == 0;
        if !ok {
            wrong.push(format!("{sku}: {received} received, {sold} sold, but inventory says {item}"));
        }
    }
    wrong
}

/// Keys at the provider are effect ids, which begin with the saga's id.
fn saga_of(charge: &Value) -> &str {
    charge["key"].as_str().and_then(|key| key.split('/').next()).unwrap_or_default()
}
