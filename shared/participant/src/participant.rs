//! The builder: which commands a participant handles, and how it runs.
//!
//! Invariant: a wiring mistake (a reserved name, a command twice) is reported before anything runs.

use std::{collections::BTreeMap, sync::Arc};

use amends_broker::Broker;
use amends_contract::{Command, FENCE, ORCHESTRATOR, Token};
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr};
use sea_orm_migration::MigrationTrait;
use tokio_util::sync::CancellationToken;

use crate::{BulkHandler, Config, Database, Error, External, Handler, core::Core, migration, run};

/// Locks the rows that a batch will touch, in one order, before its first handler, or its first intent.
///
/// Several processes on one PostgreSQL would otherwise lock each other's rows crosswise: one command's
/// order is the handler's, that of a batch is not. Not called on SQLite, which has one writer.
#[async_trait]
pub trait Locks: Send + Sync + 'static {
    /// Locks what `commands` will touch (`SELECT ... ORDER BY key FOR UPDATE`).
    ///
    /// # Errors
    /// The batch is then run again.
    async fn lock(&self, db: &DatabaseTransaction, commands: &[&Command]) -> Result<(), DbErr>;
}

/// Who does the effect of a command.
#[derive(Clone)]
pub(crate) enum Route {
    Handler(Arc<dyn Handler>),
    Bulk(Arc<dyn BulkHandler>),
    External(Arc<dyn External>),
}

/// A service that does steps of sagas.
pub struct Participant {
    name: String,
    routes: BTreeMap<String, Route>,
    locks: Option<Arc<dyn Locks>>,
    migrations: Vec<migration::Own>,
    mistakes: Vec<String>,
}

impl Participant {
    /// A participant that handles nothing yet but fences.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut mistakes = Vec::new();
        if !Token::is_valid(name) || name == ORCHESTRATOR {
            mistakes.push(format!("{name:?} cannot be a participant's name"));
        }
        Self { name: name.to_owned(), routes: BTreeMap::new(), locks: None, migrations: Vec::new(), mistakes }
    }

    /// Handles a command (or undoes with it) in the service's own database.
    #[must_use]
    pub fn on(self, command: &str, handler: impl Handler) -> Self {
        self.route(command, Route::Handler(Arc::new(handler)))
    }

    /// Handles all commands of that name in a batch (or undoes with them) at once, in the service's own database.
    #[must_use]
    pub fn on_bulk(self, command: &str, handler: impl BulkHandler) -> Self {
        self.route(command, Route::Bulk(Arc::new(handler)))
    }

    /// Handles a command (or undoes with it) by a call to something outside the database.
    #[must_use]
    pub fn on_external(self, command: &str, external: impl External) -> Self {
        self.route(command, Route::External(Arc::new(external)))
    }

    /// Locks the rows of a batch before it is handled.
    #[must_use]
    pub fn locks(mut self, locks: impl Locks) -> Self {
        self.locks = Some(Arc::new(locks));
        self
    }

    /// The service's own migrations, run together with the SDK's. Their names share one table.
    #[must_use]
    pub fn migrations(mut self, migrations: fn() -> Vec<Box<dyn MigrationTrait>>) -> Self {
        self.migrations.push(migrations);
        self
    }

    /// Names of all migrations, the SDK's and the service's own: what a database has to have taken.
    #[must_use]
    pub fn migration_names(&self) -> Vec<String> {
        migration::names(&self.migrations)
    }

    /// Brings the database up to date, as [`Self::run`] does first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn migrate(&self, db: &Database) -> Result<(), Error> {
        migration::migrate(db, &self.migrations).await
    }

    /// Works until `shutdown` is cancelled, then finishes what it has begun.
    ///
    /// # Errors
    /// [`Error`] when it cannot start. Whatever happens later is retried.
    pub async fn run(
        self,
        db: Database,
        broker: Broker,
        config: Config,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let migrations = self.migrations.clone();
        let core = self.checked(db, config)?;
        migration::migrate(&core.db, &migrations).await?;
        run::run(core, broker, shutdown).await
    }

    pub(crate) fn checked(self, db: Database, config: Config) -> Result<Core, Error> {
        if !self.mistakes.is_empty() {
            return Err(Error::Wiring(self.mistakes.join("; ")));
        }
        let name = Token::new(&self.name).map_err(|error| Error::Wiring(error.to_string()))?;
        Ok(Core::new(name, self.routes, self.locks, db, config))
    }

    fn route(mut self, command: &str, route: Route) -> Self {
        if !Token::is_valid(command) || command == FENCE {
            self.mistakes.push(format!("{command:?} cannot be a command's name"));
        } else if self.routes.insert(command.to_owned(), route).is_some() {
            self.mistakes.push(format!("command {command:?} is handled twice"));
        }
        self
    }
}
