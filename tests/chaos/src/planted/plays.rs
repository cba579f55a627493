//! The plays: each provokes, from outside, the situation in which some bugs bite.
//!
//! Signals, an outsider at the broker, the provider's switches, a database that somebody else holds, and what owners and
//! operators may do: whatever happens here can happen to a system that runs.
//!
//! Invariant: none knows which bug is planted, or whether one is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    messages::{COMMANDS, REPLIES},
    play::{Play, Played},
    scenery::Scenery,
    stage::Stage,
};

/// How long it is waited for rows to be purged that may never be.
const PURGES_WITHIN: Duration = Duration::from_secs(5);
/// How long it is waited for an acknowledgement that may never come.
const ACKS_WITHIN: Duration = Duration::from_millis(1_500);
/// Twice the shortest duplicate window that can be set.
const BEYOND_DUPLICATES: Duration = Duration::from_millis(2_100);

/// An order is charged, and cancelled while it waits for its approval.
pub(super) const CANCELLED: Play = Play {
    name: "cancelled",
    scenery: Scenery::ORDER,
    acts: |stage| {
        Box::pin(async move {
            let id = awaiting(stage).await?;
            stage.act(&id, "cancel", json!({})).await
        })
    },
};

/// An order is cancelled while its charge is in doubt: the provider has taken the money, and has not answered.
pub(super) const CALL_UNDER_WAY: Play = Play {
    name: "call under way",
    scenery: Scenery::ORDER,
    acts: |stage| {
        Box::pin(async move {
            stage.provider(json!({ "timeout_after_charge": true })).await?;
            let id = stage.place().await?;
            stage.step_is(&id, CHARGE, "pending").await?;
            stage.act(&id, "cancel", json!({})).await?;
            stage.provider(json!({})).await
        })
    },
};

/// An order is cancelled while its charge, which did not work, is backing off; long after the end a copy of the command comes.
pub(super) const LATE_COMMAND: Play = Play {
    name: "late command",
    scenery: Scenery::ORDER,
    acts: |stage| {
        Box::pin(async move {
            let id = backing_off(stage).await?;
            stage.act(&id, "cancel", json!({})).await?;
            stage.settle().await?;
            stage.start_again(PROVIDER).await;
            copy_again(stage, COMMANDS, &charge_of(&id)).await
        })
    },
};

/// A charge that is backing off is tried with another card; then a copy of the first command comes, and then all is cancelled.
pub(super) const OTHER_CARD: Play = Play {
    name: "other card",
    scenery: Scenery::ORDER,
    acts: |stage| {
        Box::pin(async move {
            let id = backing_off(stage).await?;
            stage.start_again(PROVIDER).await;
            let input = Stage::input();
            let card =
                json!({ "amount": input["total"], "customer": input["customer_id"], "token": "tok_on_file" });
            stage.act(&id, "edit-and-retry", of_charge("data", card)).await?;
            stage.step_is(&id, "approval", "awaiting").await?;
            copy_again(stage, COMMANDS, &charge_of(&id)).await?;
            stage.act(&id, "cancel", json!({})).await
        })
    },
};

/// A charge that is backing off is settled by hand; then a copy of its command comes.
pub(super) const BY_HAND: Play = Play {
    name: "by hand",
    scenery: Scenery::ORDER,
    acts: |stage| {
        Box::pin(async move {
            let id = backing_off(stage).await?;
            stage.start_again(PROVIDER).await;
            stage.act(&id, "settle-step", of_charge("output", json!({ "charge_id": "by hand" }))).await?;
            stage.step_is(&id, "approval", "awaiting").await?;
            copy_again(stage, COMMANDS, &charge_of(&id)).await?;
            stage.approve(&id).await
        })
    },
};

/// The command that reserves is lost before anybody has read it.
pub(super) const LOST_COMMAND: Play = Play {
    name: "lost command",
    scenery: Scenery::ORDER,
    acts: |stage| {
        Box::pin(async move {
            stage.system.kill(INVENTORY);
            let id = stage.place().await?;
            stored(stage, COMMANDS, &action(&id, "reserve-stock")).await?;
            stage.broker(|broker| broker.purge(COMMANDS));
            stage.start_again(INVENTORY).await;
            stage.approve(&id).await
        })
    },
};

