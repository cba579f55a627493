//! The SDK's tables, brought up to date together with the service's own.
//!
//! Invariant: one table of applied migrations per database, and each migration in one transaction, on
//! SQLite too: a crash in between leaves nothing half made.

mod m0001_inbox;
mod m0002_events;

use std::time::Duration;

use sea_orm::DbErr;
use sea_orm_migration::{MigrationTrait, MigratorTraitSelf};

use crate::{Database, Error};

/// Attempts to migrate. Of several processes that start at once on one PostgreSQL all but one fail and
/// then find everything done.
const ATTEMPTS: u32 = 5;

/// Where a service's own migrations come from.
pub(crate) type Own = fn() -> Vec<Box<dyn MigrationTrait>>;

struct Migrator<'a> {
    own: &'a [Own],
}

impl MigratorTraitSelf for Migrator<'_> {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        let sdk: Vec<Box<dyn MigrationTrait>> =
            vec![Box::new(m0001_inbox::Migration), Box::new(m0002_events::Migration)];
        sdk.into_iter().chain(self.own.iter().flat_map(|own| own())).collect()
    }
}

pub(crate) fn names(own: &[Own]) -> Vec<String> {
    let migrations = Migrator { own }.migrations();
    migrations.iter().map(|migration| migration.name().to_owned()).collect()
}

pub(crate) async fn migrate(db: &Database, own: &[Own]) -> Result<(), Error> {
    let migrator = Migrator { own };
    let mut attempt = 1;
    loop {
        match migrator.up(db.writer(), None).await {
            Ok(()) => return Ok(()),
            // A migration that is applied and unknown: an older program on a newer database.
            Err(error @ DbErr::Custom(_)) => return Err(error.into()),
            Err(error) if attempt >= ATTEMPTS => return Err(error.into()),
            Err(error) => {
                tracing::info!(%error, attempt, "migrating once more");
                tokio::time::sleep(Duration::from_millis(200 * u64::from(attempt))).await;
                attempt += 1;
            }
        }
    }
}
