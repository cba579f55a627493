//! What the simulated provider answers. Pure: the same key, request, switches and books give the same
//! answer.
//!
//! Invariant: an answer that is stored under a key is final. What may go otherwise next time (a charge
//! that is not there yet) is answered without storing.

use amends_contract::{Digest, Timestamp};
use iso_currency::Currency;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Switches;
use super::switches::happens;

/// `POST /v1/charges`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargeRequest {
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) customer: String,
    pub(super) token: String,
}

/// `POST /v1/refunds`: of the whole charge, or of a part of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundRequest {
    /// The idempotency key of the charge.
    pub(super) charge_key: String,
    /// How much; left out: all that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) amount: Option<i64>,
}

/// What is asked for under a key.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Request {
    Charge(ChargeRequest),
    Refund(RefundRequest),
}

impl Request {
    /// What makes two requests the same. The token goes into it but cannot be read out of it.
    pub(super) fn fingerprint(&self) -> Digest {
        let value = match self {
            Self::Charge(request) => json!({ "charge": request }),
            Self::Refund(request) => json!({ "refund": request }),
        };
        Digest::of_json(&value)
    }

    /// What no books are needed to see.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Charge(request) if !(1..=AMOUNT_MAX).contains(&request.amount) => {
                Some("amount must be positive, in minor units, and have at most 12 digits")
            }
            Self::Charge(request) if Currency::from_code(&request.currency).is_none() => {
                Some("currency must be an ISO 4217 code such as EUR")
            }
            Self::Charge(request)
                if request.customer.is_empty() || request.customer.len() > TEXT_BYTES_MAX =>
            {
                Some("customer must have 1 to 200 bytes")
            }
            Self::Charge(request) if !request.token.starts_with("tok_") => Some("token must begin with tok_"),
            Self::Refund(request) if request.charge_key.is_empty() => Some("charge_key must not be empty"),
            Self::Refund(request) if request.amount.is_some_and(|amount| amount <= 0) => {
                Some("amount must be positive, in minor units")
            }
            _ => None,
        }
    }
}

/// Most that one charge takes, in minor units: bounded as card processors have it, so that the books
/// can be summed up.
const AMOUNT_MAX: i64 = 999_999_999_999;

/// Longest free text that the books take, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string() }
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::new(status, &json!({ "error": { "code": code, "message": message } }))
    }
}

/// One line of the books about money taken, or not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) key: String,
    /// `captured`, or the code of the refusal.
    pub(super) status: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) customer: String,
    pub(super) at: Timestamp,
}

/// The status of a charge that took the money.
pub(super) const CAPTURED: &str = "captured";

/// One line of the books about money given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) charge_key: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) at: Timestamp,
}

/// What was given back of a charge before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GivenBack {
    pub(super) amount: i64,
    /// The last refund.
    pub(super) last_id: Option<String>,
}

impl GivenBack {
    pub(super) fn add(&mut self, refund: &Refund) {
        self.amount = self.amount.saturating_add(refund.amount);
        self.last_id = Some(refund.id.clone());
    }
}

/// What a new request makes of the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) answer: Answer,
    /// Whether the answer is kept under the key.
    pub(super) stored: bool,
    pub(super) charge: Option<Charge>,
    pub(super) refund: Option<Refund>,
    /// Whether the answer is held back.
    pub(super) hang: bool,
}

impl Decision {
    fn refused(answer: Answer) -> Self {
        Self { answer, stored: false, charge: None, refund: None, hang: false }
    }
}

