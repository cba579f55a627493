//! The SDK's tables, brought up to date together with the service's own.
//!
//! Invariant: one table of applied migrations per database, and each migration in one transaction, on
//! SQLite too: a crash in between leaves nothing half made.

mod m0001_inbox;
mod m0002_events;

use std::time::Duration;

use sea_orm::DbErr;
use sea_orm_migration::{MigrationTrait, MigratorTraitSelf};
use tokio::time::{Instant, sleep};

use crate::{Database, Error, is_unavailable};

/// Attempts to migrate, those that found no database not counted. Of several processes that start at once on one
/// PostgreSQL all but one fail and then find everything done.
const ATTEMPTS: u32 = 5;

/// Pause before another attempt, times its number.
const PAUSE: Duration = Duration::from_millis(200);

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
    let by = Instant::now() + db.patience();
    let mut attempt = 1;
    loop {
        let error = match migrator.up(db.writer(), None).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match of(&error) {
            Kind::Away if Instant::now() < by => {}
            Kind::Race if attempt < ATTEMPTS => attempt += 1,
            _ => return Err(error.into()),
        }
        tracing::info!(%error, attempt, "migrating once more");
        sleep(PAUSE * attempt).await;
    }
}

/// Why migrating failed.
#[derive(Debug, PartialEq)]
enum Kind {
    /// The database went away, or somebody holds it.
    Away,
    /// Perhaps another process was faster.
    Race,
    /// A migration that is applied and unknown: an older program on a newer database.
    Newer,
}

fn of(error: &DbErr) -> Kind {
    match error {
        DbErr::Custom(_) => Kind::Newer,
        error if is_unavailable(error) => Kind::Away,
        _ => Kind::Race,
    }
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, sync::Arc};

    use sea_orm::{RuntimeErr, sqlx::Error as SqlxError};

    use super::*;

    #[test]
    fn a_database_that_went_away_uses_no_attempt_up() {
        let error = |error| DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)));
        assert_eq!(of(&error(SqlxError::PoolTimedOut)), Kind::Away);
        assert_eq!(of(&error(SqlxError::Io(ErrorKind::ConnectionReset.into()))), Kind::Away);
        assert_eq!(of(&error(SqlxError::RowNotFound)), Kind::Race);
        assert_eq!(of(&DbErr::Custom("applied and unknown".into())), Kind::Newer);
    }
}
