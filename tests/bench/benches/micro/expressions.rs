//! The expressions of the order saga: the data of each of its steps, and the reading of its file.

use std::collections::BTreeMap;

use amends_contract::{SagaId, Token};
use amends_definition::{FailureScope, SagaScope, Scope};
use divan::{Bencher, black_box};
use serde_json::json;
use uuid::Uuid;

use crate::order::{self, START};

const STEPS: [&str; 5] =
    ["reserve-stock", "charge-payment", "confirm-stock", "send-confirmation", "send-rejection"];

#[divan::bench(args = STEPS)]
fn data_of(bencher: Bencher<'_, '_>, step: &str) {
    let definition = order::definition();
    let reference = definition.reference();
    let (input, labels) = (order::input(), BTreeMap::new());
    let payment = Token::new("charge-payment").unwrap();
    let reserved = json!({ "reservation_id": Uuid::now_v7().to_string() });
    let steps = BTreeMap::from([
        (Token::new("reserve-stock").unwrap(), reserved.into()),
        (payment.clone(), json!({ "charge_id": "ch_4711" }).into()),
    ]);
    let saga = SagaScope {
        id: SagaId::new(Uuid::now_v7()).unwrap(),
        definition: &reference,
        started_at: START,
        labels: &labels,
    };
    let failure =
        Some(FailureScope { step: Some(&payment), code: "card-declined", detail: "the bank says no" });
    let scope = Scope { input: &input, steps: &steps, saga, failure, element: None, event: None };
    let template = &definition.step(step).unwrap().with;
    bencher.bench(|| template.render(black_box(&scope)).unwrap());
}

#[divan::bench]
fn compile_definition(bencher: Bencher<'_, '_>) {
    bencher.bench(order::definition);
}
