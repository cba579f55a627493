//! `POST /v1/sagas/{id}/actions`: an operator acts on a saga.

use amends_contract::{Direction, SagaId, StepRef};
use amends_engine::{ActionKind, OperatorAction, PausedBy};
use amends_service::problem::{Json, Path, Problem, ProblemError, Problems};
use axum::extract::State;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::{errors, input, reason};
use super::show::view;
use super::view::SagaView;

/// What is to be done, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    /// `retry-now` (send what is open now, end back-offs, free stuck steps), `skip-wait` (end what only waits:
    /// a back-off, a signal, the start), `cancel` and `compensate` (turn backward), `pause`, `resume`,
    /// `edit-and-retry` (try an effect with other data), `settle-step` (say how an effect ended), `abandon`
    /// (end it without a promise of balance).
    #[schema(value_type = String, example = "retry-now")]
    action: ActionKind,
    /// Stands in the journal, with your key's name.
    reason: String,
    /// Of `edit-and-retry` and `settle-step`: which step; of a `for_each` step one element, as `ship.3`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "charge-payment")]
    step: Option<StepRef>,
    /// Of `edit-and-retry` and `settle-step`: which of the step's effects, `do` or `undo`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "do")]
    effect: Option<Direction>,
    /// Of `edit-and-retry`: the new data of the command.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Of `settle-step`: what the effect gave back; `null` if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
}

/// A field that is there, even if it says `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Action {
    /// What is wanted, and why; refused when a field is missing or one too many.
    fn read(self) -> Result<(OperatorAction, String), Problem> {
        let Self { action, reason, step, effect, data, output } = self;
        reason::require(&reason)?;
        let name = action.name();
        let (of_step, edits, settles) = match action {
            ActionKind::EditAndRetry => (true, true, false),
            ActionKind::SettleStep => (true, false, true),
            _ => (false, false, false),
        };
        let fields = [
            ("#/step", step.is_some(), of_step, of_step),
            ("#/effect", effect.is_some(), of_step, of_step),
            ("#/data", data.is_some(), edits, edits),
            ("#/output", output.is_some(), settles, false),
        ];
        let mut errors = Vec::new();
        for (pointer, is_given, may, must) in fields {
            let detail = match (is_given, may, must) {
                (true, false, _) => format!("{name} does not take it"),
                (false, _, true) => format!("{name} needs it"),
                _ => continue,
            };
            errors.push(ProblemError { pointer: pointer.to_owned(), detail });
        }
        input::refuse(errors)?;
        for (pointer, value) in [("#/data", &data), ("#/output", &output)] {
            value.iter().try_for_each(|value| input::check_data(value, pointer))?;
        }
        let by = PausedBy::Operator;
        let wanted = match (action, step, effect) {
            (ActionKind::EditAndRetry, Some(step), Some(effect)) => {
                OperatorAction::EditAndRetry { step, effect, data: data.unwrap_or_default().into() }
            }
            (ActionKind::SettleStep, Some(step), Some(effect)) => {
                OperatorAction::SettleStep { step, effect, output: output.unwrap_or_default().into() }
            }
            (ActionKind::EditAndRetry | ActionKind::SettleStep, _, _) => {
                unreachable!("what is missing was refused above")
            }
            (ActionKind::RetryNow, _, _) => OperatorAction::RetryNow,
            (ActionKind::SkipWait, _, _) => OperatorAction::SkipWait,
            (ActionKind::Cancel, _, _) => OperatorAction::Cancel,
            (ActionKind::Compensate, _, _) => OperatorAction::Compensate,
            (ActionKind::Pause, _, _) => OperatorAction::Pause { by },
            (ActionKind::Resume, _, _) => OperatorAction::Resume { by },
            (ActionKind::Abandon, _, _) => OperatorAction::Abandon,
        };
        Ok((wanted, reason))
    }
}

/// Acts on a saga.
///
/// Answered when it is committed. What is not legal now is refused with 409, with the reason and what would be
/// legal instead.
#[utoipa::path(post, path = "/v1/sagas/{id}/actions", tag = "sagas", security(("api_key" = ["operate"])),
    params(("id" = String, Path, description = "The saga's id.")), request_body = Action,
    responses((status = 200, description = "The saga after it.", body = SagaView), Problems))]
pub(super) async fn act(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SagaId>,
    Json(action): Json<Action>,
) -> Result<Json<SagaView>, Problem> {
    let (action, reason) = action.read()?;
    let saga = app.core.operate(id, action, caller.actor(), reason).await;
    let saga = saga.map_err(|error| errors::of_operate(&app, &error))?;
    Ok(Json(view(&app, saga)))
}
