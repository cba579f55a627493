//! The violations, each planted by hand into the database in which it would show.
//!
//! Invariant: a plant changes something, or the test stops: one that changes nothing proves nothing.

use std::{pin::Pin, str::FromStr};

use amends_audit::Invariant::{self, I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11, I12, L1, L2, L3, L5};
use amends_tests::Wire;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, prelude::Uuid, sea_query::Value};
use serde_json::{Value as Json, json};

use crate::{day::Day, forgeries};

type Planting = Pin<Box<dyn Future<Output = ()>>>;

/// A violation to be found.
pub(crate) struct Plant {
    pub(crate) name: &'static str,
    /// What it breaks.
    pub(crate) invariant: Invariant,
    /// Where; `None` where it is about no saga in particular.
    pub(crate) saga: Option<String>,
    /// In whose database.
    pub(crate) owner: &'static str,
    pub(crate) plant: Box<dyn Fn(DatabaseConnection) -> Planting>,
}

/// A statement about one row.
fn row(
    name: &'static str,
    invariant: Invariant,
    saga: &str,
    (owner, sql): (&'static str, &'static str),
    values: &[&str],
) -> Plant {
    let values: Vec<Value> = values.iter().map(|text| value(text)).collect();
    let plant = move |db: DatabaseConnection| -> Planting {
        let values = values.clone();
        Box::pin(async move { run(&db, sql, values).await })
    };
    let saga = (!saga.is_empty()).then(|| saga.to_owned());
    Plant { name, invariant, saga, owner, plant: Box::new(plant) }
}

/// Ids of sagas are UUIDs to the database; effect ids and the rest are text.
fn value(text: &str) -> Value {
    Uuid::from_str(text).map_or_else(|_| text.into(), Into::into)
}

async fn run(db: &DatabaseConnection, sql: &str, values: Vec<Value>) {
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await;
    let changed = done.unwrap_or_else(|error| panic!("{sql}: {error}")).rows_affected();
    assert!(changed > 0, "{sql} changes nothing");
}

/// Deletes a saga with all that hangs on it, as if it had never been.
pub(crate) async fn delete(db: &DatabaseConnection, saga: &str) {
    let statements = [
        "DELETE FROM sagas WHERE id = $1",
        "DELETE FROM journal WHERE saga_id = $1",
        "DELETE FROM saga_labels WHERE saga_id = $1",
        "DELETE FROM idempotency WHERE saga_id = $1",
    ];
    for sql in statements {
        run(db, sql, vec![value(saga)]).await;
    }
}

/// Leaves what an orchestrator leaves of a saga that it has deleted.
pub(crate) async fn remember_as_deleted(db: &DatabaseConnection, saga: &str) {
    let sql = "INSERT INTO deleted_sagas (id, status, deleted_at_ms) VALUES ($1, 'completed', 1)";
    run(db, sql, vec![value(saga)]).await;
}

/// A change of the journal entries of a saga: from each entry to the one that takes its place.
fn journal(name: &'static str, invariant: Invariant, saga: &str, change: fn(Json) -> Json) -> Plant {
    let id = Uuid::from_str(saga).expect("a saga's id");
    let plant = move |db: DatabaseConnection| -> Planting {
        Box::pin(async move {
            let read = "SELECT seq, entry FROM journal WHERE saga_id = $1 ORDER BY seq";
            let read = Statement::from_sql_and_values(db.get_database_backend(), read, [id.into()]);
            let mut changed = 0;
            for row in db.query_all_raw(read).await.expect("the journal can be read") {
                let (seq, text): (i64, String) =
                    (row.try_get("", "seq").expect("a number"), row.try_get("", "entry").expect("text"));
                let before: Json = serde_json::from_str(&text).expect("an entry is JSON");
                let after = change(before.clone());
                if after != before {
                    changed += 1;
                    let write = "UPDATE journal SET entry = $1 WHERE saga_id = $2 AND seq = $3";
                    run(&db, write, vec![after.to_string().into(), id.into(), seq.into()]).await;
                }
            }
            assert!(changed > 0, "{name} changes nothing");
        })
    };
    Plant { name, invariant, saga: Some(saga.to_owned()), owner: "orchestrator", plant: Box::new(plant) }
}

