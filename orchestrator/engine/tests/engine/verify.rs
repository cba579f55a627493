//! Verifying a journal: what the engine decided is legal, and the first entry that was tampered with is named.

use amends_contract::StepRef;
use amends_engine::{
    Decision, ENGINE_VERSION, Illegal, Input, JournalEntry, ReplayError, Verified, replay, verify,
};
use insta::assert_snapshot;

use crate::definitions;
use crate::script::{Script, failed, order, rejected};

fn script() -> Script {
    order().reply("reserve-stock", failed("db")).timer().reserved().reply("charge-payment", rejected("no"))
}

/// What verification says of the journal after a change.
fn changed(change: impl FnOnce(&mut Vec<JournalEntry>)) -> Illegal {
    let script = script();
    let mut entries = script.journal;
    change(&mut entries);
    verify(entries, &script.definition).unwrap_err()
}

#[test]
fn what_the_engine_wrote_is_legal() {
    let walks = [
        script(),
        order(),
        order().confirmed().reply("send-confirmation", crate::script::ok()),
        order().charged().timer().cancel().reply("confirm-stock", rejected("gone")),
        order().pending_until_stuck("reserve-stock").retry_now(),
        order().blind_timer().timer_with_down(&["inventory"]),
        crate::script::parcel().after(3_600_000).timer(),
    ];
    for script in walks {
        let count = u64::try_from(script.journal.len()).unwrap();
        let verified = verify(script.journal.clone(), &script.definition);
        assert_eq!(verified, Ok(Verified { saga: script.saga.clone(), decided: count, folded: 0 }));
        assert_eq!(replay(script.journal).unwrap(), script.saga);
    }
}

#[test]
fn a_decision_that_was_changed_is_named() {
    let left = changed(|entries| {
        let Decision::Sent { left, .. } = &mut entries[2].decisions[0] else { panic!("{entries:?}") };
        *left = 7;
    });
    assert_eq!(left.seq(), Some(3));
    assert_snapshot!(left, @r#"entry 3 (timer) would be decided otherwise: recorded [{"decision":"sent","step":"reserve-stock","effect":"do","send_no":2,"left":7,"due_at":"2026-11-21T08:00:10.200Z"}], but it would be [{"decision":"sent","step":"reserve-stock","effect":"do","send_no":2,"left":2,"due_at":"2026-11-21T08:00:10.200Z"}]"#);
    let gone = changed(|entries| drop(entries[4].decisions.pop()));
    assert_eq!(gone.seq(), Some(5));
    let Illegal::Differs(difference) = gone else { panic!("{gone}") };
    assert_eq!(difference.decided.len(), difference.recorded.len() + 1);
    // Even one that folds no more.
    let step: StepRef = "polish".parse::<amends_contract::Token>().unwrap().into();
    let strange = changed(|entries| entries[1].decisions.push(Decision::Cancelled { step }));
    assert!(matches!(strange, Illegal::Differs(_)) && strange.seq() == Some(2), "{strange}");
}

#[test]
fn an_input_that_was_changed_is_named() {
    let labels = changed(|entries| {
        let Input::Start { labels, .. } = &mut entries[0].input else { panic!("{entries:?}") };
        labels.clear();
    });
    assert!(matches!(labels, Illegal::Differs(_)) && labels.seq() == Some(1), "{labels}");
    let twice = changed(|entries| {
        let again = JournalEntry { seq: 6, ..entries[4].clone() };
        entries.push(again);
    });
    assert_snapshot!(twice, @"entry 6 (reply charge-payment/do/1 rejected) would not have been written: duplicate");
    let start = changed(|entries| entries[3].input = entries[0].input.clone());
    assert_snapshot!(start, @"entry 4 (start) cannot be: a saga that exists cannot be started");
    let early = changed(|entries| entries[2].at = entries[1].at);
    assert_snapshot!(early, @"entry 3 (timer) would not have been written: not_due");
}

#[test]
fn what_is_no_journal_is_named() {
    assert_eq!(changed(Vec::clear), Illegal::Journal(ReplayError::Empty));
    let missing = changed(|entries| drop(entries.remove(2)));
    assert_eq!(missing, Illegal::Journal(ReplayError::Gap { expected: 3, found: 4 }));
    let newer = changed(|entries| entries[3].engine_version = ENGINE_VERSION + 1);
    assert_eq!(newer, Illegal::Journal(ReplayError::Newer { seq: 4, found: ENGINE_VERSION + 1 }));
    assert_eq!(newer.seq(), Some(4));
    let Illegal::Refused { seq, .. } = verify(script().journal, &definitions::parcel()).unwrap_err() else {
        panic!("another definition is not its own")
    };
    assert_eq!(seq, 1);
}

#[test]
fn entries_of_an_older_engine_are_only_folded() {
    let script = script();
    let mut entries = script.journal.clone();
    entries[2].engine_version = ENGINE_VERSION - 1;
    let verified = verify(entries, &script.definition).unwrap();
    assert_eq!((verified.decided, verified.folded), (4, 1));
    assert_eq!(verified.saga, script.saga);
}
