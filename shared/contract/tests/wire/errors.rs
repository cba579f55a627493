//! What is wrong with a message is said by name.

use amends_contract::{
    BATCH_COUNT_MAX, Command, DEAD_BODY_BYTES_MAX, DeadLetter, DeadReason, DecodeError, Decoded,
    ENVELOPE_BYTES_MAX, EffectId, Envelope, Event, OfPart, Origin, Part, Reply, SagaId, Token, decode_batch,
    sift,
};
use serde_json::{Value, json};

use crate::samples;

fn command_with(change: impl FnOnce(&mut Value)) -> Result<Command, DecodeError> {
    let mut envelope = serde_json::to_value(samples::undo().to_envelope()).unwrap();
    change(&mut envelope);
    Envelope::decode(envelope.to_string().as_bytes()).and_then(Command::from_envelope)
}

fn remove(name: &str) -> impl FnOnce(&mut Value) + '_ {
    move |envelope| drop(envelope.as_object_mut().unwrap().remove(name))
}

fn set(name: &str, value: Value) -> impl FnOnce(&mut Value) + '_ {
    move |envelope| envelope[name] = value
}

#[track_caller]
fn refused(result: Result<Command, DecodeError>, code: &str, mentions: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(mentions), "{error} does not mention {mentions}");
}

#[test]
fn garbage() {
    for body in [&b""[..], b"garbage", b"{", b"\xff\xfe", b"nul"] {
        assert_eq!(Envelope::decode(body).unwrap_err().code(), "not-json", "{body:?}");
    }
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(
        decode_batch(deep.as_bytes()).unwrap()[0].envelope.as_ref().unwrap_err().code(),
        "not-an-envelope"
    );
    assert_eq!(decode_batch(b"[{}, {").unwrap_err().code(), "not-json");
    for body in ["{}", "1", "\"x\"", "null", r#"{"specversion":1}"#] {
        assert_eq!(Envelope::decode(body.as_bytes()).unwrap_err().code(), "not-an-envelope", "{body}");
    }
    let large = vec![b' '; amends_contract::ENVELOPE_BYTES_MAX + 1];
    assert_eq!(Envelope::decode(&large).unwrap_err().code(), "too-large");
    assert_eq!(decode_batch(&[b"[", &large[..]].concat()).unwrap_err().code(), "too-large");
}

#[test]
fn versions() {
    refused(command_with(set("specversion", json!("2.0"))), "unknown-version", "\"2.0\"");
    refused(command_with(set("specversion", json!("0.3"))), "unknown-version", "0.3");
    refused(command_with(remove("specversion")), "not-an-envelope", "specversion");
    // Another version may have another shape: the version is what is wrong.
    let strange = json!({ "specversion": "2.0", "id": 7 });
    assert_eq!(Envelope::decode(strange.to_string().as_bytes()).unwrap_err().code(), "unknown-version");
    let batch = json!([strange]).to_string();
    assert_eq!(
        decode_batch(batch.as_bytes()).unwrap()[0].envelope.as_ref().unwrap_err().code(),
        "unknown-version"
    );
}

#[test]
fn attributes() {
    for name in ["effectid", "sendno", "sagadefinition", "undoes"] {
        refused(command_with(remove(name)), "missing-attribute", name);
    }
    for (name, value) in [
        ("effectid", "x/y/z"),
        ("effectid", "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/reserve-stock/do/0"),
        ("effectid", "0198C1F0-6F3A-7CC1-B7A5-3F4E8D2A9C10/reserve-stock/undo/1"),
        ("sendno", "0"),
        ("sendno", "-1"),
        ("sendno", "+1"),
        ("sendno", ""),
        ("sendno", "99999999999"),
        ("sagadefinition", "order"),
        ("type", "cmd.inventory"),
        ("type", "reply.inventory"),
        ("type", "cmd.Inventory.reserve"),
        ("type", "cmd.inventory.reserve.stock"),
        ("undoes", "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/charge-payment/do/1"),
        ("undoes", "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/reserve-stock/undo/1"),
    ] {
        refused(command_with(set(name, json!(value))), "invalid-attribute", name);
    }
    refused(command_with(set("time", json!("yesterday"))), "not-an-envelope", "yesterday");
    refused(command_with(set("sendno", json!(1))), "not-an-envelope", "string");
}

#[test]
fn nul_characters() {
    refused(command_with(set("id", json!("a\0b"))), "nul-character", "id");
    refused(command_with(set("data", json!({ "a": ["x", "\0"] }))), "nul-character", "/data/a/1");
    refused(command_with(set("data", json!({ "a\0": 1 }))), "nul-character", "/data/a");
}

#[test]
fn depth() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    assert!(command_with(set("data", nested(amends_contract::DATA_DEPTH_MAX))).is_ok());
    refused(command_with(set("data", nested(amends_contract::DATA_DEPTH_MAX + 1))), "too-deep", "64");
}

