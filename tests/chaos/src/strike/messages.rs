//! Faults of messages: an outsider at the broker who doubles, shuffles, holds back, deletes and poisons.
//!
//! Invariant: whatever is published again is published under no id, so that the broker's duplicate window
//! does not hide it.

use amends_tests::{Dice, Wire, poison};
use serde_json::{Value, json};

use super::Trace;
use crate::{fault::Fault, plan::Strike, world::World};

/// Most messages that are taken into the hand at once.
const HANDFUL: u64 = 80;
/// How often one reply comes.
const STORM: usize = 300;
/// How many messages nobody can read.
const POISONS: usize = 6;

/// Subjects and bodies.
pub(super) type Messages = Vec<(String, Vec<u8>)>;

pub(super) async fn begin(world: &mut World, strike: &Strike) -> Result<Trace, String> {
    let (url, strike) = (world.system.broker.url(), strike.clone());
    // A thread of its own: the wire speaks without tokio, and stops with a word where nobody answers.
    let made = tokio::task::spawn_blocking(move || make(&url, &strike)).await;
    let (trace, poisoned) = made.map_err(|_| "the broker does not answer".to_owned())??;
    world.poisoned.extend(poisoned);
    Ok(trace)
}

/// Lets go what was held back.
pub(super) async fn release(world: &World, trace: Trace) -> Result<(), String> {
    let url = world.system.broker.url();
    let publish = move || {
        let mut wire = Wire::connect(&url);
        scatter(&mut wire, &trace.held);
    };
    tokio::task::spawn_blocking(publish).await.map_err(|_| "the broker does not answer".to_owned())
}

/// What was poisoned: subject and reason.
type Poisoned = Vec<(String, String)>;

fn make(url: &str, strike: &Strike) -> Result<(Trace, Poisoned), String> {
    let mut wire = Wire::connect(url);
    let mut dice = Dice::seeded(strike.dice);
    let stream = strike.target;
    let nothing = |wire_says: Value| match wire_says.get("error") {
        None => Ok((Trace::default(), Vec::new())),
        Some(error) => Err(error.to_string()),
    };
    match strike.fault {
        Fault::StreamDeleted => nothing(wire.api(&format!("STREAM.DELETE.{stream}"), &json!({}))),
        Fault::StreamPurged => nothing(wire.api(&format!("STREAM.PURGE.{stream}"), &json!({}))),
        Fault::ConsumersDeleted => {
            let names = wire.api(&format!("CONSUMER.NAMES.{stream}"), &json!({}));
            let names = names["consumers"].as_array().ok_or_else(|| names.to_string())?;
            for name in names.iter().filter_map(Value::as_str) {
                wire.api(&format!("CONSUMER.DELETE.{stream}.{name}"), &json!({}));
            }
            Ok((Trace::default(), Vec::new()))
        }
        Fault::Poison => Ok((Trace::default(), spoil(&mut wire, &mut dice))),
        Fault::HeldBack => {
            let mut held = newest(&mut wire, stream)?;
            nothing(wire.api(&format!("STREAM.PURGE.{stream}"), &json!({})))?;
            shuffle(&mut held, &mut dice);
            Ok((Trace { held, ..Trace::default() }, Vec::new()))
        }
        other => {
            let mut again = match other {
                Fault::OldReplies => oldest(&mut wire, stream)?,
                _ => newest(&mut wire, stream)?,
            };
            match other {
                Fault::Disorder => shuffle(&mut again, &mut dice),
                Fault::ConflictStorm => {
                    let one = again.pop().ok_or("there is no message yet")?;
                    again = vec![one; STORM];
                }
                _ => {}
            }
            scatter(&mut wire, &again);
            Ok((Trace::default(), Vec::new()))
        }
    }
}

fn newest(wire: &mut Wire, stream: &str) -> Result<Messages, String> {
    let (first, last) = wire.positions(stream).ok_or("there is no such stream now")?;
    Ok(wire.messages_between(stream, first.max(last.saturating_sub(HANDFUL)), last))
}

fn oldest(wire: &mut Wire, stream: &str) -> Result<Messages, String> {
    let (first, last) = wire.positions(stream).ok_or("there is no such stream now")?;
    Ok(wire.messages_between(stream, first, last.min(first + HANDFUL)))
}

fn scatter(wire: &mut Wire, messages: &Messages) {
    wire.scatter(messages.iter().map(|(subject, body)| (subject.as_str(), body.as_slice())));
}

/// Fisher and Yates.
fn shuffle<T>(all: &mut [T], dice: &mut Dice) {
    for place in (1..all.len()).rev() {
        let other = usize::try_from(dice.below(place as u64 + 1)).expect("small");
        all.swap(place, other);
    }
}

/// Publishes some of the corpus to participants and orchestrators.
fn spoil(wire: &mut Wire, dice: &mut Dice) -> Poisoned {
    let mut poisoned = Poisoned::new();
    for _ in 0..POISONS {
        let (subject, message_type) = poison::PLACES[usize::try_from(dice.below(4)).expect("small")];
        let mut corpus = poison::corpus(message_type);
        let place = usize::try_from(dice.below(corpus.len() as u64)).expect("small");
        let (body, reason) = corpus.swap_remove(place);
        wire.scatter([(subject, body.as_slice())]);
        poisoned.push((subject.to_owned(), reason.to_owned()));
    }
    poisoned
}
