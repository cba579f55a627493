//! May a saga begin, and when: `start_at`, and definitions that are paused.
//!
//! Invariant: whatever is refused here is refused only the first time it is asked for; a key that has started
//! a saga gets its stored answer, whatever holds by now.

use amends_contract::Timestamp;
use amends_definition::Definition;
use amends_service::Problem;
use amends_store::DefinitionPause;

use super::app::App;
use crate::core::latest_start;

/// What `Retry-After` says while a definition is paused, in seconds: an operator is at it, so it takes minutes.
const PAUSED_RETRY_AFTER_S: u32 = 30;

/// Why no saga of this definition may begin; `now` is the moment in the saga's id.
pub(super) fn check(
    app: &App,
    definition: &Definition,
    start_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Problem> {
    if let Some(start_at) = start_at {
        check_moment(definition, start_at, now, app.horizon_s)?;
    }
    match app.core.pauses().of(&definition.reference()) {
        Some(pause) => Err(paused(&pause)),
        None => Ok(()),
    }
}

/// It has to be in the future, and the saga has to settle while its participants remember it.
fn check_moment(
    definition: &Definition,
    start_at: Timestamp,
    now: Timestamp,
    horizon_s: u64,
) -> Result<(), Problem> {
    let wrong = |why: String| {
        let problem = Problem::bad_request("invalid-start", "the saga cannot begin at this moment");
        Err(problem.with_error("#/start_at", why))
    };
    if start_at <= now {
        return wrong(format!("{start_at} has passed; leave start_at out to begin at once"));
    }
    let latest = latest_start(definition, now, horizon_s);
    if start_at > latest {
        let deadline = match definition.deadline_ms {
            Some(ms) => format!("the deadline of {} s that {} has, ", ms / 1000, definition.reference()),
            None => String::new(),
        };
        return wrong(format!(
            "the latest moment is {latest}: participants forget a saga {horizon_s} s after it was accepted \
             (orchestrator.horizon_s), less {deadline}and 72 h for settling"
        ));
    }
    Ok(())
}

fn paused(pause: &DefinitionPause) -> Problem {
    let version = pause.version.map(|version| format!(".v{version}")).unwrap_or_default();
    let detail = format!(
        "{}{version} has been paused since {} by {}: {}; nothing was started, try again later",
        pause.name, pause.changed_at, pause.actor, pause.reason
    );
    Problem::unavailable("definition-paused", detail, PAUSED_RETRY_AFTER_S)
}