#[test]
fn an_action_does_not_undo() {
    let mut envelope = serde_json::to_value(samples::action().to_envelope()).unwrap();
    envelope["undoes"] = json!(samples::effect("reserve-stock/do/1"));
    let read = Envelope::decode(envelope.to_string().as_bytes()).unwrap();
    refused(Command::from_envelope(read), "invalid-attribute", "undoes");
}

#[test]
fn one_bad_element_spoils_no_batch() {
    let good = serde_json::to_value(samples::action().to_envelope()).unwrap();
    let body = format!(" [ {good} , 17,\n{good}]");
    let read = decode_batch(body.as_bytes()).unwrap();
    let kind = |decoded: &Decoded| decoded.envelope.as_ref().map_or_else(DecodeError::code, |_| "good");
    assert_eq!(read.iter().map(kind).collect::<Vec<_>>(), ["good", "not-an-envelope", "good"]);
    let (good, numbers) = (good.to_string(), read.iter().map(|decoded| decoded.part.element()));
    assert!(numbers.eq([Some(0), Some(1), Some(2)]));
    let texts = read.iter().map(|decoded| decoded.part.of(body.as_bytes()));
    assert!(texts.eq([good.as_bytes(), b"17", good.as_bytes()]));
}

#[test]
fn elements_are_set_aside_each_for_itself_and_crumbs_together() {
    let refuse = |_: Envelope, text: &[u8]| {
        let message = String::from_utf8_lossy(text).into_owned();
        Err::<(), _>(DeadReason { code: "unknown-command".to_owned(), message })
    };
    let good = serde_json::to_value(samples::action().to_envelope()).unwrap().to_string();
    let body = format!("[1,{good},null]");
    let (read, dead) = sift(body.as_bytes(), refuse);
    assert!(read.is_empty());
    let letter = |(part, reason): OfPart<DeadReason>| {
        let headers =
            [("content-type".to_owned(), "x".to_owned()), ("traceparent".to_owned(), "y".to_owned())];
        let (subject, stream) = ("s".to_owned(), "AMENDS_CMD".to_owned());
        let origin =
            Origin { subject, stream, stream_seq: 7, headers: headers.into(), body: body.as_bytes(), part };
        DeadLetter::new(samples::token("inventory"), samples::AT.parse().unwrap(), reason, origin)
    };
    let letters: Vec<DeadLetter> = dead.into_iter().map(letter).collect();
    let ids: Vec<String> = letters.iter().map(DeadLetter::id).collect();
    assert_eq!(ids, ["inventory/AMENDS_CMD/7/0", "inventory/AMENDS_CMD/7/1", "inventory/AMENDS_CMD/7/2"]);
    let codes: Vec<&str> = letters.iter().map(|letter| letter.reason.code.as_str()).collect();
    assert_eq!(codes, ["not-an-envelope", "unknown-command", "not-an-envelope"]);
    let bodies: Vec<Vec<u8>> = letters.iter().map(|letter| letter.body().unwrap()).collect();
    assert_eq!(bodies, [b"1", good.as_bytes(), b"null"]);
    assert!(letters.iter().all(|letter| letter.headers.keys().eq(["traceparent"])));
    for letter in letters {
        let read = Envelope::decode(&letter.to_envelope().encode()).and_then(DeadLetter::from_envelope);
        assert_eq!(read, Ok(letter));
    }

    let crumbs = format!("[{}]", vec!["0"; amends_contract::DEAD_ELEMENTS_MAX + 1].join(","));
    let (_, dead) = sift(crumbs.as_bytes(), refuse);
    let [(part, reason)] = dead.as_slice() else { panic!("{} letters", dead.len()) };
    assert_eq!((part, reason.code.as_str()), (&Part::WHOLE, "not-an-envelope"));
    assert!(reason.message.contains("64 more"), "{}", reason.message);
}

/// Serde reads structs out of lists, too; CloudEvents does not.
#[test]
fn lists_are_no_objects() {
    let positional = json!(["1.0", "an-id", "inventory", "reply.inventory", samples::AT]);
    let body = positional.to_string();
    assert_eq!(Envelope::decode(body.as_bytes()).unwrap_err().code(), "not-an-envelope");
    let body = json!([positional]).to_string();
    assert_eq!(
        decode_batch(body.as_bytes()).unwrap()[0].envelope.as_ref().unwrap_err().code(),
        "not-an-envelope"
    );
    let mut reply = samples::reply(amends_contract::Outcome::Pending).to_envelope();
    reply.data = json!(["pending"]).into();
    assert_eq!(Reply::from_envelope(reply).unwrap_err().code(), "invalid-attribute");
}

