//! New epochs, and what an operator says of an effect: first a fence closes what was asked for, then the
//! wish comes true.
//!
//! Invariant: of one effect at most one epoch can still happen. What the participant knows to have happened
//! goes before what an operator says or wants.

use amends_contract::{Direction, Json, Outcome};
use amends_definition::StepKind;
use amends_planted::{Bug, planted};

use crate::draft::Draft;
use crate::{Ask, Decision, FenceWhy, Ignored, ReplyInput, Stuck, StuckWhy, Then, Verdict, turn};

/// Fences an effect, for what an operator wants of it. A later wish takes the place of an earlier one.
pub(crate) fn intend(draft: &mut Draft<'_>, index: usize, effect: Direction, then: Then) -> Verdict {
    let ask = Ask::Fence(match then {
        Then::Retry { .. } => FenceWhy::Epoch,
        Then::Settle { .. } => FenceWhy::Settle,
    });
    if let Some((flight, sent)) = draft.flight(index, effect)
        && flight.ask == ask
        && sent.then.as_ref() == Some(&then)
    {
        return Verdict::Ignored(Ignored::Underway);
    }
    if let Some(planted) = without_fence(draft, index, effect, &then) {
        return planted;
    }
    let step = draft.reference(index);
    draft.decide(Decision::Intended { step, effect, then });
    let attempts = draft.attempts(index, effect);
    draft.send_again(index, effect, ask, attempts);
    Verdict::Applied
}

/// A planted bug: the wish comes true although what was asked for may still happen.
fn without_fence(draft: &mut Draft<'_>, index: usize, effect: Direction, then: &Then) -> Option<Verdict> {
    match then {
        Then::Retry { data } if planted(Bug::EpochWithoutFence) => {
            open(draft, index, effect, data.clone(), false);
        }
        Then::Settle { output } if planted(Bug::SettledWithoutFence) => {
            settle(draft, index, effect, output.clone(), true);
        }
        _ => return None,
    }
    Some(Verdict::Applied)
}

/// The next epoch. One that replaces what was in flight has its place already.
pub(crate) fn open(draft: &mut Draft<'_>, index: usize, effect: Direction, data: Json, queued: bool) {
    let epoch = draft.step(index).effect(effect).map_or(1, |before| before.epoch.saturating_add(1));
    draft.open_effect(index, effect, Some(data), epoch, queued);
}

/// The step counts as settled; `by_hand` if no participant knows of it.
pub(crate) fn settle(draft: &mut Draft<'_>, index: usize, effect: Direction, output: Json, by_hand: bool) {
    let step = draft.reference(index);
    match effect {
        Direction::Forward => {
            draft.decide(Decision::Succeeded { step, output, by_hand });
            resolve(draft, index);
        }
        Direction::Backward => draft.decide(Decision::Undone { step, output, by_hand }),
    }
}

/// A pivot that has happened ends every doubt.
pub(crate) fn resolve(draft: &mut Draft<'_>, index: usize) {
    if draft.saga.doubt.is_some() && draft.kind(index) == StepKind::Pivot {
        draft.decide(Decision::Resolved);
    }
}

/// Does what an operator wants, if there is such a wish and the reply clears the way for it; says whether.
pub(crate) fn close(draft: &mut Draft<'_>, index: usize, reply: &ReplyInput) -> bool {
    let direction = reply.effect.direction;
    let step = draft.step(index);
    let is_open = step.flight(direction).is_some() || step.stuck(direction).is_some();
    let Some(effect) = step.effect(direction).filter(|_| is_open) else { return false };
    let current = effect.send_no == reply.send_no;
    let Some(then) = effect.then.clone() else { return false };
    match (way(reply, current), then) {
        (Some(Way::Closed | Way::Forgotten), Then::Settle { output }) => {
            settle(draft, index, direction, output, true);
        }
        // It happened, and what it gave back cannot be used: the operator's word stands in for that.
        (Some(Way::Garbled), Then::Settle { output }) => settle(draft, index, direction, output, false),
        (Some(Way::Closed), Then::Retry { data }) => open(draft, index, direction, data, false),
        (Some(Way::Forgotten), Then::Retry { .. }) => {
            let detail = "it cannot be tried again: the participant does not remember whether it happened";
            refuse(draft, index, direction, StuckWhy::Expired, detail.to_owned());
        }
        (Some(Way::Garbled), Then::Retry { .. }) => {
            let violation = reply.violation.as_deref().unwrap_or_default();
            let detail =
                format!("it is not tried again, for it happened; its reply breaks its schema: {violation}");
            refuse(draft, index, direction, StuckWhy::Reply, detail);
        }
        (None, _) => return false,
    }
    true
}

/// How a reply clears the way.
enum Way {
    /// The effect did not happen and never will.
    Closed,
    /// Nothing more will happen; whether it did, the participant does not know any more.
    Forgotten,
    /// It happened; the reply breaks its schema.
    Garbled,
}

fn way(reply: &ReplyInput, current: bool) -> Option<Way> {
    match (&reply.outcome, reply.effect.direction, reply.violation.is_some()) {
        (Outcome::Succeeded { .. }, Direction::Forward, true)
        | (Outcome::Undone { .. }, Direction::Backward, true) => Some(Way::Garbled),
        (Outcome::Cancelled | Outcome::Rejected { .. }, _, false) => Some(Way::Closed),
        // Of an earlier sending it may be the answer to a command, which proves nothing.
        (Outcome::Expired, _, false) if current => Some(Way::Forgotten),
        _ => None,
    }
}

/// It may have happened, so it is not tried again with other data.
fn refuse(draft: &mut Draft<'_>, index: usize, effect: Direction, why: StuckWhy, detail: String) {
    turn::drop_intent(draft, index, effect);
    let at = Stuck { why, detail, ask: Ask::Command };
    let step = draft.reference(index);
    draft.decide(Decision::Stuck { step, effect, at });
}