/// The reply to the confirmation is lost, and with it the orchestrator's memory of having asked.
pub(super) const LOST_REPLY: Play = Play {
    name: "lost reply",
    scenery: Scenery::ORDER,
    acts: |stage| Box::pin(reply_lost(stage, INVENTORY, "confirm-stock")),
};

/// The reply to the charge is lost, which is the point of no return and is asked for once.
pub(super) const LOST_REPLY_OF_THE_PIVOT: Play = Play {
    name: "lost reply of the pivot",
    scenery: Scenery::CHARGED_LAST,
    acts: |stage| Box::pin(reply_lost(stage, PAYMENT, CHARGE)),
};

/// An order waits long, and is then cancelled; its participants are to remember for half an hour.
pub(super) const WAITED_LONG: Play = Play {
    name: "waited long",
    scenery: Scenery::ORDER.with(&[
        ("AMENDS_INVENTORY__PARTICIPANT__HORIZON_S", "2000"),
        ("AMENDS_PAYMENT__PARTICIPANT__HORIZON_S", "2000"),
        ("AMENDS_INVENTORY__PARTICIPANT__PURGE_MARGIN_S", "0"),
        ("AMENDS_PAYMENT__PARTICIPANT__PURGE_MARGIN_S", "0"),
        ("AMENDS_INVENTORY__PARTICIPANT__PURGE_INTERVAL_S", "1"),
        ("AMENDS_PAYMENT__PARTICIPANT__PURGE_INTERVAL_S", "1"),
    ]),
    acts: |stage| {
        Box::pin(async move {
            let id = awaiting(stage).await?;
            both_have_purged(stage).await;
            stage.act(&id, "cancel", json!({})).await
        })
    },
};

/// The same, but they have forgotten it, as they may: nobody can tell any more what there is to undo.
pub(super) const WAITED_TOO_LONG: Play = Play {
    name: "waited too long",
    scenery: Scenery::ORDER
        .with(&[
            ("AMENDS_INVENTORY__PARTICIPANT__HORIZON_S", "8"),
            ("AMENDS_PAYMENT__PARTICIPANT__HORIZON_S", "8"),
            ("AMENDS_INVENTORY__PARTICIPANT__PURGE_MARGIN_S", "0"),
            ("AMENDS_PAYMENT__PARTICIPANT__PURGE_MARGIN_S", "0"),
            ("AMENDS_INVENTORY__PARTICIPANT__PURGE_INTERVAL_S", "1"),
            ("AMENDS_PAYMENT__PARTICIPANT__PURGE_INTERVAL_S", "1"),
        ])
        .remembering(8_000),
    acts: |stage| {
        Box::pin(async move {
            let id = awaiting(stage).await?;
            for participant in [INVENTORY, PAYMENT] {
                let what = format!("{participant} has purged");
                stage.until(&what, async || stage.purged(participant).await > 0).await?;
            }
            stage.act(&id, "cancel", json!({})).await
        })
    },
};

/// Inventory is killed while it waits for its database with a command in its hands.
pub(super) const KILLED_AT_WORK: Play = Play {
    name: "killed at work",
    scenery: Scenery::ORDER.asked_once(),
    acts: |stage| {
        Box::pin(async move {
            let held = stage.hold(INVENTORY).await?;
            let id = stage.place().await?;
            in_hand(stage, COMMANDS, INVENTORY).await?;
            stage.system.kill(INVENTORY);
            let _ = held.close().await;
            stage.start_again(INVENTORY).await;
            stage.approve(&id).await
        })
    },
};

/// The orchestrator is killed while it waits for its database with a reply in its hands.
pub(super) const KILLED_AT_A_REPLY: Play = Play {
    name: "killed at a reply",
    scenery: Scenery::ORDER.asked_once(),
    acts: |stage| {
        Box::pin(async move {
            stage.system.kill(INVENTORY);
            let id = stage.place().await?;
            stored(stage, COMMANDS, &action(&id, "reserve-stock")).await?;
            let held = stage.hold(ORCHESTRATOR).await?;
            stage.start_again(INVENTORY).await;
            in_hand(stage, REPLIES, ORCHESTRATOR).await?;
            stage.system.kill(ORCHESTRATOR);
            let _ = held.close().await;
            stage.start_again(ORCHESTRATOR).await;
            stage.approve(&id).await
        })
    },
};

