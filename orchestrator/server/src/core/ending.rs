//! How an input ends: whoever brought it is told, and what came from the broker is acknowledged or comes again.
//!
//! Invariant: a reply that is acknowledged has been published about or set aside, or the timers will ask for it again.

use std::sync::Arc;

use amends_engine::Saga;
use metrics::counter;

use super::dead_letters::Dead;
use super::decide::{Decided, started};
use super::publish::Publication;
use super::work::{Task, Work};
use super::{CoreError, OperateError};

/// Milliseconds after which a reply comes again that cannot be decided for want of its definition.
const LATER_MS: u64 = 5_000;
/// So often: about a minute. Whoever knows the definition by then has had its chance; after that the timers
/// ask for the reply again, for what the broker keeps waiting counts against all that it may deliver.
const LATER_DELIVERIES_MAX: u64 = 12;

/// An input that lost too often. Replies come again from the broker, timers from the database.
pub(super) fn give_up(work: Work) -> Option<Work> {
    match work.task {
        Task::Start(task) => drop(task.answer.send(Err(CoreError::Unavailable))),
        Task::Operate { answer, .. } => drop(answer.send(Err(OperateError::Unavailable))),
        Task::Reply { receipt, .. } => receipt.again_after(1_000),
        Task::Timer(_) | Task::Child(_) => {}
    }
    None
}

/// Tells whoever waits that the input is dealt with.
pub(super) fn succeed(task: Task, saga: Arc<Saga>, publication: &mut Publication) {
    match task {
        Task::Reply { receipt, .. } => publication.receipts.push(receipt),
        Task::Timer(_) | Task::Child(_) => {}
        Task::Start(task) => drop(task.answer.send(Ok(started(saga)))),
        Task::Operate { answer, .. } => drop(answer.send(Ok(Arc::unwrap_or_clone(saga)))),
    }
}

/// The same where there is no saga (any more).
fn missed(task: Task, publication: &mut Publication) {
    match task {
        Task::Reply { receipt, .. } => publication.receipts.push(receipt),
        Task::Timer(_) | Task::Child(_) | Task::Start(_) => {}
        Task::Operate { answer, .. } => drop(answer.send(Err(OperateError::NotFound))),
    }
}

/// Finishes what needs no commit.
pub(super) fn finish(decided: Decided, publication: &mut Publication, dead: &mut Vec<Dead>) {
    match decided {
        Decided::Write { .. } => unreachable!("a write is committed, not finished"),
        Decided::Nothing { work, saga, commands } => {
            counter!("amends_inputs_ignored_total").increment(1);
            publication.commands.extend(commands);
            if let Some(saga) = saga {
                succeed(work.task, saga, publication);
            } else {
                missed(work.task, publication);
            }
        }
        Decided::Refused { work, why } => {
            if let Task::Operate { answer, .. } = work.task {
                let _ = answer.send(Err(why));
            }
        }
        Decided::Unroutable { work, reason } => {
            if let Task::Reply { receipt, part, .. } = work.task {
                dead.push(Dead { receipt, part, reason });
            }
        }
        Decided::Later { work } => {
            counter!("amends_inputs_definition_unknown_total").increment(1);
            // A timer comes again when its lease is over.
            match work.task {
                Task::Reply { receipt, .. } if receipt.delivery().delivered < LATER_DELIVERIES_MAX => {
                    receipt.again_after(LATER_MS);
                }
                Task::Reply { receipt, .. } => receipt.done(),
                _ => {}
            }
        }
        Decided::Unstartable { work, error } => {
            if let Task::Start(task) = work.task {
                let _ = task.answer.send(Err(error));
            }
        }
    }
}
