//! Going backward: what is undone, in which order, with which data.

use amends_contract::Outcome;
use insta::assert_snapshot;
use serde_json::json;

use crate::script::{failed, ok, order, parcel, rejected, undone};

#[test]
fn a_rejection_undoes_what_was_done_and_tells() {
    let script = order()
        .reserved()
        .mark()
        .reply("charge-payment", rejected("card-declined"))
        .reply("reserve-stock/undo", undone())
        .reply("send-rejection", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#1 rejected {"code":"card-declined","message":"no: card-declined"}
      rejected charge-payment code=card-declined message="no: card-declined"
      turned failure={"code":"card-declined","detail":"no: card-declined","step":"charge-payment"} undo=["reserve-stock"]
      decided reserve-stock undo attempts=3 due_at=+10s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +10s
    +0s reply reserve-stock undo#1 undone
      undone reserve-stock
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"card-declined","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"card-declined","to":"ada@example.org"}
      = compensating, due +10s
    +0s reply send-rejection do#1 succeeded
      succeeded send-rejection
      done ending=compensated
      !! order.compensated (5/compensated) {"code":"card-declined","detail":"no: card-declined","step":"charge-payment"}
      = compensated
    "#);
}

#[test]
fn with_nothing_to_undo_it_tells_at_once() {
    let script = order().reply("reserve-stock", rejected("out-of-stock")).reply("send-rejection", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 rejected {"code":"out-of-stock","message":"no: out-of-stock"}
      rejected reserve-stock code=out-of-stock message="no: out-of-stock"
      turned failure={"code":"out-of-stock","detail":"no: out-of-stock","step":"reserve-stock"}
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"out-of-stock","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"out-of-stock","to":"ada@example.org"}
      = compensating, due +10s
    +0s reply send-rejection do#1 succeeded
      succeeded send-rejection
      done ending=compensated
      !! order.compensated (3/compensated) {"code":"out-of-stock","detail":"no: out-of-stock","step":"reserve-stock"}
      = compensated
    "#);
}

#[test]
fn undoing_goes_in_reverse_order() {
    let script = order()
        .charged()
        .mark()
        .reply("confirm-stock", rejected("reservation-gone"))
        .reply("charge-payment/undo", Outcome::Undone { output: json!({ "refund_id": "re-1" }).into() })
        .reply("reserve-stock/undo", Outcome::NothingToUndo);
    assert_snapshot!(script.text(), @r#"
    +0s reply confirm-stock do#1 rejected {"code":"reservation-gone","message":"no: reservation-gone"}
      rejected confirm-stock code=reservation-gone message="no: reservation-gone"
      turned failure={"code":"reservation-gone","detail":"no: reservation-gone","step":"confirm-stock"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    +0s reply charge-payment undo#1 undone {"output":{"refund_id":"re-1"}}
      undone charge-payment output={"refund_id":"re-1"}
      decided reserve-stock undo attempts=3 due_at=+10s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +10s
    +0s reply reserve-stock undo#1 nothing_to_undo
      nothing_to_undo reserve-stock
      alarmed reserve-stock alarm=nothing_to_undo_after_succeeded
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"reservation-gone","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"reservation-gone","to":"ada@example.org"}
      = compensating, needs attention, alarm, due +10s
    "#);
}

#[test]
fn a_step_that_backs_off_may_have_run() {
    let script = order().reply("reserve-stock", failed("db")).mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock"]
      unknown reserve-stock
      decided reserve-stock undo attempts=3 due_at=+10s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +10s
    "#);
}

#[test]
fn an_undo_carries_the_data_of_its_action_and_what_is_added() {
    let script = parcel().reply("book", ok()).mark().cancel();
    let script = script.reply("announce", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["book"]
      sent announce do ask={"fence":"turn"} due_at=+10s left=2 send_no=2
      -> notification.fence announce do#2 of +0s {}
      = compensating, due +10s
    +0s reply announce do#2 cancelled
      cancelled announce
      decided book undo attempts=2 data={"parcel":"p-1","reason":"moved"} due_at=+10s
      -> carrier.unbook book undo#1 undoes do/1 of +0s {"parcel":"p-1","reason":"moved"}
      = compensating, due +10s
    "#);
}

#[test]
fn a_step_without_an_undo_is_kept_if_it_is_done() {
    let script = parcel()
        .reply("book", ok())
        .reply("announce", ok())
        .mark()
        .reply("label", rejected("no-printer"))
        .reply("book/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s reply label do#1 rejected {"code":"no-printer","message":"no: no-printer"}
      rejected label code=no-printer message="no: no-printer"
      turned failure={"code":"no-printer","detail":"no: no-printer","step":"label"} undo=["book"]
      decided book undo attempts=2 data={"parcel":"p-1","reason":"moved"} due_at=+10s
      -> carrier.unbook book undo#1 undoes do/1 of +0s {"parcel":"p-1","reason":"moved"}
      = compensating, due +10s
    +0s reply book undo#1 undone
      undone book
      done ending=compensated
      !! parcel.compensated (5/compensated) {"code":"no-printer","detail":"no: no-printer","step":"label"}
      = compensated
    "#);
}

#[test]
fn a_step_without_an_undo_that_is_in_flight_is_fenced_first() {
    for (answer, state) in
        [(Outcome::Cancelled, "cancelled"), (ok(), "succeeded"), (rejected("too-late"), "rejected")]
    {
        let script = parcel().reply("book", ok()).cancel();
        assert_eq!(script.state("announce"), "fencing");
        assert_eq!(script.state("book/undo"), "waiting", "what is before it waits");
        let script = script.reply("announce", answer);
        assert_eq!(script.state("announce"), state);
        assert_eq!(script.state("book/undo"), "sent");
        assert_eq!(script.saga.failure.as_ref().unwrap().code, "cancelled");
    }
}

#[test]
fn a_fence_waits_for_whoever_is_still_finding_out() {
    let script = parcel().reply("book", ok()).mark().cancel().reply("announce", Outcome::Pending).timer();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["book"]
      sent announce do ask={"fence":"turn"} due_at=+10s left=2 send_no=2
      -> notification.fence announce do#2 of +0s {}
      = compensating, due +10s
    +0s reply announce do#2 pending
      pending announce do pending_until=+30s
      = compensating, due +10s
    +10s timer
      sent announce do ask={"fence":"turn"} due_at=+20s left=2 send_no=3
      -> notification.fence announce do#3 of +0s {}
      = compensating, due +20s
    "#);
}

#[test]
fn used_up_attempts_of_a_step_without_an_undo_are_fenced() {
    let script = parcel().reply("book", ok()).timer().mark().timer();
    assert_snapshot!(script.text(), @r#"
    +20s timer
      turned failure={"code":"attempts","detail":"2 attempts brought no outcome: there was no reply to the last one","step":"announce"} undo=["book"]
      sent announce do ask={"fence":"turn"} due_at=+30s left=2 send_no=3
      -> notification.fence announce do#3 of +0s {}
      = compensating, due +30s
    "#);
}

#[test]
fn a_saga_that_has_done_nothing_yet_is_cancelled_with_its_first_step_undone() {
    let script = order().mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock"]
      unknown reserve-stock
      decided reserve-stock undo attempts=3 due_at=+10s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +10s
    "#);
}

#[test]
fn what_was_rejected_is_not_undone() {
    let script = order().reserved().reply("charge-payment", rejected("card-declined"));
    assert_eq!(script.state("charge-payment/undo"), "none");
    assert_eq!(script.state("reserve-stock/undo"), "sent");
}