/// A new charge.
pub(super) fn charge(key: &str, request: &ChargeRequest, switches: &Switches, now: Timestamp) -> Decision {
    let id = id("ch", key);
    let refusal = match request.token.as_str() {
        _ if switches.store_500 => Some((500, "processing_error", "the charge failed for good")),
        "tok_declined" => Some(DECLINED),
        "tok_insufficient" => Some((402, "insufficient_funds", "the account has too little money")),
        _ if happens(switches.decline_rate, key) => Some(DECLINED),
        _ => None,
    };
    let (answer, status) = match refusal {
        Some((status, code, message)) => (Answer::error(status, code, message), code),
        None => {
            let body = json!({
                "id": id, "status": CAPTURED, "amount": request.amount, "currency": request.currency,
            });
            (Answer::new(201, &body), CAPTURED)
        }
    };
    let charge = Charge {
        id,
        key: key.to_owned(),
        status: status.to_owned(),
        amount: request.amount,
        currency: request.currency.clone(),
        customer: request.customer.clone(),
        at: now,
    };
    let hang = request.token == "tok_timeout" || switches.timeout_after_charge;
    Decision { answer, stored: true, charge: Some(charge), refund: None, hang }
}

const DECLINED: (u16, &str, &str) = (402, "card_declined", "the card was declined");

/// A new refund of a charge that may or may not be in the books, and may be refunded already: never more
/// than is left of it.
pub(super) fn refund(
    key: &str,
    request: &RefundRequest,
    charge: Option<&Charge>,
    earlier: &GivenBack,
    switches: &Switches,
    now: Timestamp,
) -> Decision {
    let Some(charge) = charge.filter(|charge| charge.status == CAPTURED) else {
        return Decision::refused(Answer::error(
            404,
            "charge_not_found",
            "no money was taken under charge_key",
        ));
    };
    let left = charge.amount.saturating_sub(earlier.amount);
    let amount = match request.amount {
        None if left <= 0 => {
            let body = json!({ "error": {
                "code": "charge_already_refunded", "message": "other refunds gave the money back",
                "refund_id": earlier.last_id,
            }});
            return Decision::refused(Answer::new(422, &body));
        }
        // What is left only shrinks: this can never be, so it need not be stored.
        Some(amount) if amount > left => {
            let message = format!("{amount} to be given back, and {left} is left of the charge");
            return Decision::refused(Answer::error(422, "refund_exceeds_charge", &message));
        }
        wanted => wanted.unwrap_or(left),
    };
    let refund = Refund {
        id: id("re", key),
        key: key.to_owned(),
        charge_key: charge.key.clone(),
        amount,
        currency: charge.currency.clone(),
        at: now,
    };
    let body = json!({
        "id": refund.id, "charge_id": charge.id, "amount": refund.amount, "currency": refund.currency,
    });
    Decision {
        answer: Answer::new(201, &body),
        stored: true,
        charge: None,
        refund: Some(refund),
        hang: switches.timeout_after_refund,
    }
}

