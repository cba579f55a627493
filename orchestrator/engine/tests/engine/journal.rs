//! The journal: stable JSON, and a replay that names what does not fit.

use amends_contract::Digest;
use amends_engine::{
    Decision, ENGINE_VERSION, Error, Input, JournalEntry, Misfit, ReplayError, Status, handle, open_commands,
    replay,
};
use insta::assert_snapshot;

use crate::script::{Script, failed, order, rejected};

fn journal() -> Vec<JournalEntry> {
    order().reply("reserve-stock", failed("db")).timer().reserved().journal
}

fn through_text(entries: &[JournalEntry]) -> String {
    entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n").collect()
}

#[test]
fn its_json_is_stable() {
    let script = order().reserved().timer().blind_timer().reply("charge-payment", rejected("no"));
    assert_snapshot!(through_text(&script.journal), @"");
    assert_snapshot!(serde_json::to_string_pretty(&script.saga).unwrap(), @"");
}

#[test]
fn a_journal_that_is_none_is_named() {
    let replayed = |change: &dyn Fn(&mut Vec<JournalEntry>)| {
        let mut entries = journal();
        change(&mut entries);
        replay(entries)
    };
    assert_eq!(replayed(&Vec::clear), Err(ReplayError::Empty));
    let without = |index| replayed(&move |entries| drop(entries.remove(index)));
    assert_eq!(without(0), Err(ReplayError::NotAStart));
    assert_eq!(without(1), Err(ReplayError::Gap { expected: 2, found: 3 }));
    let doubled = replayed(&|entries| entries.insert(1, entries[1].clone()));
    assert_eq!(doubled, Err(ReplayError::Gap { expected: 3, found: 2 }));
    let newer = replayed(&|entries| entries[2].engine_version = ENGINE_VERSION + 1);
    assert_eq!(newer, Err(ReplayError::Newer { seq: 3, found: ENGINE_VERSION + 1 }));
    let other = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c11".parse().unwrap();
    let foreign = replayed(&|entries| entries[1].saga = other);
    assert_eq!(foreign, Err(ReplayError::Foreign { seq: 2, saga: other }));

    let polish: amends_contract::Token = "polish".parse().unwrap();
    let misfit =
        replayed(&|entries| entries[1].decisions = vec![Decision::Cancelled { step: polish.clone() }]);
    let expected = ReplayError::Misfit { seq: 2, misfit: Misfit::NoStep(polish.clone()) };
    assert_eq!(misfit, Err(expected));
    let undo = replayed(&|entries| {
        let step = "reserve-stock".parse().unwrap();
        let effect = amends_contract::Direction::Backward;
        entries[1].decisions = vec![Decision::Pending { step, effect, pending_until: None }];
    });
    assert_snapshot!(undo.unwrap_err(), @"");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let run = || {
        let script = order().charged().timer().cancel().reply("confirm-stock", rejected("gone"));
        (through_text(&script.journal), serde_json::to_string(&script.saga).unwrap())
    };
    assert_eq!(run(), run());
}

#[test]
fn open_commands_are_those_last_sent() {
    let numbers = |script: &Script| {
        let open = open_commands(&script.saga, &script.definition);
        open.iter().map(|command| format!("{} {}", command.address, command.send_no)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&order().timer()), ["inventory.reserve-stock 2"]);
    assert_eq!(numbers(&order().charged().cancel()), ["inventory.fence 2"]);
    let backing_off = order().reply("reserve-stock", failed("db"));
    assert!(numbers(&backing_off).is_empty(), "it was answered");
    let resent = order().timer();
    let again = open_commands(&resent.saga, &resent.definition);
    assert_eq!(
        again[0].effect.message_id(again[0].send_no),
        "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/reserve-stock/do/1/2"
    );
    let other = crate::definitions::parcel();
    assert!(open_commands(&resent.saga, &other).is_empty());
}

#[test]
fn what_does_not_belong_together_is_an_error() {
    let script = order();
    let tick = || Input::Timer { blind: false, down: std::collections::BTreeSet::new() };
    let parcel = crate::definitions::parcel();
    let wrong = handle(script.saga.clone(), tick(), script.now, &parcel);
    assert!(matches!(wrong, Err(Error::WrongDefinition { .. })));
    let again = handle(script.saga.clone(), script.journal[0].input.clone(), script.now, &script.definition);
    assert_eq!(again, Err(Error::AlreadyStarted));

    let mut renamed = script.saga.clone();
    renamed.steps[0].name = "polish".parse().unwrap();
    let mut torn = script.saga.clone();
    torn.steps[0].action_effect = None;
    for damaged in [renamed, torn] {
        let error = handle(damaged, tick(), script.now, &script.definition);
        assert!(matches!(error, Err(Error::Damaged(_))), "{error:?}");
    }
    assert_ne!(script.saga.digest, Digest::of(b"another"));
}

#[test]
fn a_status_is_read_as_it_is_written() {
    for status in Status::ALL {
        assert_eq!(status.as_str().parse(), Ok(status));
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
    }
    assert!("lost".parse::<Status>().is_err());
}
