//! Messages to bytes and back, as both ends of the wire do it.

use amends_contract::{Command, Envelope, Reply};
use divan::{Bencher, black_box, counter::BytesCount};

use crate::order::{Station, done, reply};

fn command() -> Command {
    Station::at("charge-payment").command
}

fn answer() -> Reply {
    let command = command();
    reply(&command, done(&command.effect))
}

#[divan::bench]
fn encode_command(bencher: Bencher<'_, '_>) {
    let command = command();
    let bytes = BytesCount::new(command.to_envelope().encode().len());
    bencher.counter(bytes).bench(|| black_box(&command).to_envelope().encode());
}

#[divan::bench]
fn decode_command(bencher: Bencher<'_, '_>) {
    let body = command().to_envelope().encode();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench(|| Command::from_envelope(Envelope::decode(black_box(&body)).unwrap()).unwrap());
}

#[divan::bench]
fn encode_reply(bencher: Bencher<'_, '_>) {
    let reply = answer();
    let bytes = BytesCount::new(reply.to_envelope().encode().len());
    bencher.counter(bytes).bench(|| black_box(&reply).to_envelope().encode());
}

#[divan::bench]
fn decode_reply(bencher: Bencher<'_, '_>) {
    let body = answer().to_envelope().encode();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench(|| Reply::from_envelope(Envelope::decode(black_box(&body)).unwrap()).unwrap());
}
