//! Columns of a saga's row that say something else than its state: the row was changed by another hand.

use amends_engine::Saga;

use crate::entity::saga::Model;
use crate::text::indexed;

/// The names of the columns that do not say what the saga says.
pub(crate) fn of(model: &Model, saga: &Saga) -> Vec<&'static str> {
    let flags = saga.flags();
    let failure = saga.failure.as_ref();
    let failure_step = failure.and_then(|failure| failure.step.as_ref()).map(|step| step.as_str());
    [
        ("definition_name", saga.definition.name == *model.definition_name),
        ("definition_version", i64::from(saga.definition.version) == model.definition_version),
        ("digest", saga.digest.to_string() == model.digest),
        ("status", saga.status().as_str() == model.status),
        ("needs_attention", flags.needs_attention == model.needs_attention),
        ("awaiting", flags.awaiting == model.awaiting),
        ("held", flags.held == model.held),
        ("overdue", flags.overdue == model.overdue),
        ("paused", flags.paused == model.paused),
        ("alarm", flags.alarm == model.alarm),
        ("failure_code", failure.map(|failure| indexed(&failure.code)) == model.failure_code),
        ("failure_step", failure_step == model.failure_step.as_deref()),
        ("started_at_ms", saga.started_at.unix_ms() == model.started_at_ms),
        ("updated_at_ms", saga.updated_at.unix_ms() == model.updated_at_ms),
        ("due_at_ms", saga.due_at().map(|at| at.unix_ms()) == model.due_at_ms),
    ]
    .into_iter()
    .filter_map(|(name, same)| (!same).then_some(name))
    .collect()
}
