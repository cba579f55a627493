//! What of an order's money is given back, and from which charge. Pure.
//!
//! Invariant: no more is given back of a charge than was taken, however many returns an order has.

use amends_contract::SagaId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::Money;

/// Money of an order to be given back: the data of `refund-order`. Fields we do not know are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequest {
    /// The order: the saga that charged for it.
    pub order: SagaId,
    /// How much.
    pub amount: Money,
    /// Whose order it is; somebody else's is not refunded.
    pub customer: String,
}

impl RefundRequest {
    /// Reads a command's data.
    ///
    /// # Errors
    /// Why this can never be given back, for people.
    pub fn from_data(data: &Value) -> Result<Self, String> {
        let request = Self::deserialize(data).map_err(|error| error.to_string())?;
        match request.amount.amount {
            ..=0 => Err("the amount must be positive, in minor units".to_owned()),
            _ => Ok(request),
        }
    }
}

/// What became of a charge, as far as refunds care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not known yet whether the money was taken.
    Open,
    /// The money was taken.
    Taken,
    /// It was not, and will not be.
    NotTaken,
    /// It was, and all of it is going back: the order was undone.
    GoingBack,
}

/// A charge of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Its effect id.
    pub charge: String,
    /// Whose card.
    pub customer: String,
    /// How much.
    pub amount: Money,
    /// What became of it.
    pub standing: Standing,
    /// What refunds have given back of it, or are about to, in minor units.
    pub given_back: i64,
}

impl Captured {
    const fn left(&self) -> i64 {
        self.amount.amount.saturating_sub(self.given_back)
    }
}

/// Why nothing is given back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RefundRefusal {
    /// Nothing was ever charged for the order.
    #[error("no payment is known of that order")]
    UnknownOrder,
    /// The order is somebody else's.
    #[error("the order is of another customer")]
    OtherCustomer,
    /// No money was taken.
    #[error("no money was taken for it")]
    NotCaptured,
    /// It was paid in another currency.
    #[error("it was paid in another currency")]
    OtherCurrency,
    /// All of it was given back already.
    #[error("all that was paid has been given back")]
    AlreadyRefunded,
    /// More than is left of what was taken.
    #[error("{wanted} to be given back, and {left} is left of what was paid (minor units)")]
    TooMuch {
        /// How much is to be given back.
        wanted: i64,
        /// How much is left.
        left: i64,
    },
}

impl RefundRefusal {
    /// Stable and machine-readable.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown-order",
            Self::OtherCustomer => "other-customer",
            Self::NotCaptured => "not-captured",
            Self::OtherCurrency => "other-currency",
            Self::AlreadyRefunded => "already-refunded",
            Self::TooMuch { .. } => "more-than-paid",
        }
    }
}

/// No charge to give the money back from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRefund {
    /// For good.
    Refused(RefundRefusal),
    /// The outcome of a charge is still being found out.
    NotYet,
}

/// The charge of the order from which the money is given back: the first with enough left.
///
/// # Errors
/// [`NoRefund`] says why there is none.
pub fn choose<'a>(charges: &'a [Captured], wanted: &RefundRequest) -> Result<&'a Captured, NoRefund> {
    let refused = |refusal| Err(NoRefund::Refused(refusal));
    if charges.is_empty() {
        return refused(RefundRefusal::UnknownOrder);
    }
    let own: Vec<_> = charges.iter().filter(|charge| charge.customer == wanted.customer).collect();
    if own.is_empty() {
        return refused(RefundRefusal::OtherCustomer);
    }
    let are = |standing| own.iter().copied().filter(move |charge| charge.standing == standing);
    let fits = |charge: &&Captured| charge.amount.currency == wanted.amount.currency;
    if let Some(charge) =
        are(Standing::Taken).filter(fits).find(|charge| charge.left() >= wanted.amount.amount)
    {
        return Ok(charge);
    }
    if are(Standing::Open).next().is_some() {
        return Err(NoRefund::NotYet);
    }
    match are(Standing::Taken).filter(fits).map(Captured::left).max() {
        Some(..=0) => refused(RefundRefusal::AlreadyRefunded),
        Some(left) => refused(RefundRefusal::TooMuch { wanted: wanted.amount.amount, left }),
        None if are(Standing::Taken).next().is_some() => refused(RefundRefusal::OtherCurrency),
        None if are(Standing::GoingBack).next().is_some() => refused(RefundRefusal::AlreadyRefunded),
        None => refused(RefundRefusal::NotCaptured),
    }
}

