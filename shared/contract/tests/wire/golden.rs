//! Each kind of message, byte for byte as it stands in `tests/golden/`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p amends-contract` writes the files anew.

use std::{collections::BTreeMap, path::Path};

use amends_contract::{Command, DeadLetter, Envelope, Event, Reply};

use crate::samples;

/// Compares with the file and reads the file back.
fn check(name: &str, envelope: &Envelope) -> Envelope {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"));
    let mut written = envelope.encode();
    written.push(b'\n');
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(golden.clone()).unwrap(), "{name}");
    Envelope::decode(&golden).unwrap()
}

#[test]
fn commands() {
    for (name, command) in [
        ("command", samples::action()),
        ("command-undo", samples::undo()),
        ("command-element", samples::element()),
        ("command-fence", samples::fence()),
    ] {
        let read = check(name, &command.to_envelope());
        assert_eq!(command.encode(), command.to_envelope().encode(), "{name}");
        assert_eq!(Command::from_envelope(read).unwrap(), command);
    }
}

#[test]
fn replies() {
    for outcome in samples::outcomes() {
        let reply = samples::reply(outcome);
        let read = check(&format!("reply-{}", reply.outcome.name()), &reply.to_envelope());
        assert_eq!(reply.encode(), reply.to_envelope().encode());
        assert_eq!(Reply::from_envelope(read).unwrap(), reply);
    }
}

#[test]
fn events_and_dead_letters() {
    let event = samples::event();
    assert_eq!(event.encode(), event.to_envelope().encode());
    assert_eq!(Event::from_envelope(check("event", &event.to_envelope())).unwrap(), event);
    let element = DeadLetter { element: Some(3), headers: BTreeMap::new(), ..samples::dead_letter() };
    let read = check("dead-letter-element", &element.to_envelope());
    assert_eq!(DeadLetter::from_envelope(read).unwrap(), element);
    let letter = samples::dead_letter();
    let read = DeadLetter::from_envelope(check("dead-letter", &letter.to_envelope())).unwrap();
    assert_eq!(read, letter);
    assert_eq!(read.body().unwrap(), b"garbage");
}

/// What a participant in another language may leave out or add.
#[test]
fn a_minimal_reply_of_a_stranger() {
    let body = format!(
        r#"{{"specversion":"1.0","id":"x","source":"notification","type":"reply.notification",
        "time":"{}","effectid":"{}/tell/do/1","sendno":"1","sagadefinition":"order.v1",
        "colour":"blue","data":{{"outcome":"succeeded"}}}}"#,
        samples::AT,
        samples::SAGA
    );
    let reply = Reply::from_envelope(Envelope::decode(body.as_bytes()).unwrap()).unwrap();
    assert_eq!(reply.outcome.name(), "succeeded");
    assert_eq!(reply.cause, None);
}

/// The digest of a command's meaning: fixed, and blind to which sending it is.
#[test]
fn meaning() {
    let command = samples::action();
    assert_eq!(
        command.meaning().to_string(),
        "15ad79303dad6529a1ab545d293326b32e7bd88178cd21470e58d05afdfc928e",
        "SHA-256 of {{\"data\":{{\"lines\":[...]}},\"type\":\"cmd.inventory.reserve-stock\"}}"
    );
    let again =
        Command { send_no: 7, decided_at: "2026-11-22T00:00:00Z".parse().unwrap(), ..command.clone() };
    assert_eq!(again.meaning(), command.meaning());
    let other = Command { data: serde_json::json!({ "lines": [] }).into(), ..command.clone() };
    assert_ne!(other.meaning(), command.meaning());
}
