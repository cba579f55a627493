//! The input "a signal came".
//!
//! Invariant: a signal counts once, whether it comes before, while or after its step awaits it; a second one
//! that says something else is refused, never lost in silence.

use amends_contract::{Json, Token};

use crate::draft::Draft;
use crate::{ActionState, Decision, Error, Ignored, Phase, Verdict};

/// Takes a signal.
pub(crate) fn signal(draft: &mut Draft<'_>, name: &Token, data: &Json) -> Result<Verdict, Error> {
    let awaits = |index: &usize| draft.model(*index).call.as_await().is_some_and(|wait| wait.signal == *name);
    let Some(index) = (0..draft.saga.steps.len()).find(awaits) else {
        let known: Vec<String> = draft.definition.signals().map(ToString::to_string).collect();
        let why = match known.as_slice() {
            [] => format!("{} awaits no signal", draft.saga.definition),
            known => format!("{} awaits no signal {name}, only {}", draft.saga.definition, known.join(", ")),
        };
        return refused(why);
    };
    match (&draft.step(index).action, draft.saga.signals.get(name)) {
        (ActionState::Awaiting(_), _) => {
            let (step, output) = (draft.reference(index), data.clone());
            draft.decide(Decision::Succeeded { step, output, by_hand: false });
            Ok(Verdict::Applied)
        }
        (ActionState::Waiting, None) if is_coming(draft, index) => {
            draft.decide(Decision::Signalled { name: name.clone(), data: data.clone() });
            Ok(Verdict::Applied)
        }
        (ActionState::Succeeded { output, .. }, _) if output == data => {
            Ok(Verdict::Ignored(Ignored::Duplicate))
        }
        (ActionState::Waiting, Some(known)) if known == data => Ok(Verdict::Ignored(Ignored::Duplicate)),
        (ActionState::Succeeded { .. }, _) | (ActionState::Waiting, Some(_)) => {
            refused(format!("the signal {name} has come already, and said something else"))
        }
        _ => refused(format!("nobody awaits the signal {name} any more")),
    }
}

/// Whether the step's turn can still come.
fn is_coming(draft: &Draft<'_>, index: usize) -> bool {
    match draft.saga.phase {
        Phase::Forward => true,
        Phase::Backward => index >= draft.definition.steps.len(),
        Phase::Done(_) => false,
    }
}

const fn refused(why: String) -> Result<Verdict, Error> {
    Err(Error::Refused { why, allowed: Vec::new() })
}
