//! Messages: whatever bytes come from the broker.

use std::collections::BTreeMap;

use amends_contract::{
    Command, DEAD_BODY_BYTES_MAX, DeadLetter, DeadReason, DecodeError, Decoded, ENVELOPE_BYTES_MAX, Envelope,
    Event, Origin, Part, Reply, Token, decode_batch,
};
use amends_fuzz::{Edited, Json, Text, target};
use bolero::TypeGenerator;
use serde_json::{Value, json};

use crate::one_bounded_line;

/// A message of each kind, as it is written down for participants in other languages.
const GOLDEN: [&str; 8] = [
    include_str!("../../../../shared/contract/tests/golden/command.json"),
    include_str!("../../../../shared/contract/tests/golden/command-undo.json"),
    include_str!("../../../../shared/contract/tests/golden/command-element.json"),
    include_str!("../../../../shared/contract/tests/golden/command-fence.json"),
    include_str!("../../../../shared/contract/tests/golden/reply-succeeded.json"),
    include_str!("../../../../shared/contract/tests/golden/reply-rejected.json"),
    include_str!("../../../../shared/contract/tests/golden/event.json"),
    include_str!("../../../../shared/contract/tests/golden/dead-letter.json"),
];

/// The attributes of an envelope, and one that nobody knows.
const ATTRIBUTES: [&str; 15] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "datacontenttype",
    "sagaid",
    "sagastep",
    "sagadefinition",
    "effectid",
    "sendno",
    "undoes",
    "causeseq",
    "causedelivery",
    "colour",
];

#[test]
fn any_bytes() {
    target!(|body: &[u8]| read(body));
}

#[test]
fn an_edited_message() {
    target!(Edited, |edited: &Edited| read(&edited.bytes(GOLDEN[edited.of(GOLDEN.len())])));
}

/// A message of which one attribute is anything, and the data are anything.
#[derive(Clone, Debug, TypeGenerator)]
struct Odd {
    golden: u8,
    attribute: u8,
    value: Option<Json>,
    data: Option<Json>,
}

impl Odd {
    fn message(&self) -> Value {
        let mut message: Value =
            serde_json::from_str(GOLDEN[usize::from(self.golden) % GOLDEN.len()]).unwrap();
        let fields = message.as_object_mut().unwrap();
        let attribute = ATTRIBUTES[usize::from(self.attribute) % ATTRIBUTES.len()].to_owned();
        match &self.value {
            Some(value) => drop(fields.insert(attribute, value.get())),
            None => drop(fields.remove(&attribute)),
        }
        if let Some(data) = &self.data {
            fields.insert("data".to_owned(), data.get());
        }
        message
    }
}

#[test]
fn an_odd_message() {
    target!(Odd, |odd: &Odd| read(odd.message().to_string().as_bytes()));
}

#[test]
fn a_batch_with_anything_in_it() {
    target!((Vec<Odd>, Json), |(messages, other): &(Vec<Odd>, Json)| {
        let mut batch: Vec<Value> = messages.iter().map(Odd::message).collect();
        batch.insert(batch.len() / 2, other.get());
        let body = Value::from(batch).to_string();
        read(body.as_bytes());
        // Each element stands or falls alone: the neighbours of the stranger are read as they are without it.
        if let Ok(found) = decode_batch(body.as_bytes()) {
            let texts: Vec<_> = found.iter().map(|decoded| decoded.part.of(body.as_bytes())).collect();
            let mut found: Vec<_> = found.iter().map(|decoded| meaning(decoded.envelope.clone())).collect();
            for (text, found) in texts.into_iter().zip(&found) {
                assert_eq!(&meaning(Envelope::decode(text)), found);
            }
            drop(found.remove(messages.len() / 2));
            let alone =
                messages.iter().map(|odd| meaning(Envelope::decode(odd.message().to_string().as_bytes())));
            assert_eq!(found, alone.collect::<Vec<_>>());
        }
    });
}

/// What was read, or the code of what is wrong with it.
fn meaning(read: Result<Envelope, DecodeError>) -> Result<Value, &'static str> {
    read.map(|envelope| json!(envelope)).map_err(|error| error.code())
}

#[test]
fn headers_and_subjects_of_a_dead_letter() {
    target!((Text, Vec<(Text, Text)>, Vec<u8>), |(subject, headers, body): &(
        Text,
        Vec<(Text, Text)>,
        Vec<u8>
    )| {
        let headers = headers.iter().map(|(name, value)| (name.get(), value.get())).collect();
        let reason = DeadReason { code: subject.get(), message: subject.get() };
        set_aside(reason, subject.get(), headers, body);
    });
}

/// A reader reads it, or sets it aside with a reason.
fn read(body: &[u8]) {
    match decode_batch(body) {
        Err(error) => refused(&error, body),
        Ok(messages) => messages.into_iter().for_each(|Decoded { part, envelope }| match envelope {
            Err(error) => refused(&error, part.of(body)),
            Ok(envelope) => understood(&envelope),
        }),
    }
}

fn refused(error: &DecodeError, body: &[u8]) {
    one_bounded_line(&error.to_string());
    set_aside(
        DeadReason::from(error),
        "amends.cmd.inventory.reserve-stock".to_owned(),
        BTreeMap::new(),
        body,
    );
}

/// It fits the broker, and comes back as it was.
fn set_aside(reason: DeadReason, subject: String, headers: BTreeMap<String, String>, body: &[u8]) {
    let participant = Token::new("inventory").unwrap();
    let at = "2026-11-21T08:02:49.123Z".parse().unwrap();
    let stream = "AMENDS_CMD".to_owned();
    let origin = Origin { subject, stream, stream_seq: 1, headers, body, part: Part::WHOLE };
    let letter = DeadLetter::new(participant, at, reason, origin);
    let encoded = letter.to_envelope().encode();
    assert!(encoded.len() <= ENVELOPE_BYTES_MAX);
    let read = DeadLetter::from_envelope(Envelope::decode(&encoded).unwrap()).unwrap();
    assert_eq!(read, letter);
    let kept = body.len().min(DEAD_BODY_BYTES_MAX);
    assert!(read.body().unwrap() == body[..kept] && read.body_bytes == body.len());
}

/// What was understood is written and read again as the same, as the envelope and as what it means.
fn understood(envelope: &Envelope) {
    assert_eq!(&Envelope::decode(&envelope.encode()).unwrap(), envelope);
    match Command::from_envelope(envelope.clone()) {
        Ok(command) => assert_eq!(Command::from_envelope(again(&command.to_envelope())).unwrap(), command),
        Err(error) => one_bounded_line(&error.to_string()),
    }
    match Reply::from_envelope(envelope.clone()) {
        Ok(reply) => assert_eq!(Reply::from_envelope(again(&reply.to_envelope())).unwrap(), reply),
        Err(error) => one_bounded_line(&error.to_string()),
    }
    match Event::from_envelope(envelope.clone()) {
        Ok(event) => assert_eq!(Event::from_envelope(again(&event.to_envelope())).unwrap(), event),
        Err(error) => one_bounded_line(&error.to_string()),
    }
    match DeadLetter::from_envelope(envelope.clone()) {
        Ok(letter) => {
            assert_eq!(DeadLetter::from_envelope(again(&letter.to_envelope())).unwrap(), letter);
            let _ = letter.body().map_err(|error| one_bounded_line(&error.to_string()));
        }
        Err(error) => one_bounded_line(&error.to_string()),
    }
}

fn again(envelope: &Envelope) -> Envelope {
    Envelope::decode(&envelope.encode()).unwrap()
}