/// All of them.
pub(crate) fn all(day: &Day) -> Vec<Plant> {
    let mut plants = on_any_database(day);
    plants.extend(journals(day));
    plants.extend(states(day));
    plants.extend(money(day));
    plants.extend(rows(day));
    plants
}

fn action(saga: &str, step: &str) -> String {
    format!("{saga}/{step}/do/1")
}

const KEY_GONE: (&str, &str) = ("orchestrator", "DELETE FROM idempotency WHERE saga_id = $1");
const LINE_GONE: (&str, &str) = ("orchestrator", "DELETE FROM journal WHERE saga_id = $1 AND seq = 2");
const REFUND_GONE: (&str, &str) = ("provider", "DELETE FROM refunds WHERE key = $1");
const CHARGE_GONE: (&str, &str) = ("provider", "DELETE FROM charges WHERE key = $1");
const DEARER: (&str, &str) = ("provider", "UPDATE charges SET amount = amount + 1 WHERE key = $1");
const CAPTURED: (&str, &str) = ("provider", "UPDATE charges SET status = 'captured' WHERE key = $1");
const CHARGED: (&str, &str) = (
    "provider",
    "INSERT INTO charges (id, key, status, amount, currency, customer, at_ms) \
     SELECT 'planted', $1, 'captured', amount, currency, customer, at_ms FROM charges WHERE key = $2",
);
const RESERVED: (&str, &str) = ("inventory", "UPDATE stock SET reserved = reserved + 1 WHERE sku = $1");
const STOLEN: (&str, &str) = ("inventory", "UPDATE stock SET on_hand = on_hand - 1 WHERE sku = $1");
const ACTIVE: (&str, &str) = ("inventory", "UPDATE reservation SET state = 'active' WHERE id = $1");
const RELEASED: (&str, &str) = ("inventory", "DELETE FROM reservation WHERE id = $1");
const TWICE: (&str, &str) = (
    "inventory",
    "INSERT INTO reservation (id, saga, state, lines, created_at_ms, updated_at_ms) \
     SELECT $1, saga, 'released', lines, created_at_ms, updated_at_ms FROM reservation WHERE id = $2",
);
const ROW_GONE: (&str, &str) = ("inventory", "DELETE FROM inbox WHERE effect_id = $1");
const ENTOMBED: (&str, &str) = ("inventory", "UPDATE inbox SET state = 'tombstone' WHERE effect_id = $1");
const CHARGE_ENTOMBED: (&str, &str) =
    ("payment", "UPDATE inbox SET state = 'tombstone' WHERE effect_id = $1");
const REFUNDING: (&str, &str) = ("payment", "UPDATE payments SET status = 'refunding' WHERE effect = $1");
const OTHER_REPLY: (&str, &str) = (
    "payment",
    "UPDATE inbox SET reply = (SELECT reply FROM inbox AS other WHERE other.effect_id = $1) WHERE effect_id = $2",
);
const UNDECIDED: (&str, &str) = (
    "payment",
    "INSERT INTO inbox (effect_id, state, message_type, meaning, outcome, reply, calls, created_at_ms, \
     updated_at_ms) SELECT $1, state, message_type, meaning, outcome, reply, calls, created_at_ms, updated_at_ms \
     FROM inbox WHERE effect_id = $2",
);
const DUE: (&str, &str) = ("notification", "UPDATE inbox SET due_at_ms = 1 WHERE effect_id = $1");
const OPEN: (&str, &str) = ("notification", "UPDATE inbox SET state = 'open' WHERE effect_id = $1");

