//! What the journal alone shows: order (I2, I6, I7), contradictions (I8), operators (I11), storms (L5).

use crate::case::Case;
use crate::{Invariant, Report};

pub(crate) fn check(case: &Case<'_>, report: &mut Report) {
    for breach in &case.journey.breaches {
        let look = format!("entry {} of its journal: amends saga show {}", breach.seq, case.saga.id);
        case.find(report, breach.invariant, breach.what.clone(), &look);
    }
    for (effect, story) in &case.journey.effects {
        let open_s = story.last_sent_at.ms_since(story.decided_at) / 1_000;
        let explained = case.scene.expectations.sends_factor.saturating_add(open_s);
        if story.sends > explained {
            let what = format!("{effect} was sent {} times within {open_s} s", story.sends);
            case.find(report, Invariant::L5, what, "its journal, and the participant's log");
        }
    }
}
