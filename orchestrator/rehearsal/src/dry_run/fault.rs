//! What goes wrong with one step while the rest goes well.
//!
//! Invariant: each fault passes; what a saga makes of it is the definition's doing, not the fault's.

use std::fmt;

use amends_contract::{Direction, Token};
use amends_definition::{Call, Definition, Step, StepKind, Undo};
use serde::{Serialize, Serializer};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing.
    None,
    /// The participant says no.
    Rejects,
    /// It fails once.
    FailsOnce,
    /// It fails until the attempts are used up.
    FailsLong,
    /// No command reaches it until the attempts are used up.
    Silent,
    /// It is done, but no reply comes back until the attempts are used up.
    Unknown,
    /// It is killed before its commit, and starts again.
    CrashBefore,
    /// It is killed between its commit and its reply, and starts again.
    CrashAfter,
    /// Its first reply is lost.
    LostReply,
    /// Command and reply come twice.
    Duplicate,
    /// Its replies come when nobody waits for them any more.
    LateReply,
    /// The owner cancels while it is on its way.
    Cancelled,
    /// The signal does not come.
    NoSignal,
}

impl Fault {
    const ACTION: [Self; 11] = [
        Self::Rejects,
        Self::FailsOnce,
        Self::FailsLong,
        Self::Silent,
        Self::Unknown,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::LostReply,
        Self::Duplicate,
        Self::LateReply,
        Self::Cancelled,
    ];

    /// The same without what cannot befall an undo.
    const UNDO: [Self; 9] = [
        Self::FailsOnce,
        Self::FailsLong,
        Self::Silent,
        Self::Unknown,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::LostReply,
        Self::Duplicate,
        Self::LateReply,
    ];

    /// In a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "nothing goes wrong",
            Self::Rejects => "is rejected",
            Self::FailsOnce => "fails once",
            Self::FailsLong => "fails until attempts are used up",
            Self::Silent => "times out until attempts are used up",
            Self::Unknown => "is done, but no reply comes back",
            Self::CrashBefore => "is killed before its commit",
            Self::CrashAfter => "is killed after its commit",
            Self::LostReply => "answers, but the reply is lost",
            Self::Duplicate => "gets its command twice and answers twice",
            Self::LateReply => "answers too late",
            Self::Cancelled => "is on its way when the owner cancels",
            Self::NoSignal => "waits for a signal that does not come",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something that can go wrong in a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) fault: Fault,
    /// With what; `None` if nothing goes wrong.
    pub(super) at: Option<(Token, Direction)>,
    /// What makes the saga turn backward, where that is needed to come there.
    pub(super) trigger: Option<(Token, Fault)>,
}

impl Case {
    pub(super) const WELL: Self = Self { fault: Fault::None, at: None, trigger: None };

    /// What goes wrong with this effect.
    pub(super) fn fault_of(&self, step: &Token, direction: Direction) -> Fault {
        match (&self.at, &self.trigger) {
            (Some((name, at)), _) if name == step && *at == direction => self.fault,
            (_, Some((name, fault))) if name == step && direction == Direction::Forward => *fault,
            _ => Fault::None,
        }
    }

    /// As it stands in the table: `charge-payment` or `charge-payment/undo`.
    pub(super) fn what(&self) -> String {
        match &self.at {
            None => String::new(),
            Some((step, Direction::Forward)) => step.to_string(),
            Some((step, Direction::Backward)) => format!("{step}/undo"),
        }
    }
}

/// All that can go wrong, one thing at a time, in the order of the file.
pub(super) fn cases(definition: &Definition) -> Vec<Case> {
    let mut cases = vec![Case::WELL];
    for (index, step) in definition.steps.iter().enumerate() {
        cases.extend(of_action(step, None));
        if matches!(step.undo, Some(Undo::Call { .. })) {
            let trigger = turned_behind(definition, index);
            let at = || Some((step.name.clone(), Direction::Backward));
            cases.extend(Fault::UNDO.map(|fault| Case { fault, at: at(), trigger: Some(trigger.clone()) }));
        }
    }
    let trigger = definition.steps.iter().find(|step| may_reject(step));
    if let Some(trigger) = trigger {
        for step in &definition.on_compensated {
            let cancels = |case: &Case| case.fault != Fault::Cancelled;
            cases.extend(of_action(step, Some(trigger)).into_iter().filter(cancels));
        }
    }
    cases
}

fn of_action(step: &Step, trigger: Option<&Step>) -> Vec<Case> {
    let trigger = trigger.map(|step| (step.name.clone(), Fault::Rejects));
    let case =
        |fault| Case { fault, at: Some((step.name.clone(), Direction::Forward)), trigger: trigger.clone() };
    match step.call {
        Call::Await(_) => [Fault::NoSignal, Fault::Cancelled].map(case).into(),
        Call::Command(_) | Call::Saga(_) => Fault::ACTION.map(case).into(),
    }
}

/// What turns the saga backward once the step has succeeded: a later step says no; if there is none, the
/// step itself does not answer until it is given up.
fn turned_behind(definition: &Definition, index: usize) -> (Token, Fault) {
    let mut behind = vec![index];
    for (later, step) in definition.steps.iter().enumerate().skip(index + 1) {
        if step.after.iter().any(|before| behind.contains(before)) {
            behind.push(later);
        }
    }
    let later = behind[1..].iter().map(|later| &definition.steps[*later]);
    match later.rev().find(|step| may_reject(step)) {
        Some(step) => (step.name.clone(), Fault::Rejects),
        None => (definition.steps[index].name.clone(), Fault::Unknown),
    }
}

fn may_reject(step: &Step) -> bool {
    step.kind != StepKind::Retriable && step.when.is_none() && !matches!(step.call, Call::Await(_))
}