/// Those that are planted into PostgreSQL, too: each into other rows, for they stay.
pub(crate) fn on_any_database(day: &Day) -> Vec<Plant> {
    let (order, undone, declined) = (&*day.order, &*day.undone, &*day.declined);
    let (back, approved) = (&*day.back, &*day.approved);
    let refund = format!("{undone}/charge-payment/undo/1");
    let [again, first] = [format!("{declined}/reserve-stock/do/2"), action(declined, "reserve-stock")];
    let replies = [action(declined, "charge-payment"), action(order, "charge-payment")];
    let replies = [&*replies[0], &*replies[1]];
    vec![
        row("a journal line is gone", I1, back, LINE_GONE, &[back]),
        row("a refund is lost at the provider", I4, undone, REFUND_GONE, &[&refund]),
        row("a charge costs more", I4, approved, DEARER, &[&action(approved, "charge-payment")]),
        row("more is reserved than anybody holds", I5, "", RESERVED, &["TEA-1"]),
        row("a completed saga holds stock", L2, order, ACTIVE, &[&action(order, "reserve-stock")]),
        row("a tombstone on what happened", I8, approved, ENTOMBED, &[&action(approved, "reserve-stock")]),
        row("a recorded reply changes", I9, order, OTHER_REPLY, &replies),
        row("an inbox row is gone", I10, order, ROW_GONE, &[&action(order, "confirm-stock")]),
        row("an effect is done twice", I3, declined, TWICE, &[&again, &first]),
        row("a row is due since 1970", L3, undone, DUE, &[&action(undone, "send-rejection")]),
        row("a saga without a key", I12, undone, KEY_GONE, &[undone]),
    ]
}

/// Into journals: what a wrong engine would have written.
fn journals(day: &Day) -> Vec<Plant> {
    let (order, undone) = (&*day.order, &*day.undone);
    vec![
        journal("compensation in forward order", I7, undone, forgeries::forward_order),
        journal("a plan that leaves out a step", I7, undone, forgeries::forgets_a_step),
        journal("a pivot that is guessed", I7, order, forgeries::guesses_the_pivot),
        journal("a step before its predecessors", I6, order, forgeries::hastens),
        journal("a number of sending used again", I6, order, forgeries::repeats_a_number),
        journal("a new epoch without a fence", I3, order, forgeries::new_epoch),
        journal("settled by hand without a fence", I3, order, forgeries::settles_by_hand),
        journal("a duplicate that is taken for new", I3, order, forgeries::succeeds_twice),
        journal("it turns twice", I2, order, forgeries::turns_twice),
        journal("a storm", L5, order, forgeries::storms),
        journal("a proof is contradicted", I8, undone, forgeries::contradicts),
        journal("nobody gave the signal", I11, &day.approved, forgeries::nobody),
        row("nobody paused a participant", I11, "", PAUSED_BY_NOBODY, &["payment"]),
    ]
}

const PAUSED_BY_NOBODY: (&str, &str) = (
    "orchestrator",
    "INSERT INTO participant_actions (participant, seq, action, actor, reason, asked_at_ms) VALUES ($1, 1, 'pause', '', '', 1)",
);
const REVIVED: (&str, &str) = (
    "orchestrator",
    "UPDATE sagas SET state = replace(state, '{\"done\":\"completed\"}', '\"forward\"') WHERE id = $1",
);
const FORGOTTEN: (&str, &str) = (
    "orchestrator",
    "UPDATE sagas SET state = replace(replace(state, '{\"done\":\"completed\"}', '\"forward\"'), \
     '\"deadline_at\"', '\"forgotten\"') WHERE id = $1",
);
const LONG_AGO: (&str, &str) = (
    "orchestrator",
    "UPDATE journal SET entry = replace(entry, '\"deadline_at\":\"20', '\"deadline_at\":\"19') WHERE saga_id = $1",
);

/// Into the sagas' rows, and into the journal of one that runs, whose row does not have its state.
fn states(day: &Day) -> Vec<Plant> {
    let (order, waiting) = (&*day.order, &*day.waiting);
    vec![
        row("a row leaves its end", I2, order, REVIVED, &[order]),
        row("nothing will ever move it", L1, order, FORGOTTEN, &[order]),
        row("its time came and nobody noticed", L3, waiting, LONG_AGO, &[waiting]),
    ]
}

