//! Calling domain code, and making something of what it answers.
//!
//! Invariant: nothing that domain code does (a panic, an illegal answer, one that cannot be sent) gets
//! past this file as anything else than an answer.

use std::{any::Any, panic::AssertUnwindSafe};

use amends_contract::{Cause, Command, Direction, Event, Outcome, Timestamp, Token};
use futures::FutureExt;
use sea_orm::DatabaseTransaction;

use crate::{
    BulkHandler, External, Handler, HandlerError, Intent, Prepared, Undone, Work,
    core::Core,
    reply::{self, Unsendable},
};

/// What domain code is called with.
pub(crate) struct Scope<'a> {
    pub(crate) core: &'a Core,
    pub(crate) db: &'a DatabaseTransaction,
    pub(crate) now: Timestamp,
    pub(crate) command: &'a Command,
    pub(crate) undone: Option<&'a Undone>,
}

impl Scope<'_> {
    pub(crate) async fn handle(&self, handler: &dyn Handler) -> (Result<Outcome, HandlerError>, Vec<Event>) {
        let mut work = self.work();
        let result = AssertUnwindSafe(handler.handle(&mut work, self.command)).catch_unwind().await;
        (result.unwrap_or_else(|panic| Err(panicked(&*panic))), work.into_events())
    }

    /// A bulk handler's answer to this command alone.
    pub(crate) async fn handle_alone(
        &self,
        handler: &dyn BulkHandler,
    ) -> (Result<Outcome, HandlerError>, Vec<Event>) {
        let (result, mut events) = handle_many(handler, vec![self.work()]).await;
        let result = result.and_then(|mut outcomes| {
            outcomes.pop().ok_or_else(|| HandlerError::Internal("it gave no outcome".to_owned()))
        });
        (result, events.pop().unwrap_or_default())
    }

    pub(crate) async fn prepare(
        &self,
        external: &dyn External,
    ) -> (Result<Prepared, HandlerError>, Vec<Event>) {
        let mut work = self.work();
        let result = AssertUnwindSafe(external.prepare(&mut work, self.command)).catch_unwind().await;
        (result.unwrap_or_else(|panic| Err(panicked(&*panic))), work.into_events())
    }

    pub(crate) async fn record(
        &self,
        external: &dyn External,
        intent: &Intent,
        outcome: &Outcome,
    ) -> (Result<(), HandlerError>, Vec<Event>) {
        let mut work = self.work();
        let result = AssertUnwindSafe(external.record(&mut work, intent, outcome)).catch_unwind().await;
        (result.unwrap_or_else(|panic| Err(panicked(&*panic))), work.into_events())
    }

    fn work(&self) -> Work<'_> {
        Work::new(self.db, self.now, &self.core.name, self.command, self.undone)
    }
}

/// A bulk handler's outcomes, and the events of each work, in their order.
///
/// # Errors
/// Also when it panicked, or gave more or fewer outcomes than there are works.
pub(crate) async fn handle_many(
    handler: &dyn BulkHandler,
    mut works: Vec<Work<'_>>,
) -> (Result<Vec<Outcome>, HandlerError>, Vec<Vec<Event>>) {
    let result = AssertUnwindSafe(handler.handle(&mut works)).catch_unwind().await;
    let result = result.unwrap_or_else(|panic| Err(panicked(&*panic))).and_then(|outcomes| {
        if outcomes.len() == works.len() {
            return Ok(outcomes);
        }
        let (given, wanted) = (outcomes.len(), works.len());
        Err(HandlerError::Internal(format!("it gave {given} outcomes for {wanted} commands")))
    });
    (result, works.into_iter().map(Work::into_events).collect())
}

/// A panic as an error.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HandlerError::Internal(format!("it panicked: {}", text.unwrap_or("without a word")))
}

/// What an answer of domain code comes to.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// To be recorded.
    Final {
        outcome: Outcome,
        /// The reply's bytes.
        body: Vec<u8>,
    },
    /// Not to be recorded.
    NotYet {
        /// What to answer.
        outcome: Outcome,
        /// For the log.
        why: HandlerError,
    },
}

/// Judges an answer to `command`.
pub(crate) fn judge(
    name: &Token,
    command: &Command,
    cause: Option<Cause>,
    result: Result<Outcome, HandlerError>,
) -> Verdict {
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => match reply::of_error(&error) {
            outcome if outcome.is_final() => outcome,
            outcome => return Verdict::NotYet { outcome, why: error },
        },
    };
    let direction = command.effect.direction;
    if !reply::is_legal(direction, &outcome) {
        let name = outcome.name();
        let why = HandlerError::Internal(format!("{} answered {name}, which it may not", command.address));
        return Verdict::NotYet { outcome: reply::of_error(&why), why };
    }
    if let Outcome::Failed { code, retry_after_ms } = outcome {
        let code = reply::clean(&code);
        let why = HandlerError::Internal(format!("it answered that it failed: {code}"));
        return Verdict::NotYet { outcome: Outcome::Failed { code, retry_after_ms }, why };
    }
    match reply::encode(name, command, cause, &outcome) {
        Ok(body) => Verdict::Final { outcome, body },
        Err(unsendable) => instead(name, command, cause, &unsendable),
    }
}

/// Domain code in our own database can still be undone: it is rejected with the reason.
fn instead(name: &Token, command: &Command, cause: Option<Cause>, unsendable: &Unsendable) -> Verdict {
    tracing::error!(effect = %command.effect, %unsendable, "an outcome cannot be sent");
    let outcome = Outcome::Rejected { code: unsendable.code().to_owned(), message: unsendable.to_string() };
    let body = reply::encode_plain(name, command, cause, &outcome);
    Verdict::Final { outcome, body }
}

/// Judges the outcome of a call outside, which has happened whatever we think of it: an output that cannot
/// be sent is left out, and an illegal outcome counts as unknown.
pub(crate) fn judge_call(
    name: &Token,
    command: &Command,
    cause: Option<Cause>,
    outcome: Outcome,
) -> Option<(Outcome, Vec<u8>)> {
    if !outcome.is_final() || !reply::is_legal(command.effect.direction, &outcome) {
        tracing::error!(effect = %command.effect, outcome = outcome.name(), "not an outcome of a call");
        return None;
    }
    let unsendable = match reply::encode(name, command, cause, &outcome) {
        Ok(body) => return Some((outcome, body)),
        Err(unsendable) => unsendable,
    };
    tracing::error!(effect = %command.effect, %unsendable, "the output of a call is left out");
    let output = serde_json::json!({ "left_out": unsendable.code() });
    let outcome = match (outcome, command.effect.direction) {
        (Outcome::Rejected { .. }, _) => {
            Outcome::Rejected { code: unsendable.code().to_owned(), message: unsendable.to_string() }
        }
        (_, Direction::Forward) => Outcome::Succeeded { output: output.into() },
        (_, Direction::Backward) => Outcome::Undone { output: output.into() },
    };
    let body = reply::encode_plain(name, command, cause, &outcome);
    Some((outcome, body))
}
