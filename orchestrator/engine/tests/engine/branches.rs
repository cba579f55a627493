//! Branches side by side: what one does never holds up the other, and undoing waits for both.

use amends_contract::Outcome;
use insta::assert_snapshot;
use serde_json::json;

use crate::definitions::diamond;
use crate::script::{Script, ok, rejected, undone};

/// Booked; both branches are in flight.
fn branched() -> Script {
    Script::start(diamond(), json!({ "parcel": "p-1" })).reply("book", ok()).mark()
}

#[test]
fn branches_start_together_and_meet() {
    let script = Script::start(diamond(), json!({ "parcel": "p-1" })).mark().reply("book", ok());
    let script = script.reply("insure", ok()).reply("pack", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply book do#1 succeeded
      succeeded book
      decided pack do attempts=2 data={"parcel":"p-1"} due_at=+10s
      decided insure do attempts=2 data={"parcel":"p-1"} due_at=+10s
      -> warehouse.pack pack do#1 of +0s {"parcel":"p-1"}
      -> insurer.insure insure do#1 of +0s {"parcel":"p-1"}
      = running, due +10s
    +0s reply insure do#1 succeeded
      succeeded insure
      = running, due +10s
    +0s reply pack do#1 succeeded
      succeeded pack
      decided ship do attempts=2 data={"parcel":"p-1"} due_at=+10s
      -> carrier.ship ship do#1 of +0s {"parcel":"p-1"}
      = running, due +10s
    "#);
}

#[test]
fn all_that_is_due_is_done_in_one_entry() {
    assert_snapshot!(branched().timer().text(), @r#"
    +10s timer
      sent pack do due_at=+20s left=1 send_no=2
      sent insure do due_at=+20s left=1 send_no=2
      -> warehouse.pack pack do#2 of +0s {"parcel":"p-1"}
      -> insurer.insure insure do#2 of +0s {"parcel":"p-1"}
      = running, due +20s
    "#);
}

#[test]
fn whoever_is_up_goes_on_while_another_is_held() {
    assert_snapshot!(branched().timer_with_down(&["insurer"]).text(), @r#"
    +10s timer down: insurer
      sent pack do due_at=+20s left=1 send_no=2
      held insure do away=insurer by=participant due_at=+610s
      deadline_moved deadline_at=+4200s
      -> warehouse.pack pack do#2 of +0s {"parcel":"p-1"}
      = running, held, due +20s
    "#);
}

#[test]
fn a_rejection_undoes_the_other_branch_though_it_is_in_flight() {
    let script = branched().reply("pack", rejected("no-box")).mark().reply("insure", ok());
    let script = script.reply("insure/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s reply insure do#1 succeeded
      succeeded insure
      = compensating, due +10s
    +0s reply insure undo#1 undone
      undone insure
      decided book undo attempts=2 due_at=+10s
      -> carrier.unbook book undo#1 undoes do/1 of +0s {"parcel":"p-1"}
      = compensating, due +10s
    "#);
}

#[test]
fn branches_are_undone_side_by_side_and_what_was_before_them_last() {
    let script = branched().reply("pack", ok()).reply("insure", ok());
    let script = script.mark().reply("ship", rejected("no-lorry")).reply("pack/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s reply ship do#1 rejected {"code":"no-lorry","message":"no: no-lorry"}
      rejected ship code=no-lorry message="no: no-lorry"
      turned failure={"code":"no-lorry","detail":"no: no-lorry","step":"ship"} undo=["book","pack","insure"]
      decided insure undo attempts=2 due_at=+10s
      decided pack undo attempts=2 due_at=+10s
      -> insurer.terminate insure undo#1 undoes do/1 of +0s {"parcel":"p-1"}
      -> warehouse.unpack pack undo#1 undoes do/1 of +0s {"parcel":"p-1"}
      = compensating, due +10s
    +0s reply pack undo#1 undone
      undone pack
      = compensating, due +10s
    "#);
    assert_eq!(script.state("book/undo"), "waiting");
    let script = script.reply("insure/undo", undone());
    assert_eq!(script.state("book/undo"), "sent");
}

#[test]
fn a_stuck_branch_parks_only_when_the_other_is_at_rest() {
    let script = branched().reply("pack", Outcome::Conflict);
    assert_eq!(script.saga.status().as_str(), "running");
    assert!(script.saga.flags().needs_attention);
    let script = script.reply("insure", ok());
    assert_eq!(script.saga.status().as_str(), "parked");
}
