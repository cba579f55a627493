//! An order of the saga that ships, at each of its stations.
//!
//! Invariant: every station is reached through the engine, so it is one that happens.

use std::{fs, path::Path};

use amends_contract::{Command, EffectId, Outcome, Reply, SagaId, Timestamp};
use amends_definition::Definition;
use amends_engine::{Input, Output, Saga, Transition, Verdict, handle, start};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const START: Timestamp = Timestamp::from_unix_ms(1_795_248_000_000);

/// What a station waits for.
pub(crate) struct Station {
    pub(crate) definition: Definition,
    pub(crate) saga: Saga,
    /// In flight.
    pub(crate) command: Command,
}

pub(crate) fn definition() -> Definition {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../saga-definitions"));
    let source = fs::read_to_string(folder.join("order.v1.yaml")).unwrap();
    let schemas = |path: &str| fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    Definition::compile("order.v1.yaml", &source, &schemas).unwrap()
}

pub(crate) fn input() -> Value {
    json!({
        "customer_id": "customer-4711",
        "email": "ada.lovelace@example.org",
        "lines": [
            { "sku": "TEA-EARL-GREY-250G", "quantity": 2, "unit_price": { "amount": 499, "currency": "EUR" } },
            { "sku": "POT-CAST-IRON-1L", "quantity": 1, "unit_price": { "amount": 3990, "currency": "EUR" } },
        ],
        "total": { "amount": 4988, "currency": "EUR" },
        "payment_token": "tok_visa_4242",
    })
}

/// Begins one under an id of its own.
pub(crate) fn begin(definition: &Definition, input: Value) -> Transition {
    start(SagaId::new(Uuid::now_v7()).unwrap(), definition, input, START).unwrap()
}

/// The reply to a command, as its participant would give it.
pub(crate) fn reply(command: &Command, outcome: Outcome) -> Reply {
    Reply {
        effect: command.effect.clone(),
        send_no: command.send_no,
        participant: command.address.participant.clone(),
        definition: command.definition.clone(),
        decided_at: command.decided_at,
        cause: None,
        outcome,
    }
}

/// What a step that went well brings.
pub(crate) fn done(effect: &EffectId) -> Outcome {
    let output = match effect.step.name.as_str() {
        "reserve-stock" => json!({ "reservation_id": effect.saga.to_string() }),
        _ => json!({ "reference": format!("ref-{}", effect.saga) }),
    };
    Outcome::Succeeded { output: output.into() }
}

pub(crate) fn declined() -> Outcome {
    Outcome::Rejected { code: "card-declined".to_owned(), message: "the bank says no".to_owned() }
}

/// What a transition sends; the order saga sends one command at a time.
pub(crate) fn sent(transition: &Transition) -> Option<Command> {
    transition.outputs.iter().find_map(|output| match output {
        Output::Send(command) => Some(command.clone()),
        Output::Emit(_) => None,
    })
}

impl Station {
    /// Where an order begins: the stock is asked for.
    pub(crate) fn first() -> Self {
        let definition = definition();
        let transition = begin(&definition, input());
        let command = sent(&transition).unwrap();
        Self { definition, saga: transition.saga, command }
    }

    /// Where it is once all steps before this one went well.
    pub(crate) fn at(step: &str) -> Self {
        let mut station = Self::first();
        while station.command.effect.step.name.as_str() != step {
            let outcome = done(&station.command.effect);
            station = station.after(outcome);
        }
        station
    }

    fn after(self, outcome: Outcome) -> Self {
        let input = Input::Reply(reply(&self.command, outcome).into());
        let transition = handle(self.saga, input, START.plus_ms(5), &self.definition).unwrap();
        assert_eq!(transition.verdict, Verdict::Applied);
        let command = sent(&transition).expect("the order goes on");
        Self { definition: self.definition, saga: transition.saga, command }
    }
}