#[cfg(test)]
mod tests {
    use iso_currency::Currency;
    use serde_json::json;

    use super::*;

    fn charge(amount: i64, standing: Standing, given_back: i64) -> Captured {
        let amount = Money { amount, currency: Currency::EUR };
        let (charge, customer) = (format!("{amount:?}"), "c-1".to_owned());
        Captured { charge, customer, amount, standing, given_back }
    }

    fn request(amount: i64) -> RefundRequest {
        let data = json!({
            "order": "0193f6a0-0000-7000-8000-000000000001", "customer": "c-1",
            "amount": { "amount": amount, "currency": "EUR" }, "reason": "too big",
        });
        RefundRequest::from_data(&data).unwrap()
    }

    fn refusal(charges: &[Captured], wanted: &RefundRequest) -> &'static str {
        match choose(charges, wanted) {
            Ok(_) => "chosen",
            Err(NoRefund::NotYet) => "not yet",
            Err(NoRefund::Refused(refusal)) => refusal.code(),
        }
    }

    #[test]
    fn what_is_left_can_be_given_back() {
        use Standing::{GoingBack, NotTaken, Open, Taken};
        let ask = |charges: &[Captured]| refusal(charges, &request(60));
        assert_eq!(ask(&[charge(100, Taken, 40)]), "chosen");
        assert_eq!(ask(&[charge(100, Taken, 41)]), "more-than-paid");
        assert_eq!(ask(&[charge(100, Taken, 100)]), "already-refunded");
        assert_eq!(ask(&[charge(100, GoingBack, 0)]), "already-refunded");
        assert_eq!(ask(&[charge(100, NotTaken, 0)]), "not-captured");
        assert_eq!(ask(&[charge(100, Open, 0)]), "not yet");
        assert_eq!(ask(&[charge(50, Taken, 0), charge(100, Open, 0)]), "not yet");
        assert_eq!(ask(&[]), "unknown-order");
    }

    #[test]
    fn of_several_charges_the_first_with_enough_is_taken() {
        let charges = [
            charge(500, Standing::NotTaken, 0),
            charge(90, Standing::Taken, 50),
            charge(80, Standing::Taken, 0),
        ];
        assert_eq!(choose(&charges, &request(60)).unwrap().amount.amount, 80);
        assert_eq!(choose(&charges, &request(40)).unwrap().amount.amount, 90);
        assert_eq!(refusal(&charges, &request(81)), "more-than-paid");
    }

    #[test]
    fn neither_currency_nor_customer_may_differ() {
        let charges = [charge(100, Standing::Taken, 0)];
        let other = RefundRequest { customer: "c-2".to_owned(), ..request(1) };
        assert_eq!(refusal(&charges, &other), "other-customer");
        let mut other = request(1);
        other.amount.currency = Currency::USD;
        assert_eq!(refusal(&charges, &other), "other-currency");
    }

    #[test]
    fn nothing_and_less_is_never_given_back() {
        for amount in [0, -1] {
            let data = json!({
                "order": "0193f6a0-0000-7000-8000-000000000001", "customer": "c-1",
                "amount": { "amount": amount, "currency": "EUR" },
            });
            assert!(RefundRequest::from_data(&data).unwrap_err().starts_with("the amount"));
        }
        assert!(RefundRequest::from_data(&json!({ "order": "4711" })).is_err());
    }
}
