//! What a service writes for an effect inside its own database.
//!
//! Invariant: a handler sees each effect id at most once with success; whatever it wrote is rolled back
//! unless its outcome is recorded in the same transaction.

use amends_contract::{Command, Outcome};
use async_trait::async_trait;
use sea_orm::DbErr;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::Work;

/// Does one kind of command, or undoes it, in the service's own database.
///
/// For an action answer [`Outcome::Succeeded`], [`Outcome::Rejected`] or [`Outcome::Failed`]; for an undo
/// [`Outcome::Undone`], [`Outcome::NothingToUndo`], [`Outcome::Rejected`] (the step is then stuck until an
/// operator acts) or [`Outcome::Failed`]. The undo of an action that never ran, or was rejected, is
/// answered without the handler: if it runs, the action succeeded and [`Work::undone`] says with what.
///
/// What the handler wrote stays only if it succeeded or undid: a rejection leaves nothing but its reply
/// (and its events), a failure nothing at all.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does the command within the transaction of `work`.
    ///
    /// # Errors
    /// See [`HandlerError`] for what is answered.
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError>;
}

/// Does many commands of one name at once, or undoes them: one statement for all, where a [`Handler`] takes one
/// for each. It is what makes a participant fast under load.
///
/// Which outcomes are legal is as for a [`Handler`]. The commands are of different effects, and none depends on
/// another. Nobody can roll back one of them without the others, so the handler itself must **leave nothing of a
/// command that it rejects or fails** in the database.
///
/// When something goes wrong with many (an error, a panic, an outcome that may not be), all of it is rolled back,
/// and each is done again alone: then the others are unharmed, as with a [`Handler`].
#[async_trait]
pub trait BulkHandler: Send + Sync + 'static {
    /// Does the commands of `works`, each within its [`Work`]; gives their outcomes in the same order.
    ///
    /// # Errors
    /// As of a handler.
    async fn handle(&self, works: &mut [Work<'_>]) -> Result<Vec<Outcome>, HandlerError>;
}

/// Why a handler came to no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandlerError {
    /// The database said no. A shortage (no connection, a dead-lock) makes the whole batch run again;
    /// anything else is answered `failed` with the code `database`.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// It may work later: answered `failed`.
    #[error("{code}: {detail}")]
    Transient {
        /// Stable and machine-readable.
        code: String,
        /// For the log.
        detail: String,
        /// How long the orchestrator had better wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The command's data is not what this handler reads, and never will be: answered (and recorded as)
    /// `rejected` with the code `invalid-data`.
    #[error("the data of the command cannot be read: {0}")]
    Data(String),
    /// The handler is at its wit's end, such as a row that cannot be there: answered `failed` with the
    /// code `internal`.
    #[error("{0}")]
    Internal(String),
}

/// Reads the payload of a command as `T`.
///
/// # Errors
/// [`HandlerError::Data`] says what is wrong with it.
pub fn read_data<T: DeserializeOwned>(command: &Command) -> Result<T, HandlerError> {
    T::deserialize(&*command.data).map_err(|error| HandlerError::Data(error.to_string()))
}
