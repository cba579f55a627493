//! A bug that a running system cannot carry: what the database answers to it.
//!
//! Invariant: it is tried on a database of the play's own, after the play, and the answer is shown as it came.

use amends_tests::System;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbErr};

use super::{plants, stage::Stage};

/// What cannot be planted, and why.
pub(super) const LOSERS_ENTRY: &str =
    "a loser's journal entry kept: the journal's primary key is the saga and the number of the entry";

/// Writes an entry once more, as a store would that keeps those of losers; what the database answers.
///
/// # Errors
/// When it takes the entry, or there is none.
pub(super) async fn refused() -> Result<String, String> {
    let play = plants::ALL[0].play;
    let mut stage = Stage::start(play.scenery, None).await;
    (play.acts)(&mut stage).await?;
    stage.settle().await?;
    stage.system.kill("orchestrator");
    match write_again(&stage.system).await {
        Ok(count) => Err(format!("the database took {count} entries that lost")),
        Err(error) => Ok(error.to_string()),
    }
}

async fn write_again(system: &System) -> Result<u64, DbErr> {
    let mut options = ConnectOptions::new(system.setting("AMENDS_ORCHESTRATOR__DATABASE__URL"));
    options.max_connections(1).sqlx_logging(false);
    let database = Database::connect(options).await?;
    let again = "INSERT INTO journal SELECT * FROM journal WHERE seq = 2";
    let written = database.execute_unprepared(again).await.map(|done| done.rows_affected());
    database.close().await?;
    written
}