#[test]
fn a_batch_of_crumbs_is_refused_whole() {
    assert_eq!(decode_batch(b"[]").unwrap().len(), 0);
    let crumbs = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert_eq!(decode_batch(crumbs(BATCH_COUNT_MAX).as_bytes()).unwrap().len(), BATCH_COUNT_MAX);
    let error = decode_batch(crumbs(BATCH_COUNT_MAX + 1).as_bytes()).unwrap_err();
    assert_eq!(error.code(), "not-an-envelope");
}

/// Who reads the log must be able to rely on its lines.
#[test]
fn an_error_is_one_line() {
    for (name, value) in [
        ("data", json!({ "a\nb\0": 1 })),
        ("time", json!("a\r\nb")),
        ("type", json!("cmd.a\u{85}b.c")),
        ("specversion", json!("2\u{7}")),
    ] {
        let error = command_with(set(name, value)).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

/// An error is logged and travels in a dead letter beside the body.
#[test]
fn errors_do_not_grow_with_the_message() {
    let long = "x\u{1}".repeat(200_000);
    for (name, value) in [
        ("specversion", json!(long)),
        ("time", json!(long)),
        ("sendno", json!({ "a": &long })),
        ("sendno", json!(long)),
        ("effectid", json!(long)),
        ("undoes", json!(long)),
        ("sagadefinition", json!(long)),
        ("type", json!(format!("cmd.{long}"))),
        ("data", json!({ format!("{long}\0"): 1 })),
    ] {
        let error = command_with(set(name, value)).unwrap_err();
        assert!(error.to_string().len() < 4096, "{name}: {} bytes", error.to_string().len());
    }
    let mut reply = samples::reply(amends_contract::Outcome::Pending).to_envelope();
    reply.data = json!({ "outcome": long }).into();
    assert!(Reply::from_envelope(reply).unwrap_err().to_string().len() < 4096);
}

#[test]
fn a_dead_letter_can_be_sent_and_read_whatever_the_message_was() {
    let nasty = "\0\u{1}\"\\ü".repeat(100_000);
    let headers = [("A", "fits"), ("Nul", "a\0b"), ("Y", &nasty), ("Z", "fits, too")];
    let letter = DeadLetter::new(
        samples::token("inventory"),
        samples::AT.parse().unwrap(),
        DeadReason { code: nasty.clone(), message: nasty.clone() },
        Origin {
            subject: nasty.clone(),
            stream: "AMENDS_CMD".into(),
            stream_seq: u64::MAX,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: &vec![0xff; ENVELOPE_BYTES_MAX],
            part: Part::WHOLE,
        },
    );
    let body = letter.to_envelope().encode();
    let read = DeadLetter::from_envelope(Envelope::decode(&body).unwrap()).unwrap();
    assert_eq!(read, letter);
    assert_eq!(read.headers.keys().collect::<Vec<_>>(), ["A", "Nul", "Z"]);
    assert_eq!(read.headers["Nul"], "a\u{fffd}b");
    assert_eq!(read.body().unwrap().len(), DEAD_BODY_BYTES_MAX);
    assert_eq!(read.body_bytes, ENVELOPE_BYTES_MAX);
}

#[test]
fn replies_and_events() {
    let with = |data: Value| {
        let mut envelope = samples::reply(amends_contract::Outcome::Pending).to_envelope();
        envelope.data = data.into();
        Reply::from_envelope(envelope).unwrap_err()
    };
    assert_eq!(with(json!({ "outcome": "perhaps" })).code(), "invalid-attribute");
    assert_eq!(with(json!({ "outcome": "rejected", "code": "x" })).code(), "invalid-attribute");
    assert_eq!(with(Value::Null).code(), "invalid-attribute");
    let command = samples::action().to_envelope();
    assert_eq!(Reply::from_envelope(command.clone()).unwrap_err().code(), "invalid-attribute");
    assert_eq!(Event::from_envelope(command).unwrap_err().code(), "invalid-attribute");
}

#[test]
fn ids_have_one_spelling() {
    assert!("0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse::<SagaId>().is_ok());
    for text in [
        "0198c1f06f3a7cc1b7a53f4e8d2a9c10",
        "0198C1F0-6f3a-7cc1-b7a5-3f4e8d2a9c10",
        "{0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10}",
        "0198c1f0-6f3a-4cc1-b7a5-3f4e8d2a9c10", // version 4
        "",
    ] {
        assert!(text.parse::<SagaId>().is_err(), "{text}");
        assert!(serde_json::from_value::<SagaId>(json!(text)).is_err(), "{text}");
    }
    for rest in
        ["a/do/01", "a/do/+1", "a.01/do/1", "a./do/1", "a/do/1/1", "a/DO/1", "/do/1", "a.4294967296/do/1"]
    {
        assert!(format!("{}/{rest}", samples::SAGA).parse::<EffectId>().is_err(), "{rest}");
    }
    assert!(Token::new("").is_err());
    assert!(Token::new(&"a".repeat(65)).is_err());
    assert!(Token::new("a.b").is_err());
    assert!(Token::new("ä").is_err());
}
