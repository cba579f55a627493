//! Sendings without a final outcome: asked again, backed off, burnt or not, used up.

use amends_contract::Outcome;
use insta::assert_snapshot;

use crate::definitions::{ORDER_SOURCE, compile, order_input};
use crate::script::{Script, failed, ok, order, undone};

#[test]
fn silence_asks_again_under_the_same_effect_id() {
    let script = order().timer();
    assert_snapshot!(script.text(), @r#"
    +10s timer
      sent reserve-stock do due_at=+20s left=2 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +20s
    "#);
}

#[test]
fn a_failure_is_followed_by_a_growing_pause() {
    let script = order()
        .reply("reserve-stock", failed("db-locked"))
        .timer()
        .reply("reserve-stock", failed("db-locked"))
        .timer()
        .reserved();
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 failed {"code":"db-locked"}
      backed_off reserve-stock do code=db-locked due_at=+200ms left=2
      = running, due +200ms
    +200ms timer
      sent reserve-stock do due_at=+10200ms left=2 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +10200ms
    +200ms reply reserve-stock do#2 failed {"code":"db-locked"}
      backed_off reserve-stock do code=db-locked due_at=+600ms left=1
      = running, due +600ms
    +600ms timer
      sent reserve-stock do due_at=+10600ms left=1 send_no=3
      -> inventory.reserve-stock reserve-stock do#3 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +10600ms
    +600ms reply reserve-stock do#3 succeeded {"output":{"reservation_id":"r-1"}}
      succeeded reserve-stock output={"reservation_id":"r-1"}
      decided charge-payment do attempts=3 data={"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"} due_at=+10600ms
      -> payment.charge-payment charge-payment do#1 of +600ms {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +10600ms
    "#);
}

#[test]
fn the_participant_may_ask_for_more_time_within_reason() {
    let failed = |retry_after_ms| Outcome::Failed { code: "busy".to_owned(), retry_after_ms };
    let wait = |asked| {
        let script = order().reply("reserve-stock", failed(Some(asked)));
        script.saga.due_at().unwrap().ms_since(script.now)
    };
    assert_eq!(wait(5), 200, "our own pause is longer");
    assert_eq!(wait(7_000), 7_000);
    assert_eq!(wait(u64::MAX), 24 * 3_600_000, "a slip of units does not sleep for years");
}

#[test]
fn a_compensatable_step_whose_attempts_are_used_up_is_unknown_and_undone() {
    let script = order().reserved().mark().timer().reply("charge-payment", failed("down")).timer().timer();
    assert_snapshot!(script.text(), @r#"
    +10s timer
      sent charge-payment do due_at=+20s left=2 send_no=2
      -> payment.charge-payment charge-payment do#2 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +20s
    +10s reply charge-payment do#2 failed {"code":"down"}
      backed_off charge-payment do code=down due_at=+10400ms left=1
      = running, due +10400ms
    +10400ms timer
      sent charge-payment do due_at=+20400ms left=1 send_no=3
      -> payment.charge-payment charge-payment do#3 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +20400ms
    +20400ms timer
      turned failure={"code":"attempts","detail":"3 attempts brought no outcome: there was no reply to the last one","step":"charge-payment"} undo=["reserve-stock","charge-payment"]
      unknown charge-payment
      decided charge-payment undo attempts=4 due_at=+30400ms
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +20400ms {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +30400ms
    "#);
    assert_eq!(script.state("charge-payment"), "unknown");
}

#[test]
fn the_last_failure_turns_at_once() {
    let script = order().timer().timer().mark().reply("reserve-stock", failed("oom"));
    assert_snapshot!(script.text(), @r#"
    +20s reply reserve-stock do#3 failed {"code":"oom"}
      turned failure={"code":"attempts","detail":"3 attempts brought no outcome: oom","step":"reserve-stock"} undo=["reserve-stock"]
      unknown reserve-stock
      decided reserve-stock undo attempts=3 due_at=+30s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +20s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +30s
    "#);
}

#[test]
fn a_retriable_step_goes_on_at_its_cap_and_asks_for_attention() {
    let script = order().confirmed().timer().timer().mark().timer();
    assert_snapshot!(script.text(), @r#"
    +30s timer
      sent send-confirmation do due_at=+60s left=0 send_no=4
      -> notification.send-confirmation send-confirmation do#4 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, needs attention, due +60s
    "#);
    let script = script.mark().reply("send-confirmation", failed("smtp-down")).timer().timer();
    assert_snapshot!(script.text(), @r#"
    +30s reply send-confirmation do#4 failed {"code":"smtp-down"}
      backed_off send-confirmation do code=smtp-down due_at=+60s left=0
      = running, needs attention, due +60s
    +60s timer
      sent send-confirmation do due_at=+90s left=0 send_no=5
      -> notification.send-confirmation send-confirmation do#5 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, needs attention, due +90s
    +90s timer
      sent send-confirmation do due_at=+120s left=0 send_no=6
      -> notification.send-confirmation send-confirmation do#6 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, needs attention, due +120s
    "#);
    let script = script.mark().reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @"
    +90s reply send-confirmation do#6 succeeded
      succeeded send-confirmation
      done ending=completed
      !! order.completed (11/completed)
      = completed
    ");
}

#[test]
fn an_undo_goes_on_at_its_cap_and_asks_for_attention() {
    let refunding = order().charged().reply("confirm-stock", crate::script::rejected("gone"));
    let failing = |script: Script| script.reply("charge-payment/undo", failed("provider-down")).timer();
    let script = failing(failing(failing(refunding))).mark();
    assert!(!script.saga.flags().needs_attention);
    let script = failing(failing(script));
    assert_snapshot!(script.text(), @r#"
    +1400ms reply charge-payment undo#4 failed {"code":"provider-down"}
      backed_off charge-payment undo code=provider-down due_at=+21400ms left=0
      = compensating, needs attention, due +21400ms
    +21400ms timer
      sent charge-payment undo due_at=+41400ms left=0 send_no=5
      -> payment.refund-payment charge-payment undo#5 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, needs attention, due +41400ms
    +21400ms reply charge-payment undo#5 failed {"code":"provider-down"}
      backed_off charge-payment undo code=provider-down due_at=+41400ms left=0
      = compensating, needs attention, due +41400ms
    +41400ms timer
      sent charge-payment undo due_at=+61400ms left=0 send_no=6
      -> payment.refund-payment charge-payment undo#6 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, needs attention, due +61400ms
    "#);
    let script = script.reply("charge-payment/undo", undone());
    assert!(!script.saga.flags().needs_attention, "it is over");
}

#[test]
fn an_undo_may_have_a_clock_of_its_own() {
    let source = ORDER_SOURCE.replace("attempts: 4, cap: 20s } }", "attempts: 4 }, resend_after: 3s }");
    let script = Script::start(compile(&source), order_input()).charged();
    let due_ms = |script: &Script| script.saga.due_at().unwrap().ms_since(script.now);
    assert_eq!(due_ms(&script), 10_000);
    let script = script.reply("confirm-stock", crate::script::rejected("gone"));
    assert_eq!(due_ms(&script), 3_000);
}

#[test]
fn failed_and_pending_count_only_for_the_last_sending() {
    let script = order()
        .timer()
        .mark()
        .reply_to("reserve-stock", 1, failed("late"))
        .reply_to("reserve-stock", 1, Outcome::Pending)
        .reply_to("reserve-stock", 3, failed("never sent"));
    assert_snapshot!(script.text(), @r#"
    +10s reply reserve-stock do#1 failed {"code":"late"}
      ignored: stale
    +10s reply reserve-stock do#1 pending
      ignored: stale
    +10s reply reserve-stock do#3 failed {"code":"never sent"}
      ignored: stale
    "#);
}

#[test]
fn a_final_outcome_counts_whenever_it_comes() {
    let script = order().timer().timer().mark().reply_to("reserve-stock", 1, ok());
    assert_eq!(script.state("reserve-stock"), "succeeded");
}

#[test]
fn each_sending_burns_one_attempt_at_most() {
    let script = order()
        .reply("reserve-stock", failed("a"))
        .mark()
        .reply("reserve-stock", failed("again"))
        .reply("reserve-stock", Outcome::Pending);
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 failed {"code":"again"}
      ignored: duplicate
    +0s reply reserve-stock do#1 pending
      ignored: stale
    "#);
}

#[test]
fn pending_burns_nothing_and_keeps_its_clock() {
    let script = order()
        .reserved()
        .mark()
        .after(1000)
        .reply("charge-payment", Outcome::Pending)
        .reply("charge-payment", Outcome::Pending)
        .timer()
        .reply("charge-payment", Outcome::Pending);
    assert_snapshot!(script.text(), @r#"
    +1s reply charge-payment do#1 pending
      pending charge-payment do pending_until=+31s
      = running, due +10s
    +1s reply charge-payment do#1 pending
      ignored: duplicate
    +10s timer
      sent charge-payment do due_at=+20s left=3 send_no=2
      -> payment.charge-payment charge-payment do#2 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +20s
    +10s reply charge-payment do#2 pending
      pending charge-payment do pending_until=+31s
      = running, due +20s
    "#);
    let left = script.step("charge-payment").action_effect.as_ref().unwrap().left;
    assert_eq!(left, 3);
}

#[test]
fn silence_after_pending_burns_for_the_participant_is_up() {
    let script = order().reserved().reply("charge-payment", Outcome::Pending).timer().mark().timer();
    assert_snapshot!(script.text(), @r#"
    +20s timer
      sent charge-payment do due_at=+30s left=2 send_no=3
      -> payment.charge-payment charge-payment do#3 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +30s
    "#);
}

#[test]
fn pending_for_too_long_is_stuck() {
    let script = order().reserved().after(500).pending_until_stuck("charge-payment");
    assert_snapshot!(script.text(), @r#"
    +30500ms timer
      stuck charge-payment do at={"detail":"the participant did not find out in time","why":"pending_max"}
      !! order.parked (10/parked)
      = parked, needs attention, due +24h
    "#);
}