/// Into the provider's books, and what payment says of them.
fn money(day: &Day) -> Vec<Plant> {
    let (order, undone, declined, back) = (&*day.order, &*day.undone, &*day.declined, &*day.back);
    let (nobody, charge) = (between(order), action(order, "charge-payment"));
    let stranger = action(&nobody, "charge-payment");
    let again = format!("{order}/charge-payment/do/2");
    vec![
        row("charged twice", I3, order, CHARGED, &[&again, &charge]),
        row("charged for nobody's order", I6, &nobody, CHARGED, &[&stranger, &charge]),
        row("charged although declined", I4, declined, CAPTURED, &[&action(declined, "charge-payment")]),
        row("a charge is gone", I4, order, CHARGE_GONE, &[&charge]),
        row("a return's money was never given", I4, back, REFUND_GONE, &[&action(back, "refund")]),
        row("a tombstone on what was charged", I8, order, CHARGE_ENTOMBED, &[&charge]),
        row("a refund is still being made", L2, undone, REFUNDING, &[&action(undone, "charge-payment")]),
    ]
}

const TWO_KEYS: (&str, &str) = (
    "orchestrator",
    "INSERT INTO idempotency (owner, key, body_digest, saga_id, answer, created_at_ms) \
     SELECT owner, 'planted', body_digest, saga_id, answer, created_at_ms FROM idempotency WHERE saga_id = $1",
);
const ASTRAY: (&str, &str) = ("orchestrator", "UPDATE idempotency SET saga_id = $1 WHERE saga_id = $2");

/// Into further rows, which are to be found on SQLite only: there the SQL is the same.
fn rows(day: &Day) -> Vec<Plant> {
    let (order, declined) = (&*day.order, &*day.declined);
    let (nobody, charge) = (between(order), action(order, "charge-payment"));
    let undecided = format!("{order}/charge-payment/do/7");
    vec![
        row("a command that nobody has decided", I6, order, UNDECIDED, &[&undecided, &charge]),
        row("an effect is gone", I10, declined, RELEASED, &[&action(declined, "reserve-stock")]),
        row("pieces are gone", I5, "", STOLEN, &["TEA-1"]),
        row("a call is still open", L2, order, OPEN, &[&action(order, "send-confirmation")]),
        row("two keys, one saga", I12, order, TWO_KEYS, &[order]),
        row("a key leads nowhere", I12, &nobody, ASTRAY, &[&nobody, order]),
    ]
}

/// A saga that nobody has started, just after this one.
fn between(saga: &str) -> String {
    let id = Uuid::from_str(saga).expect("a saga's id");
    Uuid::from_u128(id.as_u128() + 1).to_string()
}

/// The command of an order's charge as it lies in the stream, and its subject.
fn command(day: &Day, wire: &mut Wire) -> (String, Json) {
    let wanted = format!("{}/charge-payment/do/1", day.order);
    let commands = wire.messages("AMENDS_CMD");
    let read = |(subject, body): (String, Vec<u8>)| {
        let command: Json = serde_json::from_slice(&body).expect("a command is JSON");
        (command["effectid"] == *wanted).then_some((subject, command))
    };
    commands.into_iter().find_map(read).expect("the command lies in the stream")
}

/// A sending that was published and never committed.
pub(crate) fn published_before_its_time(day: &Day, broker: &str) {
    let mut wire = Wire::connect(broker);
    let (subject, mut command) = command(day, &mut wire);
    command["sendno"] = json!("9");
    command["id"] = json!(format!("{}/charge-payment/do/1/9", day.order));
    wire.publish(&subject, command.to_string().as_bytes());
}

/// One command a hundred times.
pub(crate) fn a_storm(day: &Day, broker: &str) {
    let mut wire = Wire::connect(broker);
    let (subject, command) = command(day, &mut wire);
    for _ in 0..200 {
        wire.publish(&subject, command.to_string().as_bytes());
    }
}

/// A reply that was never recorded.
pub(crate) fn another_answer(day: &Day, broker: &str) {
    let mut wire = Wire::connect(broker);
    let wanted = format!("{}/charge-payment/do/1", day.order);
    let read = |(subject, body): (String, Vec<u8>)| {
        let reply: Json = serde_json::from_slice(&body).expect("a reply is JSON");
        (reply["effectid"] == *wanted && reply["data"]["outcome"] == "succeeded").then_some((subject, reply))
    };
    let replies = wire.messages("AMENDS_REPLY");
    let (subject, mut reply) = replies.into_iter().find_map(read).expect("the reply lies in the stream");
    reply["data"]["output"]["charge_id"] = json!("ch_other");
    wire.publish(&subject, reply.to_string().as_bytes());
}
