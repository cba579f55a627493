//! Decides one input of one saga. Pure: what is to be written, sent and answered comes out as data.

use std::sync::Arc;

use amends_contract::{Command, DeadReason, Event, Timestamp};
use amends_definition::Definition;
use amends_engine::{Begin, Error, Input, Output, Saga, Transition, Verdict};
use amends_planted::{Bug, planted};
use amends_store::Write;

use super::schemas::checked;
use super::work::{Task, Work};
use super::{CoreError, OperateError, Started};

/// What is to be done about one [`Work`].
pub(crate) enum Decided {
    /// Commit, then send; the work is kept for its answer, or to be tried again.
    Write { work: Work, write: Box<Write>, commands: Vec<Command> },
    /// Nothing changes; perhaps the open commands are sent again. Then the work is finished.
    Nothing { work: Work, saga: Option<Arc<Saga>>, commands: Vec<Command> },
    /// The caller is told no.
    Refused { work: Work, why: OperateError },
    /// A reply that belongs nowhere.
    Unroutable { work: Work, reason: DeadReason },
    /// It cannot be decided here and now, but perhaps soon or by another process.
    Later { work: Work },
    /// A start that cannot be.
    Unstartable { work: Work, error: CoreError },
}

impl Decided {
    /// What it was decided about.
    pub(crate) fn into_work(self) -> Work {
        match self {
            Self::Write { work, .. }
            | Self::Nothing { work, .. }
            | Self::Refused { work, .. }
            | Self::Unroutable { work, .. }
            | Self::Later { work }
            | Self::Unstartable { work, .. } => work,
        }
    }
}

/// Decides. `saga` is its newest committed state, `definition` the one it is pinned to.
pub(crate) fn decide(
    work: Work,
    saga: Option<Saga>,
    definition: Option<&Arc<Definition>>,
    now: Timestamp,
) -> Decided {
    match (saga, definition, &work.task) {
        (None, _, Task::Start(task)) => {
            // The input may be needed again if the commit fails.
            let started = amends_engine::start(work.saga, &task.definition, Begin::clone(&task.begin), now);
            match started {
                Ok(transition) => write(work, transition, 0),
                Err(error) => Decided::Unstartable { work, error: CoreError::Engine(error.to_string()) },
            }
        }
        // An earlier try of this very start was committed without our hearing of it.
        (Some(saga), Some(definition), Task::Start(_)) => {
            let commands = amends_engine::open_commands(&saga, definition);
            Decided::Nothing { work, saga: Some(Arc::new(saga)), commands }
        }
        (None, _, Task::Operate { .. }) => Decided::Refused { work, why: OperateError::NotFound },
        (None, _, Task::Reply { reply, .. }) => {
            let reason = DeadReason {
                code: "unknown-saga".to_owned(),
                message: format!("there is no saga {} (any more)", reply.effect.saga),
            };
            Decided::Unroutable { work, reason }
        }
        (None, _, Task::Timer(_) | Task::Child(_)) => {
            Decided::Nothing { work, saga: None, commands: Vec::new() }
        }
        (Some(saga), Some(definition), _) => decide_input(work, saga, definition, now),
        (Some(saga), None, _) => without_definition(work, &saga),
    }
}

fn decide_input(work: Work, saga: Saga, definition: &Definition, now: Timestamp) -> Decided {
    let Some(input) = input_of(&work, definition) else {
        return Decided::Nothing { work, saga: Some(Arc::new(saga)), commands: Vec::new() };
    };
    let expected_version = saga.version;
    match amends_engine::handle(saga, input, now, definition) {
        Ok(Transition { verdict: Verdict::Ignored(_), saga, .. }) => {
            // Only a redelivery means that we may have died before publishing; a duplicate that was
            // sent twice must not echo through the whole saga.
            let again = match &work.task {
                Task::Reply { receipt, .. } => {
                    work.uncertain || receipt.redelivered() || planted(Bug::EchoesDuplicates)
                }
                Task::Operate { .. } | Task::Start(_) => work.uncertain,
                Task::Timer(_) | Task::Child(_) => false,
            };
            let commands = if again { amends_engine::open_commands(&saga, definition) } else { Vec::new() };
            Decided::Nothing { work, saga: Some(Arc::new(saga)), commands }
        }
        Ok(transition) => write(work, transition, expected_version),
        Err(Error::Refused { why, allowed, .. }) => {
            Decided::Refused { work, why: OperateError::Refused { why, allowed } }
        }
        Err(error) => poison(work, error.to_string()),
    }
}

fn input_of(work: &Work, definition: &Definition) -> Option<Input> {
    match &work.task {
        Task::Start(_) => None,
        Task::Reply { reply, .. } => Some(Input::Reply(checked(reply.as_ref().into(), definition))),
        Task::Child(reply) => Some(Input::Reply(checked(reply.as_ref().clone(), definition))),
        Task::Timer(due) if due.released => Some(Input::Release { down: due.conditions.down.clone() }),
        Task::Timer(due) => {
            let (blind, down) = (due.conditions.blind, due.conditions.down.clone());
            Some(Input::Timer { blind, down, slots: due.slots.clone() })
        }
        Task::Operate { input, .. } => Some(input.as_ref().clone()),
    }
}

fn write(mut work: Work, transition: Transition, expected_version: u64) -> Decided {
    let Transition { saga, entry, outputs, .. } = transition;
    let mut commands = Vec::new();
    let mut events: Vec<Event> = Vec::new();
    for output in outputs {
        match output {
            Output::Send(command) => commands.push(command),
            Output::Emit(event) => events.push(event),
        }
    }
    let idempotency = match &mut work.task {
        Task::Start(task) => task.idempotency.clone(),
        _ => None,
    };
    let write = Box::new(Write { saga, expected_version, entry, events, idempotency });
    Decided::Write { work, write, commands }
}

/// What becomes of an input that the engine or the database cannot take at all.
pub(crate) fn poison(work: Work, message: String) -> Decided {
    match &work.task {
        Task::Reply { .. } => {
            let reason = DeadReason { code: "poison".to_owned(), message };
            Decided::Unroutable { work, reason }
        }
        Task::Start(_) => Decided::Unstartable { work, error: CoreError::Engine(message) },
        Task::Operate { .. } => Decided::Refused { work, why: OperateError::Failed(message) },
        Task::Timer(_) | Task::Child(_) => {
            // A timer's lease runs on, so that it does not come back at once.
            tracing::error!(saga = %work.saga, message, "an input of our own could not be handled");
            Decided::Nothing { work, saga: None, commands: Vec::new() }
        }
    }
}

/// The saga stays as it is: whoever knows its definition goes on with it.
fn without_definition(work: Work, saga: &Saga) -> Decided {
    match &work.task {
        Task::Reply { .. } | Task::Timer(_) | Task::Child(_) => Decided::Later { work },
        Task::Operate { .. } => {
            Decided::Refused { work, why: OperateError::UnknownDefinition(saga.definition.clone()) }
        }
        Task::Start(_) => {
            let message = format!("the definition {} of saga {} is not known", saga.definition, saga.id);
            poison(work, message)
        }
    }
}

/// The answer to a start that is committed.
pub(crate) const fn started(saga: Arc<Saga>) -> Started {
    Started::Started(saga)
}