/// While a charge is under way, copies of an earlier reply come, again and again.
pub(super) const COPIES: Play = Play {
    name: "copies",
    scenery: Scenery::ORDER.asked_once().with(&[
        ("AMENDS_NATS__STREAMS__DUPLICATE_WINDOW_S", "1"),
        ("AMENDS_PAYMENT__GATEWAY__TIMEOUT_MS", "20000"),
        ("AMENDS_PAYMENT__PARTICIPANT__PENDING_AFTER_MS", "20000"),
    ]),
    acts: |stage| {
        Box::pin(async move {
            stage.provider(json!({ "latency_ms": 8_000 })).await?;
            let id = stage.place().await?;
            stage.step_is(&id, CHARGE, "sent").await?;
            for _ in 0..3 {
                copy_again(stage, REPLIES, &action(&id, "reserve-stock")).await?;
                tokio::time::sleep(BEYOND_DUPLICATES).await;
            }
            stage.approve(&id).await
        })
    },
};

const CHARGE: &str = "charge-payment";
const INVENTORY: &str = "inventory";
const PAYMENT: &str = "payment";
const ORCHESTRATOR: &str = "orchestrator";
const PROVIDER: &str = "provider";

fn action(id: &str, step: &str) -> String {
    format!("{id}/{step}/do/1")
}

fn charge_of(id: &str) -> String {
    action(id, CHARGE)
}

/// What an operator says of the charge.
fn of_charge(field: &str, value: Value) -> Value {
    json!({ "step": CHARGE, "effect": "do", field: value })
}

/// An order that is charged and waits for its approval.
async fn awaiting(stage: &mut Stage) -> Result<String, String> {
    let id = stage.place().await?;
    stage.step_is(&id, "approval", "awaiting").await.map(|()| id)
}

/// An order whose charge did not work: nobody listens at the provider's. It is not tried again soon.
async fn backing_off(stage: &mut Stage) -> Result<String, String> {
    stage.system.kill(PROVIDER);
    let id = stage.place().await?;
    stage.step_is(&id, CHARGE, "backing_off").await.map(|()| id)
}

/// Waits until a message about this effect is stored.
async fn stored(stage: &Stage, stream: &str, effect: &str) -> Played {
    let look = async || stage.broker(|broker| !broker.about(stream, effect).is_empty());
    stage.until(&format!("a message about {effect} is stored"), look).await
}

/// Publishes the first message about this effect once more, and waits until it is dealt with.
async fn copy_again(stage: &Stage, stream: &str, effect: &str) -> Played {
    let mut found = stage.broker(|broker| broker.about(stream, effect));
    found.truncate(1);
    if found.is_empty() {
        return Err(format!("there is no message about {effect} to be copied"));
    }
    stage.broker(|broker| broker.publish(&found));
    // What is under way meanwhile is not waited for: it may take longer.
    match stream {
        COMMANDS => stage.all_is_read().await,
        _ => Ok(()),
    }
}

/// Waits until a reader has a message in its hands, and then for an acknowledgement that should not come.
async fn in_hand(stage: &Stage, stream: &str, reader: &str) -> Played {
    let read = || stage.broker(|broker| broker.read_by(stream, reader));
    stage.until(&format!("{reader} has a message in its hands"), async || read().0 > 0).await?;
    let begun = Instant::now();
    while begun.elapsed() < ACKS_WITHIN && read().1 == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A step is asked for and happens while the orchestrator is dead, and its reply is lost.
async fn reply_lost(stage: &mut Stage, participant: &str, step: &str) -> Played {
    let id = awaiting(stage).await?;
    stage.all_is_read().await?;
    stage.system.kill(participant);
    stage.approve(&id).await?;
    stored(stage, COMMANDS, &action(&id, step)).await?;
    stage.system.kill(ORCHESTRATOR);
    stage.start_again(participant).await;
    stored(stage, REPLIES, &action(&id, step)).await?;
    stage.broker(|broker| broker.purge(REPLIES));
    stage.start_again(ORCHESTRATOR).await;
    Ok(())
}

/// Waits until inventory and payment have purged something, or could have.
async fn both_have_purged(stage: &Stage) {
    let begun = Instant::now();
    while begun.elapsed() < PURGES_WITHIN
        && (stage.purged(INVENTORY).await == 0 || stage.purged(PAYMENT).await == 0)
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
