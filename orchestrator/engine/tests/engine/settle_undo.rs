//! `settle-step` of an undo.

use amends_contract::Outcome;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::parcel;
use crate::script;
use crate::script::{Script, ok, rejected, undone};

#[test]
fn an_undo_is_settled() {
    let begun = || script::order().cancel().reply("reserve-stock", ok()).mark();
    let script = begun().settle("reserve-stock/undo", json!({ "note": 7 }));
    let script = script.reply("reserve-stock/undo", Outcome::Cancelled).reply("reserve-stock/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      intended reserve-stock undo then={"settle":{"output":{"note":7}}}
      sent reserve-stock undo ask={"fence":"settle"} due_at=+10s left=3 send_no=2
      -> inventory.fence reserve-stock undo#2 undoes do/1 of +0s {}
      = compensating, due +10s
    +0s reply reserve-stock undo#2 cancelled
      undone reserve-stock by_hand=true output={"note":7}
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"}
      = compensating, due +10s
    +0s reply reserve-stock undo#2 undone
      alarmed reserve-stock alarm=undone_after_closed
      = compensating, needs attention, alarm, due +10s
    "#);
    let script =
        begun().settle("reserve-stock/undo", Value::Null).mark().reply("reserve-stock/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock undo#2 undone
      dropped reserve-stock undo
      undone reserve-stock
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"}
      = compensating, due +10s
    "#);
    let script =
        begun().reply("reserve-stock/undo", rejected("closed")).settle("reserve-stock/undo", Value::Null);
    let script = script.mark().reply("reserve-stock/undo", rejected("closed"));
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock undo#2 rejected {"code":"closed","message":"no: closed"}
      undone reserve-stock by_hand=true
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"}
      = compensating, due +10s
    "#);
    let script = begun().settle("reserve-stock/undo", Value::Null).mark();
    assert_snapshot!(script.reply("reserve-stock/undo", Outcome::Expired).text(), @r#"
    +0s reply reserve-stock undo#2 expired
      undone reserve-stock by_hand=true
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"}
      = compensating, due +10s
    "#);
}

#[test]
fn an_undo_that_was_never_sent_closes_its_action() {
    let script = stuck_undo();
    assert_eq!((script.state("book"), script.state("book/undo")), ("unknown", "stuck"));
    let script = script.mark().settle("book/undo", Value::Null).reply("book/undo", Outcome::NothingToUndo);
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      decided book undo attempts=2 due_at=+10s queued=true
      intended book undo then={"settle":{}}
      sent book undo ask={"fence":"settle"} due_at=+10s left=2 send_no=1
      -> carrier.fence book undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    +0s reply book undo#1 nothing_to_undo
      dropped book undo
      nothing_to_undo book
      done ending=compensated
      !! parcel.compensated (4/compensated) {"code":"cancelled","detail":"changed my mind"}
      = compensated
    "#);
}

#[test]
fn an_undo_of_what_ran_that_was_never_sent_is_settled_at_once() {
    let script = stuck_undo().reply("book", ok()).mark().settle("book/undo", Value::Null);
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      undone book by_hand=true
      done ending=compensated
      !! parcel.compensated (4/compensated) {"code":"cancelled","detail":"changed my mind"}
      = compensated
    "#);
}

/// An action that may have run, and an undo that cannot be asked for.
fn stuck_undo() -> Script {
    Script::start(parcel(), json!({ "parcel": "p-1" })).cancel()
}

/// An answer from before the participant forgot: true, and late.
#[test]
fn an_undone_after_the_participant_forgot_is_an_alarm_too() {
    let begun = script::order().cancel().reply("reserve-stock", ok());
    let script =
        begun.settle("reserve-stock/undo", Value::Null).reply("reserve-stock/undo", Outcome::Expired);
    assert_snapshot!(script.mark().reply("reserve-stock/undo", undone()).text(), @r#"
    +0s reply reserve-stock undo#2 undone
      alarmed reserve-stock alarm=undone_after_closed
      = compensating, needs attention, alarm, due +10s
    "#);
}
