//! One command within a batch: carries out what was decided.
//!
//! Invariant: domain code runs in a savepoint of its own. Whatever it does, its neighbours stay unharmed,
//! and only an outcome that is recorded leaves anything of it behind.

use std::sync::atomic::Ordering;

use amends_contract::{Cause, Command, EffectId, Envelope, Event, Outcome, Reply};
use amends_inbox::Decision;
use amends_planted::{Bug, planted};
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};
use serde_json::Value;

use crate::{
    HandlerError, Prepared, Undone,
    batch::{Batch, Done},
    calls::Call,
    database::Failure,
    domain::{self, Verdict},
    entity::inbox::{Model, State},
    external::{Intent, KeptIntent},
    inbox::{self, Asked},
    participant::Route,
    reply,
    task::Task,
};

/// Does it.
///
/// # Errors
/// When the whole batch has to be run again.
pub(crate) async fn take(batch: &mut Batch<'_>, task: &Task, decision: Decision) -> Result<Done, DbErr> {
    match decision {
        Decision::Repeat => Ok(repeat(batch, task)),
        Decision::Pending => Ok(plain(batch, task, &Outcome::Pending)),
        Decision::Conflict => Ok(plain(batch, task, &Outcome::Conflict)),
        Decision::Expired => Ok(plain(batch, task, &Outcome::Expired)),
        Decision::Cancelled => Ok(cancelled(batch, task)),
        Decision::Close => {
            let body = reply_to(batch, task, &Outcome::Cancelled);
            record(batch, task, State::Tombstone, &Outcome::Cancelled, body.clone());
            Ok(Done::Reply { body, outcome: Outcome::Cancelled.name() })
        }
        Decision::NothingToUndo { tombstone } => {
            if let Some(action) = task.command.undoes.as_ref().filter(|_| tombstone) {
                close(batch, action);
            }
            let body = reply_to(batch, task, &Outcome::NothingToUndo);
            record(batch, task, State::Final, &Outcome::NothingToUndo, body.clone());
            Ok(Done::Reply { body, outcome: Outcome::NothingToUndo.name() })
        }
        Decision::Void => {
            void(batch, task);
            Ok(plain(batch, task, &Outcome::Pending))
        }
        Decision::Run => run(batch, task).await,
    }
}

/// Lays a tombstone for an action that has no row.
fn close(batch: &mut Batch<'_>, action: &EffectId) {
    let tombstone = inbox::row(action, State::Tombstone, batch.now);
    if planted(Bug::TombstoneOverOpen) && batch.rows.contains_key(&tombstone.effect_id) {
        batch.writes.settled.push(tombstone);
    } else if !planted(Bug::NoTombstone) {
        batch.writes.new.push(tombstone);
    }
}

fn repeat(batch: &Batch<'_>, task: &Task) -> Done {
    match own(batch, task).and_then(|row| row.reply.clone()) {
        Some(body) => Done::Reply { body, outcome: "repeated" },
        // Only a hand in the database can have taken it away; it must not be made up.
        None => {
            tracing::error!(effect = %task.command.effect, "a final inbox row has no reply");
            let failed = Outcome::Failed { code: "internal".to_owned(), retry_after_ms: None };
            plain(batch, task, &failed)
        }
    }
}

/// A tombstone's first answer is recorded, so that it is the same for ever.
fn cancelled(batch: &mut Batch<'_>, task: &Task) -> Done {
    let outcome = Outcome::Cancelled.name();
    let Some(row) = own(batch, task) else {
        return plain(batch, task, &Outcome::Cancelled);
    };
    if let Some(body) = row.reply.clone() {
        return Done::Reply { body, outcome };
    }
    let body = reply_to(batch, task, &Outcome::Cancelled);
    let answered = Model { reply: Some(body.clone()), ..row.clone() };
    batch.writes.cancelled.push(answered);
    Done::Reply { body, outcome }
}

fn void(batch: &mut Batch<'_>, task: &Task) {
    if let Some(action) = &task.command.undoes {
        batch.writes.voided.push(action.to_string());
    }
    let due = batch.now.plus_ms(batch.core.config.recover_initial_ms);
    let row = Model {
        command: Some(kept(&task.command, task.cause)),
        due_at_ms: Some(due.unix_ms()),
        ..new_row(batch, task, State::Open)
    };
    batch.writes.new.push(row);
}

