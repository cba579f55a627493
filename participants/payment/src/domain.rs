//! What a payment is: money, a charge to make, and what a provider's answer proves. Pure.
//!
//! Invariant: only an answer that will be the same for ever is definite. Everything else is
//! [`Verdict::Unknown`], and the same call is made again under the same key.

mod refunds;

use std::fmt;

use iso_currency::Currency;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use refunds::{Captured, NoRefund, RefundRefusal, RefundRequest, Standing, choose};

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In minor units of the currency, such as cents.
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
}

/// A card, as the provider's token for it. It never shows in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CardToken(String);

impl CardToken {
    /// The token, for the provider only.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl Default for CardToken {
    /// The card that the provider has on file for the customer.
    fn default() -> Self {
        Self("tok_on_file".to_owned())
    }
}

impl fmt::Debug for CardToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardToken(..)")
    }
}

/// A charge to make: the data of `charge-payment`. Fields we do not know are ignored, so that a
/// definition may say more than we need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// How much.
    pub amount: Money,
    /// Whose card.
    pub customer: String,
    /// Which card; left out: the one on file.
    #[serde(default)]
    pub token: CardToken,
}

/// Longest customer id, in bytes: it becomes a column and the provider's books.
const CUSTOMER_BYTES_MAX: usize = 200;

impl Charge {
    /// Reads a command's data.
    ///
    /// # Errors
    /// Why this charge can never be made, for people.
    pub fn from_data(data: &Value) -> Result<Self, String> {
        let charge = Self::deserialize(data).map_err(|error| error.to_string())?;
        if charge.amount.amount <= 0 {
            Err("the amount must be positive, in minor units".to_owned())
        } else if charge.customer.is_empty() || charge.customer.len() > CUSTOMER_BYTES_MAX {
            Err(format!("the customer must have 1 to {CUSTOMER_BYTES_MAX} bytes"))
        } else if charge.customer.contains(char::is_control) {
            // PostgreSQL's text has no room for a NUL, and nobody's name has one.
            Err("the customer must not contain control characters".to_owned())
        } else {
            Ok(charge)
        }
    }
}

/// What a call to the provider proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done, now or by an earlier call under this key. Definite.
    Done {
        /// The provider's id of the charge or refund.
        id: String,
    },
    /// It was not done and never will be under this key. Definite.
    Refused {
        /// Stable, such as `card-declined`.
        code: String,
        /// For people.
        message: String,
    },
    /// This call did certainly nothing; an earlier one may have. Try again later.
    NotMade {
        /// Why, such as `provider-unreachable`.
        code: &'static str,
        /// The provider's wish how long to wait before the next call, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// Nothing is proven: it may have been done, be in the making, or never have arrived.
    Unknown {
        /// Why we do not know, such as `provider-timeout`.
        code: &'static str,
        /// The provider's wish how long to wait before the next call, in milliseconds.
        retry_after_ms: Option<u64>,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rejection(data: Value) -> String {
        Charge::from_data(&data).map(|charge| format!("{charge:?}")).unwrap_err()
    }

    #[test]
    fn a_charge_is_read_and_its_token_is_not_shown() {
        let data = json!({
            "amount": { "amount": 1999, "currency": "EUR" }, "customer": "c-1", "token": "tok_visa", "more": 1,
        });
        let charge = Charge::from_data(&data).unwrap();
        assert_eq!(charge.amount, Money { amount: 1_999, currency: Currency::EUR });
        assert_eq!(charge.token.secret(), "tok_visa");
        assert!(!format!("{charge:?}").contains("tok_visa"));
    }

    #[test]
    fn the_card_on_file_is_the_default() {
        let data = json!({ "amount": { "amount": 1, "currency": "JPY" }, "customer": "c-1" });
        assert_eq!(Charge::from_data(&data).unwrap().token.secret(), "tok_on_file");
    }

    #[test]
    fn what_can_never_be_charged_is_rejected_by_name() {
        let with = |amount: Value, customer: &str| {
            rejection(json!({ "amount": { "amount": amount, "currency": "EUR" }, "customer": customer }))
        };
        assert!(with(json!(0), "c").starts_with("the amount"));
        assert!(with(json!(-1), "c").starts_with("the amount"));
        assert!(with(json!(1.5), "c").starts_with("invalid type"));
        assert!(with(json!(u64::MAX), "c").starts_with("invalid value"));
        assert!(with(json!(1), "a\0b").contains("control characters"));
        assert!(with(json!(1), "").starts_with("the customer"));
        let currency = json!({ "amount": { "amount": 1, "currency": "EURO" }, "customer": "c" });
        assert!(rejection(currency).contains("unknown variant `EURO`"));
        assert!(rejection(json!(null)).starts_with("invalid type: null"));
    }
}
