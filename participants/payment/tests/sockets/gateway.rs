//! The gateway against the real provider: what it knows after each kind of trouble.
//!
//! Invariant under test: after any trouble the same call again finds out what really happened.

use amends_payment::domain::{Charge, Money, Verdict};
use amends_payment::gateway::{Config, Gateway, HttpGateway};
use iso_currency::Currency;
use serde_json::json;

use crate::server::Server;

fn gateway(url: String) -> HttpGateway {
    HttpGateway::new(&Config { url, ..Config::default() }).unwrap()
}

/// Gives up soon. Nothing is asserted about how soon.
fn impatient(url: String) -> HttpGateway {
    HttpGateway::new(&Config { url, timeout_ms: 200, ..Config::default() }).unwrap()
}

fn charge(token: &str) -> Charge {
    let data = json!({
        "amount": { "amount": 1999, "currency": "EUR" }, "customer": "c-1", "token": token,
    });
    Charge::from_data(&data).unwrap()
}

fn kind(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Done { .. } => "done".to_owned(),
        Verdict::Refused { code, .. } => format!("refused: {code}"),
        Verdict::NotMade { code, .. } => format!("not made: {code}"),
        Verdict::Unknown { code, .. } => format!("unknown: {code}"),
    }
}

#[tokio::test]
async fn charges_and_refunds_are_definite() {
    let server = Server::start().await;
    let gateway = gateway(server.url());
    let first = gateway.charge("k1", &charge("tok_visa")).await;
    assert_eq!(kind(&first), "done");
    assert_eq!(gateway.charge("k1", &charge("tok_visa")).await, first);
    assert_eq!(kind(&gateway.charge("k2", &charge("tok_declined")).await), "refused: card-declined");
    let refund = gateway.refund("r1", "k1", None).await;
    assert_eq!(kind(&refund), "done");
    assert_eq!(gateway.refund("r1", "k1", None).await, refund);
    // An operator's new epoch has another key; the money is back all the same.
    assert_eq!(gateway.refund("r2", "k1", None).await, refund);
    assert_eq!(kind(&gateway.refund("r3", "k2", None).await), "not made: provider-charge-not-found");
    assert_eq!(server.list("refunds").await.len(), 1);
}

#[tokio::test]
async fn parts_are_given_back_up_to_the_whole() {
    let server = Server::start().await;
    let gateway = gateway(server.url());
    gateway.charge("k1", &charge("tok_visa")).await;
    let part = |amount| Some(Money { amount, currency: Currency::EUR });
    assert_eq!(kind(&gateway.refund("r1", "k1", part(1_500)).await), "done");
    assert_eq!(kind(&gateway.refund("r1", "k1", part(1_500)).await), "done");
    assert_eq!(kind(&gateway.refund("r1", "k1", part(1)).await), "unknown: provider-key-reused");
    assert_eq!(kind(&gateway.refund("r2", "k1", part(500)).await), "refused: refund-exceeds-charge");
    assert_eq!(kind(&gateway.refund("r3", "k1", None).await), "done");
    let books = server.books().await;
    assert_eq!(books["keys"]["items"][0]["refunded"], 1_999);
    assert_eq!(books["totals"]["EUR"]["net"], 0);
    assert_eq!(server.list("refunds").await.len(), 2);
}

#[tokio::test]
async fn a_hang_is_unknown_then_found_out() {
    let server = Server::start().await;
    let gateway = impatient(server.url());
    assert_eq!(kind(&gateway.charge("k1", &charge("tok_timeout")).await), "unknown: provider-timeout");
    assert_eq!(kind(&gateway.charge("k1", &charge("tok_timeout")).await), "done");
    server.switch(json!({ "timeout_after_refund": true })).await;
    assert_eq!(kind(&gateway.refund("r1", "k1", None).await), "unknown: provider-timeout");
    assert_eq!(kind(&gateway.refund("r1", "k1", None).await), "done");
    let books = server.books().await;
    assert_eq!(
        books["totals"]["EUR"],
        json!({
            "charges": 1, "refunds": 1, "captured": 1_999, "refunded": 1_999, "net": 0,
        })
    );
}

#[tokio::test]
async fn a_500_is_definite_only_when_it_was_stored() {
    let server = Server::start().await;
    let gateway = gateway(server.url());
    server.switch(json!({ "failure_rate": 1.0 })).await;
    assert_eq!(kind(&gateway.charge("k1", &charge("tok_visa")).await), "unknown: provider-error");
    server.switch(json!({ "store_500": true })).await;
    assert_eq!(kind(&gateway.charge("k1", &charge("tok_visa")).await), "unknown: provider-error");
    assert_eq!(kind(&gateway.charge("k1", &charge("tok_visa")).await), "refused: processing-error");
    assert_eq!(server.books().await["totals"], json!({}));
}

#[tokio::test]
async fn a_provider_that_is_down_is_unknown_and_one_that_is_away_was_not_asked() {
    let mut server = Server::start().await;
    let gateway = gateway(server.url());
    assert_eq!(gateway.reach().await, Ok(()));
    server.switch(json!({ "down": true })).await;
    let down = gateway.charge("k1", &charge("tok_visa")).await;
    assert_eq!(down, Verdict::Unknown { code: "provider-error", retry_after_ms: Some(1_000) });
    server.stop().await;
    assert_eq!(kind(&gateway.charge("k1", &charge("tok_visa")).await), "not made: provider-unreachable");
    assert!(gateway.reach().await.is_err());
    server.restart().await;
    assert_eq!(kind(&gateway.charge("k1", &charge("tok_visa")).await), "done");
}

#[tokio::test]
async fn an_answer_without_end_does_not_fill_the_memory() {
    let server = Server::start().await;
    let config = Config { url: server.url(), answer_bytes_max: 16, ..Config::default() };
    let gateway = HttpGateway::new(&config).unwrap();
    assert_eq!(kind(&gateway.charge("k1", &charge("tok_visa")).await), "unknown: provider-unreadable");
}

#[test]
fn a_url_that_is_none_is_named() {
    for url in ["ftp://provider", "provider", "http://"] {
        let config = Config { url: url.to_owned(), ..Config::default() };
        let error = HttpGateway::new(&config).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("payment.gateway.url"), "{error}");
    }
}