/// Runs the domain code: the action, or the undo of an action that succeeded.
async fn run(batch: &mut Batch<'_>, task: &Task) -> Result<Done, DbErr> {
    let undone = match undone(batch, task) {
        Ok(undone) => undone,
        Err(error) => return Ok(not_yet(batch, task, reply::of_error(&error), &error)),
    };
    let core = batch.core;
    let savepoint = batch.tx.begin().await?;
    let scope = domain::Scope {
        core,
        db: &savepoint,
        now: batch.now,
        command: &task.command,
        undone: undone.as_ref(),
    };
    match core.routes.get(task.command.address.command.as_str()) {
        Some(Route::Handler(handler)) => {
            let (result, events) = scope.handle(&**handler).await;
            settle(batch, task, savepoint, result, events).await
        }
        Some(Route::Bulk(handler)) => {
            let (result, events) = scope.handle_alone(&**handler).await;
            settle(batch, task, savepoint, result, events).await
        }
        Some(Route::External(external)) => {
            let (result, events) = scope.prepare(&**external).await;
            match result {
                Ok(Prepared::Final(outcome)) => settle(batch, task, savepoint, Ok(outcome), events).await,
                Err(error) => settle(batch, task, savepoint, Err(error), events).await,
                Ok(Prepared::Call(data)) => {
                    savepoint.commit().await?;
                    batch.writes.events.extend(events);
                    Ok(call(batch, task, data, undone))
                }
            }
        }
        // The reader lets no other command through; what waits may be of a command that is gone.
        None => {
            let error = HandlerError::Internal(format!("nobody handles {}", task.command.address));
            settle(batch, task, savepoint, Err(error), Vec::new()).await
        }
    }
}

/// Ends the savepoint by what the domain code came to.
async fn settle(
    batch: &mut Batch<'_>,
    task: &Task,
    savepoint: DatabaseTransaction,
    result: Result<Outcome, HandlerError>,
    events: Vec<Event>,
) -> Result<Done, DbErr> {
    if let Err(HandlerError::Database(error)) = &result
        && Failure::of(error) != Failure::Defect
    {
        let error = error.clone();
        savepoint.rollback().await?;
        return Err(error);
    }
    let verdict = domain::judge(&batch.core.name, &task.command, task.cause, result);
    match verdict {
        Verdict::Final { outcome, body } => {
            // A rejection leaves nothing but its reply.
            if matches!(outcome, Outcome::Rejected { .. }) {
                savepoint.rollback().await?;
            } else {
                savepoint.commit().await?;
            }
            Ok(handled(batch, task, &outcome, body, events))
        }
        Verdict::NotYet { outcome, why } => {
            savepoint.rollback().await?;
            Ok(not_yet(batch, task, outcome, &why))
        }
    }
}

/// Domain code came to a final outcome: it is recorded with what happened.
pub(crate) fn handled(
    batch: &mut Batch<'_>,
    task: &Task,
    outcome: &Outcome,
    body: Vec<u8>,
    events: Vec<Event>,
) -> Done {
    batch.writes.events.extend(events);
    record(batch, task, State::Final, outcome, body.clone());
    Done::Reply { body, outcome: outcome.name() }
}

/// No outcome: nothing is recorded, and who asked is told. A waiting undo goes on waiting.
fn not_yet(batch: &mut Batch<'_>, task: &Task, outcome: Outcome, why: &HandlerError) -> Done {
    tracing::warn!(effect = %task.command.effect, %why, "a command came to no outcome");
    match own(batch, task) {
        Some(row) => {
            let due = batch.core.due_again(batch.now, row.calls);
            let postponed = (row.effect_id.clone(), due);
            batch.writes.postponed.push(postponed);
        }
        None => batch.writes.unrecorded.push(task.command.effect.to_string()),
    }
    if task.parcel.is_some() { plain(batch, task, &outcome) } else { Done::Silent }
}

