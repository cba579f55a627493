//! What a shop sends, and the saga's input that it becomes.
//!
//! Invariant: the total is computed here, in checked integers of minor units; nobody sends it.

use std::num::NonZeroU32;

use amends_contract::Timestamp;
use amends_service::problem::ProblemError;
use iso_currency::Currency;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The card that is charged when the request names none.
const DEFAULT_PAYMENT_TOKEN: &str = "tok_on_file";

/// An order to be placed. The caller is the shop's own back end, so it sends the prices.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// Whose order.
    #[schema(example = "c-1001")]
    pub customer_id: String,
    /// Where the confirmation goes.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// What is ordered; at least one line.
    #[schema(min_items = 1)]
    pub lines: Vec<Line>,
    /// The card, as the payment provider's token for it; left out: the one on file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "tok_visa")]
    pub payment_token: Option<String>,
    /// When it shall begin, in the future (RFC 3339); left out: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_at: Option<Timestamp>,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What.
    #[schema(example = "mug-blue")]
    pub sku: String,
    /// How many.
    #[schema(value_type = u32, minimum = 1, example = 2)]
    pub quantity: NonZeroU32,
    /// Price of one.
    pub unit_price: Money,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In minor units of the currency, such as cents.
    #[schema(example = 1999)]
    pub amount: u64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
}

impl OrderRequest {
    /// The saga's input: the request with the card filled in and the total added.
    ///
    /// # Errors
    /// Each place of the request that is wrong.
    pub fn into_input(self) -> Result<Value, Vec<ProblemError>> {
        let total = self.total()?;
        let Self { customer_id, email, lines, payment_token, start_at: _ } = self;
        Ok(json!({
            "customer_id": customer_id,
            "email": email,
            "lines": lines,
            "payment_token": payment_token.unwrap_or_else(|| DEFAULT_PAYMENT_TOKEN.to_owned()),
            "total": total,
        }))
    }

    fn total(&self) -> Result<Money, Vec<ProblemError>> {
        let Some(first) = self.lines.first() else {
            return Err(vec![wrong("#/lines".to_owned(), "an order has at least one line")]);
        };
        let currency = &first.unit_price.currency;
        let mut errors = Vec::new();
        // Integers travel as signed 64 bits from here to the last database.
        let mut sum: i64 = 0;
        for (index, line) in self.lines.iter().enumerate() {
            let price = &line.unit_price;
            if Currency::from_code(&price.currency).is_none() {
                let pointer = format!("#/lines/{index}/unit_price/currency");
                errors.push(wrong(pointer, "not a currency of ISO 4217, such as EUR"));
            } else if price.currency != *currency {
                let pointer = format!("#/lines/{index}/unit_price/currency");
                errors.push(wrong(pointer, "all lines of an order have one currency"));
            }
            let costs = i64::try_from(price.amount)
                .ok()
                .and_then(|amount| amount.checked_mul(i64::from(line.quantity.get())))
                .and_then(|costs| sum.checked_add(costs));
            match costs {
                Some(so_far) => sum = so_far,
                None => errors.push(wrong(
                    format!("#/lines/{index}"),
                    "the total of the order exceeds 9223372036854775807 minor units",
                )),
            }
        }
        let amount = u64::try_from(sum).unwrap_or_else(|_| unreachable!("a sum of what is not negative"));
        if errors.is_empty() { Ok(Money { amount, currency: currency.clone() }) } else { Err(errors) }
    }
}

fn wrong(pointer: String, detail: &str) -> ProblemError {
    ProblemError { pointer, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lines: Value) -> Result<Value, String> {
        let order = json!({ "customer_id": "c-1", "email": "a@b.example", "lines": lines });
        let request: OrderRequest = serde_json::from_value(order).map_err(|error| error.to_string())?;
        request.into_input().map_err(|errors| {
            let lines: Vec<String> =
                errors.into_iter().map(|error| format!("{}: {}", error.pointer, error.detail)).collect();
            lines.join("\n")
        })
    }

    fn line(quantity: i64, amount: i128, currency: &str) -> Value {
        let amount: Value = serde_json::from_str(&amount.to_string()).unwrap();
        json!({ "sku": "mug", "quantity": quantity, "unit_price": { "amount": amount, "currency": currency } })
    }

    #[test]
    fn the_total_is_added_and_the_card_filled_in() {
        let input = order(json!([line(2, 1999, "EUR"), line(1, 500, "EUR")])).unwrap();
        assert_eq!(input["total"], json!({ "amount": 4498, "currency": "EUR" }));
        assert_eq!(input["payment_token"], "tok_on_file");
        assert_eq!(input["lines"][0], line(2, 1999, "EUR"));
    }

    #[test]
    fn every_place_that_is_wrong_is_named() {
        let too_much = "the total of the order exceeds 9223372036854775807 minor units";
        let cases = [
            (json!([]), "#/lines: an order has at least one line".to_owned()),
            (
                json!([line(1, 1, "EUR"), line(1, 1, "USD"), line(1, 1, "EURO")]),
                "#/lines/1/unit_price/currency: all lines of an order have one currency\n\
                 #/lines/2/unit_price/currency: not a currency of ISO 4217, such as EUR"
                    .to_owned(),
            ),
            (json!([line(2, i128::from(i64::MAX), "EUR")]), format!("#/lines/0: {too_much}")),
            (json!([line(1, i128::from(u64::MAX), "EUR")]), format!("#/lines/0: {too_much}")),
            (
                json!([line(1, i128::from(i64::MAX), "EUR"), line(1, 1, "EUR")]),
                format!("#/lines/1: {too_much}"),
            ),
        ];
        for (lines, expected) in cases {
            assert_eq!(order(lines).unwrap_err(), expected);
        }
        for (quantity, amount) in [(0, 1), (-1, 1), (1, -1)] {
            assert!(order(json!([line(quantity, amount, "EUR")])).unwrap_err().starts_with("invalid value"));
        }
    }
}
