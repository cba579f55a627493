//! The tables' history, in the order of its steps.
//!
//! Invariant: a released step never changes; each can be run again where it broke off.

mod m0001_sagas;
mod m0002_callers;
mod m0003_messages;
mod m0004_places;
mod m0005_pauses;
mod m0006_letter_actions;
mod m0007_outages;
mod m0008_growth;
mod m0009_retention;
mod m0010_participants;
mod m0011_ended;
mod m0012_folded;
mod m0013_elements;

use std::time::Duration;

use sea_orm::DatabaseConnection;
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::Error;

/// Tries of a process that brings the tables up at the same time as others.
const TRIES_MAX: u32 = 10;

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_sagas::Migration),
            Box::new(m0002_callers::Migration),
            Box::new(m0003_messages::Migration),
            Box::new(m0004_places::Migration),
            Box::new(m0005_pauses::Migration),
            Box::new(m0006_letter_actions::Migration),
            Box::new(m0007_outages::Migration),
            Box::new(m0008_growth::Migration),
            Box::new(m0009_retention::Migration),
            Box::new(m0010_participants::Migration),
            Box::new(m0011_ended::Migration),
            Box::new(m0012_folded::Migration),
            Box::new(m0013_elements::Migration),
        ]
    }
}

/// Brings the tables to this version.
pub(crate) async fn run(db: &DatabaseConnection) -> Result<(), Error> {
    let mut tries = 1;
    loop {
        // Two processes that make the same table at once: one is refused, and then finds it made.
        match Migrator::up(db, None).await {
            Ok(()) => return Ok(()),
            Err(error) if tries < TRIES_MAX && may_be_a_race(&error) => {
                tracing::debug!(%error, tries, "another process may be making the tables");
                tokio::time::sleep(Duration::from_millis(u64::from(tries) * 20)).await;
                tries += 1;
            }
            Err(error) => return Err(schema_error(error)),
        }
    }
}

/// Whether the tables are of this version.
pub(crate) async fn check(db: &DatabaseConnection) -> Result<(), Error> {
    let pending = Migrator::get_pending_migrations_read_only(db).await.map_err(schema_error)?;
    match pending.len() {
        0 => Ok(()),
        count => Err(Error::Schema { why: format!("{count} migrations are missing") }),
    }
}

/// sea-orm says only in words that the tables are newer than this version.
fn schema_error(error: sea_orm::DbErr) -> Error {
    match error {
        sea_orm::DbErr::Custom(why) | sea_orm::DbErr::Migration(why) => Error::Schema { why },
        error => error.into(),
    }
}

fn may_be_a_race(error: &sea_orm::DbErr) -> bool {
    use crate::error::Blame;
    matches!(Blame::of(error), Blame::Data | Blame::Contention | Blame::Unforeseen)
        && !matches!(error, sea_orm::DbErr::Custom(_) | sea_orm::DbErr::Migration(_))
}
