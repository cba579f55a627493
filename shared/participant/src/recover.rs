//! Takes up the open rows that nobody works on: of a process that died, of calls whose outcome is unknown,
//! and undos whose action is settled.
//!
//! Invariant: it runs whether or not anyone asks again. A row is taken up by one process at a time, by
//! moving its `due_at_ms` on.

use std::{sync::Arc, time::Duration};

use amends_contract::Timestamp;
use metrics::counter;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use tokio::{sync::OwnedSemaphorePermit, time::sleep};

use crate::{
    Intent,
    calls::Call,
    database::dialect,
    entity::inbox::{Column, Entity, Model},
    external::KeptIntent,
    inbox::{self, Asked, Kind},
    meter,
    runner::Runner,
    task::Task,
};

/// Runs until the shutdown.
pub(crate) async fn run(runner: Runner) {
    let config = &runner.core.config;
    let interval = Duration::from_millis(config.recover_interval_ms.max(1));
    let idle = Duration::from_millis(config.recover_idle_ms);
    let mut calls = runner.calls.changes();
    let mut next = Open::Due;
    loop {
        tokio::select! {
            biased;
            () = runner.shutdown.cancelled() => return,
            () = runner.core.recover.notified() => {}
            Ok(()) = calls.changed(), if next == Open::Nothing => {
                // Its row is open now, and due when its outcome is known or its lease is over.
                next = Open::Later;
                continue;
            }
            () = sleep(if next == Open::Nothing { idle.max(interval) } else { interval }) => {}
        }
        calls.mark_unchanged();
        next = look(&runner).await;
        if next == Open::Due {
            take_up_due(&runner).await;
        }
    }
}

async fn take_up_due(runner: &Runner) {
    loop {
        match round(runner).await {
            // There is likely more.
            Ok(count) if count >= runner.core.config.recover_count_max && !runner.shutdown.is_cancelled() => {
            }
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "open rows cannot be taken up"),
        }
    }
}

/// How the open rows stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    /// There is none.
    Nothing,
    /// None is due.
    Later,
    /// One is due, or that cannot be told.
    Due,
}

/// Looks without the write lock: mostly there is nothing.
async fn look(runner: &Runner) -> Open {
    let db = runner.core.db.reader();
    let first = async { Ok::<_, DbErr>((dialect::now(db).await?, first_due(db).await?)) };
    match first.await {
        Ok((_, None)) if runner.calls.held().is_empty() => Open::Nothing,
        Ok((now, Some(due_at))) if due_at <= now => Open::Due,
        Ok(_) => Open::Later,
        // The round tells it.
        Err(_) => Open::Due,
    }
}

/// When the first of the open rows is due.
async fn first_due(db: &impl ConnectionTrait) -> Result<Option<Timestamp>, DbErr> {
    let first = Entity::find()
        .select_only()
        .column(Column::DueAtMs)
        .filter(Column::DueAtMs.is_not_null())
        .order_by_asc(Column::DueAtMs)
        .limit(1);
    Ok(first.into_tuple::<i64>().one(db).await?.map(Timestamp::from_unix_ms))
}

/// What a process does first that is the only one on its database: all that is open was left behind by
/// its predecessor, and need not wait for the end of a lease.
pub(crate) async fn wake_all(runner: &Runner) -> Result<(), DbErr> {
    let tx = runner.core.db.begin().await?;
    if !dialect::is_shared(&tx) {
        let now = dialect::now(&tx).await?;
        inbox::wake_all(&tx, now).await?;
    }
    tx.commit().await
}

/// Takes up what is due, once; answers how many rows.
pub(crate) async fn round(runner: &Runner) -> Result<u64, DbErr> {
    let core = &runner.core;
    let limit = core.config.recover_count_max.max(1);
    // Taken before the rows are: a call that was counted and not made would count as one in doubt.
    let rooms: Vec<_> = (0..limit).map_while(|_| core.room()).collect();
    let tx = core.db.begin().await?;
    let now = dialect::now(&tx).await?;
    let lease_ms = core.config.lease_ms;
    let waiting = inbox::claim(&tx, Kind::Waiting, now, lease_ms, limit).await?;
    let calls = inbox::claim(&tx, Kind::Call, now, lease_ms, rooms.len() as u64).await?;
    tx.commit().await?;
    let count = waiting.len().max(calls.len()) as u64;
    counter!(meter::RECOVERED).increment((waiting.len() + calls.len()) as u64);
    for (row, room) in calls.iter().zip(rooms) {
        take_up(runner, row, room);
    }
    let tasks: Vec<Task> = waiting.iter().filter_map(task).collect();
    if !tasks.is_empty() {
        runner.run(tasks).await;
    }
    Ok(count)
}

/// A waiting undo, as if we sent it ourselves.
fn task(row: &Model) -> Option<Task> {
    let asked = asked(row)?;
    let command = readable(row, asked.command())?;
    Some(Task { command, cause: asked.cause, traceparent: None, parcel: None })
}

/// Makes, or finds out about, the call of a row.
fn take_up(runner: &Runner, row: &Model, room: OwnedSemaphorePermit) {
    let Some(task) = task(row) else { return };
    let intent = row.intent.as_deref().unwrap_or_default();
    let Some(kept) = readable(row, serde_json::from_str::<KeptIntent>(intent)) else { return };
    let Some(external) = runner.core.external(&task.command.address.command) else {
        tracing::error!(effect = row.effect_id, command = %task.command.address, "nobody makes this call any more");
        return;
    };
    runner.calls.start(Call {
        intent: Intent {
            effect: task.command.effect.clone(),
            command: task.command,
            data: kept.data,
            undone: kept.undone,
            calls: u32::try_from(row.calls).unwrap_or(u32::MAX),
        },
        cause: task.cause,
        external: Arc::clone(external),
        first: row.calls == 1,
        _room: room,
    });
}

fn asked(row: &Model) -> Option<Asked> {
    readable(row, serde_json::from_str(row.command.as_deref().unwrap_or_default()))
}

/// Only a hand in the database, or a bug, can have made a row unreadable; it stays for a hand to mend it.
fn readable<T, E: std::fmt::Display>(row: &Model, read: Result<T, E>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(effect = row.effect_id, %error, "an open row cannot be read"))
        .ok()
}
