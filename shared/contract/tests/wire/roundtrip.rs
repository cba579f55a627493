//! Whatever can be said survives the wire; whatever comes in never makes a reader panic.

use amends_contract::{
    Address, Cause, Command, Direction, EffectId, Envelope, Names, Outcome, Reply, SagaId, StepRef, Stream,
    Timestamp, Token, decode_batch,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn saga() -> impl Strategy<Value = SagaId> {
    (0_u64..1 << 48, any::<u128>()).prop_map(|(ms, random)| {
        let bits = u128::from(ms) << 80 | 0x7 << 76 | (random & ((1 << 76) - 1));
        let bits = bits & !(0b11 << 62) | 0b10 << 62;
        uuid::Uuid::from_u128(bits).to_string().parse().unwrap()
    })
}

fn token() -> impl Strategy<Value = Token> {
    "[a-z0-9-]{1,64}".prop_map(|text| Token::new(&text).unwrap())
}

fn step() -> impl Strategy<Value = StepRef> {
    (token(), proptest::option::of(any::<u32>())).prop_map(|(name, index)| StepRef { name, index })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[^\u{0}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[^\u{0}]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn command()(saga in saga(), step in step(), backward in any::<bool>(), epoch in 1_u32..,
        undone in 1_u32.., send_no in 1_u32.., participant in token(), name in token(),
        version in 1_u32.., ms in 0_i64..4_102_444_800_000, data in json_value()) -> Command {
        let direction = if backward { Direction::Backward } else { Direction::Forward };
        let effect = EffectId { saga, step, direction, epoch };
        Command {
            undoes: backward.then(|| EffectId { direction: Direction::Forward, epoch: undone, ..effect.clone() }),
            effect,
            send_no,
            address: Address { participant, command: name.clone() },
            definition: format!("{name}.v{version}").parse().unwrap(),
            decided_at: Timestamp::from_unix_ms(ms),
            data: data.into(),
        }
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        json_value().prop_map(|output| Outcome::Succeeded { output: output.into() }),
        ("[^\u{0}]{0,12}", "[^\u{0}]{0,40}").prop_map(|(code, message)| Outcome::Rejected { code, message }),
        ("[^\u{0}]{0,12}", proptest::option::of(any::<u64>()))
            .prop_map(|(code, retry_after_ms)| Outcome::Failed { code, retry_after_ms }),
        Just(Outcome::Pending),
        Just(Outcome::Cancelled),
        Just(Outcome::Conflict),
        Just(Outcome::Expired),
        json_value().prop_map(|output| Outcome::Undone { output: output.into() }),
        Just(Outcome::NothingToUndo),
    ]
}

#[test]
fn the_id_of_a_child_follows_from_its_effect() {
    let parent = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";
    let child = |effect: &str, ms| {
        let effect: EffectId = format!("{parent}/{effect}").parse().unwrap();
        SagaId::derived(&effect, Timestamp::from_unix_ms(ms))
    };
    // Written down: another version of the program has to find the same child.
    let first = child("take-back/do/1", 1_795_248_000_000);
    assert_eq!(first.to_string(), "01a1fd1e-8c00-753b-9303-078cd0dd1f5b");
    assert_eq!(first.made_at(), Timestamp::from_unix_ms(1_795_248_000_000));
    assert_eq!(first, child("take-back/do/1", 1_795_248_000_000));
    for other in ["take-back/undo/1", "take-back/do/2", "take-back.0/do/1", "restock/do/1"] {
        assert_ne!(first, child(other, 1_795_248_000_000), "{other}");
    }
    // Before 1970 no clock is right; the id is one all the same.
    assert_eq!(child("take-back/do/1", -1).made_at(), Timestamp::from_unix_ms(0));
}

proptest! {
    #[test]
    fn a_command_survives(command in command()) {
        let body = command.to_envelope().encode();
        let read = Command::from_envelope(Envelope::decode(&body).unwrap()).unwrap();
        prop_assert_eq!(&read, &command);
        prop_assert_eq!(read.to_envelope().encode(), body);
    }

    #[test]
    fn a_reply_survives(command in command(), outcome in outcome(),
        cause in proptest::option::of((any::<u64>(), any::<u64>()))) {
        let reply = Reply {
            effect: command.effect,
            send_no: command.send_no,
            participant: command.address.participant,
            definition: command.definition,
            decided_at: command.decided_at,
            cause: cause.map(|(stream_seq, delivery)| Cause { stream_seq, delivery }),
            outcome,
        };
        let body = reply.to_envelope().encode();
        prop_assert_eq!(Reply::from_envelope(Envelope::decode(&body).unwrap()).unwrap(), reply);
    }

    #[test]
    fn a_batch_is_its_elements(commands in proptest::collection::vec(command(), 0..4)) {
        let elements: Vec<Value> =
            commands.iter().map(|c| serde_json::to_value(c.to_envelope()).unwrap()).collect();
        let body = serde_json::to_vec(&elements).unwrap();
        let read: Vec<Command> = decode_batch(&body).unwrap().into_iter()
            .map(|decoded| Command::from_envelope(decoded.envelope.unwrap()).unwrap()).collect();
        prop_assert_eq!(read, commands);
    }

    #[test]
    fn bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_batch(&body);
    }

    #[test]
    fn json_never_panics(value in json_value(), name in "[a-z]{1,14}") {
        let mut envelope = serde_json::to_value(crate::samples::undo().to_envelope()).unwrap();
        envelope[name.as_str()] = value;
        if let Ok(read) = Envelope::decode(envelope.to_string().as_bytes()) {
            let _ = Command::from_envelope(read.clone());
            let _ = Reply::from_envelope(read);
        }
    }

    #[test]
    fn a_saga_id_tells_its_time(ms in 0_i64..1 << 48) {
        let id: SagaId = uuid::Uuid::from_u128((ms as u128) << 80 | 0x7 << 76 | 0b10 << 62).to_string().parse().unwrap();
        prop_assert_eq!(id.made_at(), Timestamp::from_unix_ms(ms));
    }

    #[test]
    fn a_moment_survives(ms in -62_135_596_800_000_i64..253_402_300_799_999) {
        let moment = Timestamp::from_unix_ms(ms);
        prop_assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
    }
}

#[test]
fn names_derive_from_the_prefix() {
    let names = Names::new("shop-eu").unwrap();
    let (inventory, reserve) = (crate::samples::token("inventory"), crate::samples::token("reserve-stock"));
    let subject = names.command(&inventory, &reserve);
    assert_eq!(subject, "shop-eu.cmd.inventory.reserve-stock");
    assert_eq!(names.message_type(&subject), Some("cmd.inventory.reserve-stock"));
    assert_eq!(names.message_type("shop-europe.cmd.x.y"), None);
    assert_eq!(names.stream(Stream::Command), "SHOP-EU_CMD");
    assert_eq!(Names::default().stream(Stream::Dead), "AMENDS_DEAD");
    assert_eq!(names.commands_of(&inventory), "shop-eu.cmd.inventory.>");
    assert_eq!(names.all(Stream::Event), "shop-eu.event.>");
    assert!(Names::new("a.b").is_err());
    assert_eq!(json!(names.reply(&inventory)), json!("shop-eu.reply.inventory"));
}
