//! The journal: stable JSON, and a replay that names what does not fit.

use amends_contract::Digest;
use amends_engine::{
    Begin, Decision, ENGINE_VERSION, Error, Input, JournalEntry, Misfit, ReplayError, Status, StuckWhy,
    handle, open_commands, replay,
};
use insta::assert_snapshot;
use serde_json::json;

use crate::definitions;
use crate::script::{Script, failed, ok, order, rejected, undone};

fn journal() -> Vec<JournalEntry> {
    order().reply("reserve-stock", failed("db")).timer().reserved().journal
}

fn through_text(entries: &[JournalEntry]) -> String {
    entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n").collect()
}

#[test]
fn its_json_is_stable() {
    let script = order().reserved().timer().blind_timer().reply("charge-payment", rejected("no"));
    assert_snapshot!(through_text(&script.journal), @r#"
    {"saga":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","seq":1,"at":"2026-11-21T08:00:00.000Z","input":{"kind":"start","definition":"order.v1","digest":"37b807b4e71ee038df8284afabd59823d1fa92cfc52e4a389110cc84cd8af6b1","input":{"customer_id":"c-1","email":"ada@example.org","lines":[{"quantity":2,"sku":"TEA-1"}],"total":{"amount":998,"currency":"EUR"}},"labels":{"customer":"c-1"}},"decisions":[{"decision":"started","steps":["reserve-stock","charge-payment","confirm-stock","send-confirmation","send-rejection"],"deadline_at":"2026-11-22T08:00:00.000Z"},{"decision":"decided","step":"reserve-stock","effect":"do","data":{"lines":[{"quantity":2,"sku":"TEA-1"}]},"attempts":3,"due_at":"2026-11-21T08:00:10.000Z"}],"engine_version":3}
    {"saga":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","seq":2,"at":"2026-11-21T08:00:00.000Z","input":{"kind":"reply","effect":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/reserve-stock/do/1","send_no":1,"participant":"inventory","outcome":{"outcome":"succeeded","output":{"reservation_id":"r-1"}}},"decisions":[{"decision":"succeeded","step":"reserve-stock","output":{"reservation_id":"r-1"}},{"decision":"decided","step":"charge-payment","effect":"do","data":{"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"},"attempts":3,"due_at":"2026-11-21T08:00:10.000Z"}],"engine_version":3}
    {"saga":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","seq":3,"at":"2026-11-21T08:00:10.000Z","input":{"kind":"timer"},"decisions":[{"decision":"sent","step":"charge-payment","effect":"do","send_no":2,"left":2,"due_at":"2026-11-21T08:00:20.000Z"}],"engine_version":3}
    {"saga":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","seq":4,"at":"2026-11-21T08:00:20.000Z","input":{"kind":"timer","blind":true},"decisions":[{"decision":"held","step":"charge-payment","effect":"do","by":"broker","due_at":"2026-11-21T08:10:20.000Z"},{"decision":"deadline_moved","deadline_at":"2026-11-22T08:10:00.000Z"}],"engine_version":3}
    {"saga":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","seq":5,"at":"2026-11-21T08:00:20.000Z","input":{"kind":"reply","effect":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/charge-payment/do/1","send_no":2,"participant":"payment","outcome":{"outcome":"rejected","code":"no","message":"no: no"}},"decisions":[{"decision":"rejected","step":"charge-payment","code":"no","message":"no: no"},{"decision":"turned","failure":{"step":"charge-payment","code":"no","detail":"no: no"},"undo":["reserve-stock"]},{"decision":"decided","step":"reserve-stock","effect":"undo","attempts":3,"due_at":"2026-11-21T08:00:30.000Z"}],"engine_version":3}
    "#);
}

#[test]
fn the_rows_json_is_stable_and_leaves_out_what_is_plain() {
    let script = order().reserved().timer().blind_timer().reply("charge-payment", rejected("no"));
    assert_snapshot!(serde_json::to_string(&script.saga).unwrap(), @r#"{"id":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","definition":"order.v1","digest":"37b807b4e71ee038df8284afabd59823d1fa92cfc52e4a389110cc84cd8af6b1","version":5,"input":{"customer_id":"c-1","email":"ada@example.org","lines":[{"quantity":2,"sku":"TEA-1"}],"total":{"amount":998,"currency":"EUR"}},"labels":{"customer":"c-1"},"started_at":"2026-11-21T08:00:00.000Z","updated_at":"2026-11-21T08:00:20.000Z","deadline_at":"2026-11-22T08:10:00.000Z","phase":"backward","failure":{"step":"charge-payment","code":"no","detail":"no: no"},"steps":[{"name":"reserve-stock","action":{"succeeded":{"output":{"reservation_id":"r-1"}}},"action_effect":{"decided_at":"2026-11-21T08:00:00.000Z","left":3,"data":{"lines":[{"quantity":2,"sku":"TEA-1"}]}},"undo":{"in_flight":{"due_at":"2026-11-21T08:00:30.000Z"}},"undo_effect":{"decided_at":"2026-11-21T08:00:20.000Z","left":3}},{"name":"charge-payment","action":{"rejected":{"code":"no","message":"no: no"}},"action_effect":{"decided_at":"2026-11-21T08:00:00.000Z","send_no":2,"left":2,"data":{"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}}},{"name":"confirm-stock"},{"name":"send-confirmation"},{"name":"send-rejection"}]}"#);
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
        replayed(&|entries| entries[1].decisions = vec![Decision::Cancelled { step: polish.clone().into() }]);
    let expected = ReplayError::Misfit { seq: 2, misfit: Misfit::NoStep(polish.clone().into()) };
    assert_eq!(misfit, Err(expected));
    let undo = replayed(&|entries| {
        let step = "reserve-stock".parse().unwrap();
        let effect = amends_contract::Direction::Backward;
        entries[1].decisions = vec![Decision::Pending { step, effect, pending_until: None, due_at: None }];
    });
    assert_snapshot!(undo.unwrap_err(), @"entry 2 does not fit: nothing was sent for step reserve-stock");
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
    let tick = || Input::Timer { blind: false, down: Default::default(), slots: Default::default() };
    let parcel = crate::definitions::parcel();
    let wrong = handle(script.saga.clone(), tick(), script.now, &parcel);
    assert!(matches!(wrong, Err(Error::WrongDefinition { .. })));
    let again = handle(script.saga.clone(), script.journal[0].input.clone(), script.now, &script.definition);
    assert_eq!(again, Err(Error::AlreadyStarted));

    let mut renamed = script.saga.clone();
    renamed.steps[0].name = "polish".parse().unwrap();
    let mut torn = script.saga.clone();
    torn.steps[0].action_effect = None;
    let with = |name: &str, index| {
        let mut saga = script.saga.clone();
        saga.steps.push(amends_engine::StepState {
            name: name.parse().unwrap(),
            index,
            ..saga.steps[4].clone()
        });
        saga
    };
    for damaged in [renamed, torn, with("polish", Some(0)), with("reserve-stock", None)] {
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
    let terminal = Status::ALL.into_iter().filter(|status| status.is_terminal());
    assert!(terminal.eq([Status::Completed, Status::Compensated, Status::Abandoned]));
}

#[test]
fn a_reason_is_told_as_it_is_written() {
    for why in [
        StuckWhy::Conflict,
        StuckWhy::Expired,
        StuckWhy::Rejected,
        StuckWhy::Cancelled,
        StuckWhy::PendingMax,
        StuckWhy::Reply,
        StuckWhy::Expression,
        StuckWhy::TooLarge,
        StuckWhy::Schema,
        StuckWhy::ByHand,
    ] {
        assert_eq!(serde_json::to_value(why).unwrap(), why.name());
    }
}

/// What an undo leaves behind that came before its action.
#[test]
fn a_tombstone_ends_as_it_begins_and_says_nothing() {
    let begin = Begin { tombstone: true, ..Begin::from(json!({ "total": "no order at all" })) };
    let script = Script::begin(definitions::order(), begin);
    assert_snapshot!(script.text(), @r#"
    +0s start
      started deadline_at=+24h steps=["reserve-stock","charge-payment","confirm-stock","send-confirmation","send-rejection"]
      turned failure={"code":"cancelled","detail":"it was undone before it began"}
      done ending=compensated
      = compensated
    "#);
    assert!(script.saga.is_tombstone() && open_commands(&script.saga, &script.definition).is_empty());
    assert_eq!(
        replay(through_text(&script.journal).lines().map(|line| serde_json::from_str(line).unwrap())),
        Ok(script.saga)
    );

    // A saga that has just begun is none, nor one that is cancelled later, nor one that cannot do its first step.
    let mut unasked = definitions::order_input();
    unasked.as_object_mut().unwrap().remove("lines");
    let impossible = Script::start(definitions::order(), unasked).saga;
    let cancelled = order().cancel().reply("reserve-stock/undo", undone()).reply("send-rejection", ok()).saga;
    for other in [order().saga, order().cancel().saga, cancelled, impossible] {
        assert!(!other.is_tombstone(), "{other:?}");
    }
}
