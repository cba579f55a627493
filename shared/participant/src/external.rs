//! What a service writes for an effect outside its database: a payment, a mail.
//!
//! Such an effect cannot share the transaction. The intent is committed first (an `open` inbox row), then
//! the call is made with the effect id as idempotency key, then its outcome is recorded if nobody was
//! faster. Invariant: a row that is open is driven to its outcome whether or not anyone asks again.

use amends_contract::{Command, EffectId, Outcome};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{HandlerError, Undone, Work};

/// Does one kind of command, or undoes it, by calling something outside the database.
///
/// Which outcomes are legal is as for a [`Handler`](crate::Handler).
#[async_trait]
pub trait External: Send + Sync + 'static {
    /// Checks the command and notes the intent, in the transaction that inserts the `open` inbox row. It
    /// runs again if the call then definitely did not happen ([`Outcome::Failed`]) and the command is
    /// sent again, so rows of its own must bear that (insert or update).
    ///
    /// What it wrote is rolled back when it answers a final rejection, as a handler's is.
    ///
    /// # Errors
    /// As of a handler.
    async fn prepare(&self, work: &mut Work<'_>, command: &Command) -> Result<Prepared, HandlerError>;

    /// Makes the call for the first time. No transaction is open. It must end by itself; the SDK gives up
    /// on it after `call_timeout_ms` and takes the outcome as unknown.
    ///
    /// Send `intent.effect` as idempotency key.
    async fn call(&self, intent: &Intent) -> CallOutcome;

    /// Finds out about a call that may have happened: after an unknown outcome, or a crash. The default
    /// calls again under the same key; override it where nothing honours keys, such as mail.
    async fn recover(&self, intent: &Intent) -> CallOutcome {
        self.call(intent).await
    }

    /// Writes the service's own rows, in the transaction that makes the outcome final. Nothing is rolled
    /// back for a rejection here. It is also told of [`Outcome::Failed`], when the call definitely did not
    /// happen and the inbox forgets it.
    ///
    /// # Errors
    /// The row then stays open, and the call is repeated later under the same key.
    async fn record(
        &self,
        work: &mut Work<'_>,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<(), HandlerError>;
}

/// What [`External::prepare`] decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Prepared {
    /// Make the call; the value is kept with the row and handed to it as [`Intent::data`].
    Call(Value),
    /// No call is needed.
    Final(Outcome),
}

/// A call that is to be made, or may have been made.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Idempotency key of the call.
    pub effect: EffectId,
    /// The command that asked for it.
    pub command: Command,
    /// What [`External::prepare`] kept.
    pub data: Value,
    /// On an undo: the action it undoes, which has succeeded.
    pub undone: Option<Undone>,
    /// How many calls may have been made, this one included; from 1.
    pub calls: u32,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CallOutcome {
    /// It is known what happened. A final outcome is recorded. [`Outcome::Failed`] says that this call
    /// definitely did nothing (such as a refused connection): if no earlier one may have, the inbox
    /// forgets the intent and `failed` is answered; else it counts as unknown.
    Definite(Outcome),
    /// It may or may not have happened. Never answered as a failure: `pending`, and
    /// [`External::recover`] later.
    Unknown {
        /// Stable and machine-readable, for log and metrics, such as `timeout`.
        code: String,
        /// How long to wait before finding out, in milliseconds; else a growing back-off.
        retry_after_ms: Option<u64>,
    },
}

/// How the inbox keeps an intent: all of it but the number of calls, which has a column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptIntent {
    pub(crate) data: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undone: Option<Undone>,
}
