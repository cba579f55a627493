//! `handle` and `start`: one decision, without any I/O.

use std::collections::BTreeSet;

use amends_contract::Outcome;
use amends_engine::{Input, handle};
use divan::{Bencher, black_box};

use crate::order::{self, START, Station, declined, done, reply};

#[divan::bench]
fn start(bencher: Bencher<'_, '_>) {
    let definition = order::definition();
    bencher.with_inputs(order::input).bench_values(|input| order::begin(&definition, input));
}

/// The step went well, and the next one is decided; after the last, the order is done.
#[divan::bench(args = ["reserve-stock", "charge-payment", "confirm-stock", "send-confirmation"])]
fn succeeded(bencher: Bencher<'_, '_>, step: &str) {
    let station = Station::at(step);
    let outcome = done(&station.command.effect);
    replied(bencher, &station, &outcome);
}

/// The payment is declined: the order turns back, and the stock is released.
#[divan::bench]
fn rejected(bencher: Bencher<'_, '_>) {
    replied(bencher, &Station::at("charge-payment"), &declined());
}

/// The reply came before: counted, and nothing else.
#[divan::bench]
fn duplicate(bencher: Bencher<'_, '_>) {
    let (station, earlier) = (Station::at("confirm-stock"), Station::at("reserve-stock"));
    let mut command = earlier.command;
    command.effect.saga = station.saga.id;
    let outcome = done(&command.effect);
    replied(bencher, &Station { command, ..station }, &outcome);
}

/// Nobody has answered: the command is sent again.
#[divan::bench]
fn timer(bencher: Bencher<'_, '_>) {
    let station = Station::at("charge-payment");
    let timer = Input::Timer { blind: false, down: BTreeSet::new(), slots: BTreeSet::new() };
    bencher.with_inputs(|| (station.saga.clone(), timer.clone())).bench_values(|(saga, timer)| {
        handle(saga, timer, black_box(START.plus_ms(60_000)), &station.definition).unwrap()
    });
}

fn replied(bencher: Bencher<'_, '_>, station: &Station, outcome: &Outcome) {
    let input = Input::Reply(reply(&station.command, outcome.clone()).into());
    bencher.with_inputs(|| (station.saga.clone(), input.clone())).bench_values(|(saga, input)| {
        handle(saga, input, black_box(START.plus_ms(10)), &station.definition).unwrap()
    });
}