/// Notes the intent. Where there is room the call is made at once; else the row waits for its turn, and
/// counts as never called.
fn call(batch: &mut Batch<'_>, task: &Task, data: Value, undone: Option<Undone>) -> Done {
    let room = batch.core.room();
    let due = if room.is_some() { batch.now.plus_ms(batch.core.config.lease_ms) } else { batch.now };
    let intent = KeptIntent { data, undone };
    let row = Model {
        command: Some(kept(&task.command, task.cause)),
        intent: Some(json(&intent)),
        calls: i64::from(room.is_some()),
        due_at_ms: Some(due.unix_ms()),
        ..new_row(batch, task, State::Open)
    };
    match own(batch, task) {
        Some(_) => batch.writes.prepared.push(row),
        None => batch.writes.new.push(row),
    }
    let external = batch.core.external(&task.command.address.command).cloned();
    match (room, external) {
        (Some(room), Some(external)) => Done::Call(Box::new(Call {
            intent: Intent {
                effect: task.command.effect.clone(),
                command: task.command.clone(),
                data: intent.data,
                undone: intent.undone,
                calls: 1,
            },
            cause: task.cause,
            external,
            first: true,
            _room: room,
        })),
        _ => {
            batch.core.starved.store(true, Ordering::Relaxed);
            plain(batch, task, &Outcome::Pending)
        }
    }
}

/// What the inbox knows of the action that an undo undoes.
pub(crate) fn undone(batch: &Batch<'_>, task: &Task) -> Result<Option<Undone>, HandlerError> {
    let Some(action) = &task.command.undoes else {
        return Ok(None);
    };
    let row = batch.rows.get(&action.to_string());
    let unreadable = || HandlerError::Internal(format!("the recorded reply of {action} cannot be read"));
    let reply = row.and_then(|row| row.reply.as_deref()).ok_or_else(unreadable)?;
    let reply = Envelope::decode(reply).and_then(Reply::from_envelope);
    let Ok(Reply { outcome: Outcome::Succeeded { output }, .. }) = reply else {
        return Err(unreadable());
    };
    let intent = row.and_then(|row| row.intent.as_deref());
    let intent = intent.and_then(|text| serde_json::from_str::<KeptIntent>(text).ok());
    Ok(Some(Undone {
        effect: action.clone(),
        output: output.into(),
        intent: intent.map(|intent| intent.data),
    }))
}

/// Writes the final row of a command's effect.
fn record(batch: &mut Batch<'_>, task: &Task, state: State, outcome: &Outcome, body: Vec<u8>) {
    let row =
        Model { outcome: Some(outcome.name().to_owned()), reply: Some(body), ..new_row(batch, task, state) };
    match own(batch, task) {
        // Only a planted bug comes here a second time.
        Some(known) if planted(Bug::RunsDuplicates) && !known.is_unsettled() => {}
        Some(_) => batch.writes.settled.push(row),
        None => batch.writes.new.push(row),
    }
}

/// A row of the command's own effect. A fence knows nothing of what the effect would have meant.
fn new_row(batch: &Batch<'_>, task: &Task, state: State) -> Model {
    let command = &task.command;
    let seen = !command.is_fence();
    Model {
        message_type: seen.then(|| command.address.message_type()),
        meaning: seen.then(|| command.meaning().to_string()),
        ..inbox::row(&command.effect, state, batch.now)
    }
}

fn own<'a>(batch: &'a Batch<'_>, task: &Task) -> Option<&'a Model> {
    batch.rows.get(&task.command.effect.to_string())
}

/// An answer that is not recorded.
fn plain(batch: &Batch<'_>, task: &Task, outcome: &Outcome) -> Done {
    if task.parcel.is_none() && !outcome.is_final() {
        return Done::Silent;
    }
    Done::Reply { body: reply_to(batch, task, outcome), outcome: outcome.name() }
}

fn reply_to(batch: &Batch<'_>, task: &Task, outcome: &Outcome) -> Vec<u8> {
    reply::encode_plain(&batch.core.name, &task.command, task.cause, outcome)
}

fn kept(command: &Command, cause: Option<Cause>) -> String {
    json(&Asked::new(command, cause))
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| unreachable!("strings, numbers and JSON always encode"))
}
