//! The orders: some 300 bytes each, one in six of which is declined when it is to be paid.
//!
//! Invariant: what an order says follows from its number alone, so that a request that is made again is the same
//! one, under the same idempotency key.

use std::io::Write as _;

/// Every so many-th order is declined.
const DECLINED_EVERY: u64 = 6;
/// How many different goods there are.
pub(crate) const SKUS: u64 = 64;
/// How many different customers.
const CUSTOMERS: u64 = 10_000;
/// How long a request waits for the end, in seconds: the most that is allowed.
const WAIT_S: u32 = 30;

/// What is to become of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes through.
    Completed,
    /// Its card is declined, and what was done is undone.
    Compensated,
}

/// The orders of one run.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    /// Before the number in every idempotency key: no two runs share one.
    run: String,
    /// Whether a request to the service subject waits for the end.
    waits: bool,
}

impl Orders {
    pub(crate) fn new(run: &str) -> Self {
        Self { run: run.to_owned(), waits: true }
    }

    /// Whose requests are answered as soon as the order is accepted.
    pub(crate) fn unawaited(run: &str) -> Self {
        Self { run: run.to_owned(), waits: false }
    }

    /// What is to become of the `number`-th.
    pub(crate) const fn fate(number: u64) -> Fate {
        if number % DECLINED_EVERY == DECLINED_EVERY - 1 { Fate::Compensated } else { Fate::Completed }
    }

    /// The name of a SKU.
    pub(crate) fn sku(index: u64) -> String {
        format!("sku-{:03}", index % SKUS)
    }

    /// The idempotency key of the `number`-th. Keys come in order, as those do that are made by time.
    pub(crate) fn key(&self, number: u64) -> String {
        format!("{}-{number:010}", self.run)
    }

    /// The `number`-th as a request to the service subject `start`.
    pub(crate) fn as_request(&self, number: u64) -> Vec<u8> {
        let mut body = Vec::with_capacity(512);
        let key = self.key(number);
        let _ = write!(body, r#"{{"definition":"order","idempotency_key":"{key}","actor":"amends-bench","#);
        if self.waits {
            let _ = write!(body, r#""wait_s":{WAIT_S},"#);
        }
        body.extend_from_slice(br#""input":{"#);
        order(&mut body, number);
        let total = total(number);
        let _ = write!(body, r#","total":{{"amount":{total},"currency":"EUR"}}}}}}"#);
        body
    }

    /// The `number`-th as the body of `POST /v1/orders`.
    pub(crate) fn as_body(number: u64) -> Vec<u8> {
        let mut body = Vec::with_capacity(384);
        body.push(b'{');
        order(&mut body, number);
        body.push(b'}');
        body
    }

    /// The header with which REST waits for the end.
    pub(crate) fn prefer() -> String {
        format!("wait={WAIT_S}")
    }
}

const PRICES: [u64; 2] = [850, 1_295];

const fn quantities(number: u64) -> [u64; 2] {
    [1 + number % 3, 1]
}

const fn total(number: u64) -> u64 {
    let [first, second] = quantities(number);
    first * PRICES[0] + second * PRICES[1]
}

/// The fields that both doors take.
fn order(body: &mut Vec<u8>, number: u64) {
    let customer = number % CUSTOMERS;
    let [first, second] = quantities(number);
    let token = match Orders::fate(number) {
        Fate::Completed => "tok_visa",
        Fate::Compensated => "tok_declined",
    };
    let _ = write!(
        body,
        r#""customer_id":"customer-{customer:05}","email":"customer-{number}@shop.example","lines":[{{"sku":"{}","quantity":{first},"unit_price":{{"amount":{},"currency":"EUR"}}}},{{"sku":"{}","quantity":{second},"unit_price":{{"amount":{},"currency":"EUR"}}}}],"payment_token":"{token}""#,
        Orders::sku(number),
        PRICES[0],
        Orders::sku(number + SKUS / 2),
        PRICES[1],
    );
}

#[test]
fn an_order_is_json_of_some_three_hundred_bytes() {
    let orders = Orders::new("run");
    let body = Orders::as_body(5);
    assert!((250..350).contains(&body.len()), "{}", body.len());
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["payment_token"], "tok_declined");
    let request: serde_json::Value = serde_json::from_slice(&orders.as_request(4)).unwrap();
    assert_eq!(request["idempotency_key"], "run-0000000004");
    assert_eq!(request["input"]["total"]["amount"], 2 * 850 + 1_295);
    assert_eq!(request["input"]["payment_token"], "tok_visa");
}
