//! Sendings without a final outcome: asked again, backed off, burnt or not, used up.

use amends_contract::Outcome;
use insta::assert_snapshot;

use crate::script::{Script, failed, ok, order, undone};

#[test]
fn silence_asks_again_under_the_same_effect_id() {
    let script = order().timer();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_failure_is_followed_by_a_growing_pause() {
    let script = order()
        .reply("reserve-stock", failed("db-locked"))
        .timer()
        .reply("reserve-stock", failed("db-locked"))
        .timer()
        .reserved();
    assert_snapshot!(script.text(), @"");
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
    assert_snapshot!(script.text(), @"");
    assert_eq!(script.state("charge-payment"), "unknown");
}

#[test]
fn the_last_failure_turns_at_once() {
    let script = order().timer().timer().mark().reply("reserve-stock", failed("oom"));
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_retriable_step_goes_on_at_its_cap_and_asks_for_attention() {
    let script = order().confirmed().timer().timer().mark().timer();
    assert_snapshot!(script.text(), @"");
    let script = script.mark().reply("send-confirmation", failed("smtp-down")).timer().timer();
    assert_snapshot!(script.text(), @"");
    let script = script.mark().reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_undo_goes_on_at_its_cap_and_asks_for_attention() {
    let refunding = order().charged().reply("confirm-stock", crate::script::rejected("gone"));
    let failing = |script: Script| script.reply("charge-payment/undo", failed("provider-down")).timer();
    let script = failing(failing(failing(refunding))).mark();
    assert!(!script.saga.flags().needs_attention);
    let script = failing(failing(script));
    assert_snapshot!(script.text(), @"");
    let script = script.reply("charge-payment/undo", undone());
    assert!(!script.saga.flags().needs_attention, "it is over");
}

#[test]
fn failed_and_pending_count_only_for_the_last_sending() {
    let script = order()
        .timer()
        .mark()
        .reply_to("reserve-stock", 1, failed("late"))
        .reply_to("reserve-stock", 1, Outcome::Pending)
        .reply_to("reserve-stock", 3, failed("never sent"));
    assert_snapshot!(script.text(), @"");
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
    assert_snapshot!(script.text(), @"");
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
    assert_snapshot!(script.text(), @"");
    let left = script.step("charge-payment").action_effect.as_ref().unwrap().left;
    assert_eq!(left, 3);
}

#[test]
fn silence_after_pending_burns_for_the_participant_is_up() {
    let script = order().reserved().reply("charge-payment", Outcome::Pending).timer().mark().timer();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn pending_for_too_long_is_stuck() {
    let mut script = order().reserved().after(500);
    while script.state("charge-payment") != "stuck" {
        script = script.reply("charge-payment", Outcome::Pending).mark().timer();
    }
    assert_snapshot!(script.text(), @"");
}