/// Ids derive from keys: even a provider that forgot everything could not give one key two ids.
fn id(prefix: &str, key: &str) -> String {
    let digest = Digest::of(key.as_bytes()).to_string();
    format!("{prefix}_{}", &digest[..24])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(token: &str) -> ChargeRequest {
        ChargeRequest { amount: 1_999, currency: "EUR".into(), customer: "c-1".into(), token: token.into() }
    }

    fn back(amount: Option<i64>) -> RefundRequest {
        RefundRequest { charge_key: "charge".into(), amount }
    }

    fn charged(token: &str, switches: &Switches) -> (u16, String, bool) {
        let decision = charge("key", &request(token), switches, Timestamp::from_unix_ms(0));
        assert!(decision.stored);
        let charge = decision.charge.expect("every charge is booked");
        (decision.answer.status, charge.status, decision.hang)
    }

    #[test]
    fn tokens_decide() {
        let plain = Switches::default();
        let expect = |token, status, booked: &str, hang| {
            assert_eq!(charged(token, &plain), (status, booked.to_owned(), hang), "{token}");
        };
        expect("tok_visa", 201, "captured", false);
        expect("tok_on_file", 201, "captured", false);
        expect("tok_declined", 402, "card_declined", false);
        expect("tok_insufficient", 402, "insufficient_funds", false);
        expect("tok_timeout", 201, "captured", true);
    }

    #[test]
    fn switches_decide() {
        let with = |change: fn(&mut Switches)| {
            let mut switches = Switches::default();
            change(&mut switches);
            charged("tok_visa", &switches)
        };
        assert_eq!(with(|s| s.store_500 = true), (500, "processing_error".into(), false));
        assert_eq!(with(|s| s.decline_rate = 1.0), (402, "card_declined".into(), false));
        assert_eq!(with(|s| s.timeout_after_charge = true), (201, "captured".into(), true));
    }

    #[test]
    fn a_charge_is_refunded_once_whatever_the_key() {
        let now = Timestamp::from_unix_ms(0);
        let switches = Switches::default();
        let taken = charge("charge", &request("tok_visa"), &switches, now).charge;
        let mut earlier = GivenBack::default();
        let first = refund("refund", &back(None), taken.as_ref(), &earlier, &switches, now);
        assert_eq!((first.answer.status, first.stored), (201, true));
        let booked = first.refund.expect("booked");
        assert_eq!(booked.amount, 1_999);
        earlier.add(&booked);
        let second = refund("other", &back(None), taken.as_ref(), &earlier, &switches, now);
        assert_eq!((second.answer.status, second.stored, second.refund), (422, false, None));
        assert!(second.answer.body.contains(&booked.id));
    }

    #[test]
    fn parts_never_come_to_more_than_the_whole() {
        let now = Timestamp::from_unix_ms(0);
        let taken = charge("charge", &request("tok_visa"), &Switches::default(), now).charge;
        let mut earlier = GivenBack::default();
        let steps = [
            (Some(1_000), Ok(1_000)),
            (Some(1_000), Err("refund_exceeds_charge")),
            (Some(1), Ok(1)),
            (None, Ok(998)),
            (Some(1), Err("refund_exceeds_charge")),
            (None, Err("charge_already_refunded")),
        ];
        for (index, (wanted, expected)) in steps.into_iter().enumerate() {
            let key = index.to_string();
            let made = refund(&key, &back(wanted), taken.as_ref(), &earlier, &Switches::default(), now);
            match expected {
                Ok(amount) => {
                    let booked = made.refund.expect("booked");
                    assert_eq!(booked.amount, amount);
                    earlier.add(&booked);
                }
                Err(code) => assert!(made.refund.is_none() && made.answer.body.contains(code), "{index}"),
            }
        }
        assert_eq!(earlier.amount, 1_999);
    }

    #[test]
    fn what_took_no_money_is_not_refunded() {
        let now = Timestamp::from_unix_ms(0);
        let declined = charge("charge", &request("tok_declined"), &Switches::default(), now).charge;
        for charge in [None, declined.as_ref()] {
            let earlier = GivenBack::default();
            let answer = refund("refund", &back(None), charge, &earlier, &Switches::default(), now);
            assert_eq!((answer.answer.status, answer.stored, answer.refund), (404, false, None));
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let bad = |change: fn(&mut ChargeRequest)| {
            let mut request = request("tok_visa");
            change(&mut request);
            Request::Charge(request).problem()
        };
        assert_eq!(bad(|_| {}), None);
        assert!(bad(|r| r.amount = 0).is_some_and(|why| why.contains("amount")));
        assert!(bad(|r| r.amount = i64::MAX).is_some_and(|why| why.contains("amount")));
        assert!(bad(|r| r.amount = -5).is_some_and(|why| why.contains("amount")));
        assert!(bad(|r| r.currency = "EURO".into()).is_some_and(|why| why.contains("currency")));
        assert!(bad(|r| r.customer = String::new()).is_some_and(|why| why.contains("customer")));
        assert!(bad(|r| r.token = "visa".into()).is_some_and(|why| why.contains("token")));
        assert!(Request::Refund(back(Some(0))).problem().is_some_and(|why| why.contains("amount")));
        assert_eq!(Request::Refund(back(None)).problem(), None);
    }
}
