//! What a mail says and to whom, and what became of it. Pure.
//!
//! Invariant: no text from outside brings a control character into a mail, so none can end a header
//! line or begin another.

use std::fmt;

use amends_contract::{EffectId, Outcome};
use iso_currency::Currency;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The occasions on which a customer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// The order is confirmed.
    Confirmation,
    /// The order was rejected, and amends were made.
    Rejection,
    /// Goods were taken back, and money is given back.
    Return,
    /// Goods were not taken back, or no money is given back.
    ReturnRefusal,
    /// The order waits for somebody to approve it.
    Approval,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Confirmation, Self::Rejection, Self::Return, Self::ReturnRefusal, Self::Approval];

    /// The command that tells of it.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Confirmation => "send-confirmation",
            Self::Rejection => "send-rejection",
            Self::Return => "send-return",
            Self::ReturnRefusal => "send-return-refusal",
            Self::Approval => "request-approval",
        }
    }

    /// Its name in databases and lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Rejection => "rejection",
            Self::Return => "return",
            Self::ReturnRefusal => "return-refusal",
            Self::Approval => "approval",
        }
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to tell whom: the data of all commands of this service. Fields we do not know are
/// ignored, so that a definition may say more than we need.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The customer's mail address, as it was given: cleaning it would make it another one.
    pub to: String,
    /// The order.
    pub order: String,
    /// What was ordered, or comes back.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// Why not; on a rejection or a refusal.
    #[serde(default)]
    pub reason: String,
    /// What is given back, or to be approved.
    #[serde(default)]
    pub amount: Option<Price>,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// At what price each.
    #[serde(default)]
    pub unit_price: Option<Price>,
}

/// A price, for people to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// In minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: Currency,
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.currency.exponent().unwrap_or(0));
        let minor = self.amount.unsigned_abs();
        let sign = if self.amount < 0 { "-" } else { "" };
        let text = format!("{minor:0width$}", width = digits + 1);
        let (major, fraction) = text.split_at(text.len() - digits);
        let point = if digits > 0 { "." } else { "" };
        write!(f, "{sign}{major}{point}{fraction} {}", self.currency.code())
    }
}

/// Longest text that a mail takes over from a command, in characters. An address has at most 254
/// (RFC 5321, 4.5.3.1.3).
const TEXT_CHARS_MAX: usize = 300;

impl Notice {
    /// Reads a command's data, and cleans the texts that become part of a mail.
    ///
    /// # Errors
    /// Why there is nothing here to send, for people. (An address that cannot be reached is another
    /// matter: see [`Delivery::Undeliverable`].)
    pub fn from_data(data: &Value) -> Result<Self, String> {
        let mut notice = Self::deserialize(data).map_err(|error| error.to_string())?;
        notice.order = clean(&notice.order);
        notice.reason = clean(&notice.reason);
        for line in &mut notice.lines {
            line.sku = clean(&line.sku);
        }
        Ok(notice)
    }
}

/// Without control characters and of bearable length.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect::<String>().trim().to_owned()
}

/// What became of a mail, as far as anybody can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// The mail server took it.
    Sent,
    /// It was handed over, and no answer came. It may have arrived; it is not sent again.
    Uncertain,
    /// The mail server refused it for good: the address cannot be reached.
    Undeliverable,
}

impl Delivery {
    /// Its name in databases, lists and outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Uncertain => "uncertain",
            Self::Undeliverable => "undeliverable",
        }
    }

    /// The command's outcome. Always a success: telling the customer is a retriable step, which nothing
    /// may reject, and an order does not fail for a mail. What did not arrive is listed, with the reason.
    #[must_use]
    pub fn outcome(self, message_id: &str, reason: Option<&str>) -> Outcome {
        let mut output = json!({ "delivery": self.as_str(), "message_id": message_id });
        if let Some(reason) = reason {
            output["reason"] = reason.into();
        }
        Outcome::Succeeded { output: output.into() }
    }

    /// Reads it, and the reason, out of an output.
    #[must_use]
    pub fn of(output: &Value) -> Option<(Self, Option<&str>)> {
        let delivery = Self::deserialize(output.get("delivery")?).ok()?;
        Some((delivery, output.get("reason").and_then(Value::as_str)))
    }
}

/// The `Message-ID` of an effect: the same over all sends, so that a mail that does come twice is one
/// to the reader's mail program. `/` becomes `.`; what is left is a dot-atom (RFC 5322, 3.2.3).
#[must_use]
pub fn message_id(effect: &EffectId, domain: &str) -> String {
    format!("<{}@{domain}>", effect.to_string().replace('/', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_have_the_digits_of_their_currency() {
        let price = |amount, currency| Price { amount, currency }.to_string();
        assert_eq!(price(1_999, Currency::EUR), "19.99 EUR");
        assert_eq!(price(5, Currency::EUR), "0.05 EUR");
        assert_eq!(price(-5, Currency::USD), "-0.05 USD");
        assert_eq!(price(500, Currency::JPY), "500 JPY");
        assert_eq!(price(1_234, Currency::KWD), "1.234 KWD");
        assert_eq!(price(i64::MIN, Currency::EUR), "-92233720368547758.08 EUR");
    }

    #[test]
    fn texts_lose_their_control_characters() {
        let data = json!({
            "to": "a@b.example", "order": "o\n1", "reason": "out\u{0}-of-stock ",
        });
        let notice = Notice::from_data(&data).unwrap();
        assert_eq!((notice.order.as_str(), notice.reason.as_str()), ("o1", "out-of-stock"));
    }

    #[test]
    fn what_is_no_notice_is_rejected() {
        for data in [json!(null), json!({ "order": "o" }), json!({ "to": 1, "order": "o" })] {
            assert!(Notice::from_data(&data).is_err(), "{data}");
        }
    }

    #[test]
    fn a_message_id_is_a_dot_atom() {
        let effect: EffectId =
            "0193f6a0-0000-7000-8000-000000000001/send-confirmation.3/do/1".parse().unwrap();
        let id = message_id(&effect, "amends.example");
        assert_eq!(id, "<0193f6a0-0000-7000-8000-000000000001.send-confirmation.3.do.1@amends.example>");
    }

    #[test]
    fn a_delivery_is_read_back_from_its_outcome() {
        for delivery in [Delivery::Sent, Delivery::Uncertain, Delivery::Undeliverable] {
            for reason in [None, Some("550 no")] {
                let Outcome::Succeeded { output } = delivery.outcome("<id>", reason) else { panic!() };
                assert_eq!(Delivery::of(&output), Some((delivery, reason)));
            }
        }
        assert_eq!(Delivery::of(&json!({ "delivery": "lost" })), None);
    }
}
