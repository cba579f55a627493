//! What a command to the participant `orchestrator` asks for, given the sagas that are there. Pure.
//!
//! The participant's rules are those of every participant (`amends-inbox`); the rows of the children are
//! its inbox.
//!
//! Invariant: a saga is started for an effect only while its parent asks for that effect, and never beside
//! a tombstone: both have the same id.

use std::sync::Arc;

use amends_contract::{Address, Command, Direction, EffectId, Outcome, SagaId, Timestamp, Token};
use amends_definition::{Call, ChildSaga, Definition, Step, Undo};
use amends_engine::{Ending, Phase, Saga, StepState};
use amends_inbox::{Decision, Known, State};

use super::answer::Answer;
use crate::core::{Definitions, Loaded};

/// The code of a command that names a saga nobody knows (yet).
pub(super) const UNKNOWN_DEFINITION: &str = "unknown-definition";

/// A command, and what is asked of whom.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) command: Command,
    /// The saga that the effect is, or would be.
    pub(super) own: Child,
    /// Of an undo: the saga that the action is, or would have been.
    pub(super) action: Option<Child>,
    /// The parent knows that its action has happened.
    action_happened: bool,
}

/// A saga that is a step of another one.
#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) id: SagaId,
    pub(super) effect: EffectId,
    decided_at: Timestamp,
    call: ChildSaga,
}

/// What is to be done about a command.
pub(super) enum Act {
    /// Say so.
    Answer(Answer),
    /// Start the saga that the effect is.
    Start(Box<Loaded>),
    /// See to it that the saga of the effect, or of its action, never is.
    Tombstone(Whose, Arc<Definition>),
    /// Turn the running saga of the action backward.
    Cancel,
}

/// Which of the two sagas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Own,
    Action,
}

impl Asked {
    /// `None` when the parent does not ask for this any more, or its definition never did.
    pub(super) fn new(command: Command, parent: &Saga, definition: &Definition) -> Option<Self> {
        let effect = &command.effect;
        let step = definition.step(&effect.step.name)?;
        let state = parent.instance(&effect.step)?;
        // A fence closes what nobody waits for, too.
        if !command.is_fence() {
            state.flight(effect.direction)?;
        }
        let child = |effect: &EffectId| Child::new(effect, step, state);
        let own = child(effect)?;
        let action = match &command.undoes {
            Some(action) => Some(child(action)?),
            None => None,
        };
        let action_happened = state.output().is_some();
        Some(Self { own, action, action_happened, command })
    }

    /// Decides. `own` and `action` are the sagas as they are now, if they are there.
    pub(super) fn decide(
        &self,
        own: Option<&Saga>,
        action: Option<&Saga>,
        definitions: &Definitions,
        now: Timestamp,
    ) -> Act {
        let direction = self.command.effect.direction;
        if let (None, Some(action)) = (own, action)
            && action.phase == Phase::Done(Ending::Abandoned)
        {
            return Act::Answer(Answer::abandoned(action));
        }
        let known = |saga: &Saga, child: &Child| known(saga, child, &self.command);
        let own_known = own.map(|saga| known(saga, &self.own));
        let action_known = action.zip(self.action.as_ref()).map(|(saga, child)| known(saga, child));
        let expired = own.is_none() && self.is_forgotten(action.is_none(), definitions, now);
        match amends_inbox::decide(&self.command, own_known.as_ref(), action_known.as_ref(), expired) {
            Decision::Repeat | Decision::Pending | Decision::Cancelled => Act::Answer(match own {
                Some(own) => Answer::of(own, direction),
                None => Outcome::Pending.into(),
            }),
            Decision::Conflict => Act::Answer(Outcome::Conflict.into()),
            Decision::Expired => Act::Answer(Outcome::Expired.into()),
            Decision::Run => self.start(definitions),
            Decision::NothingToUndo { tombstone: false } => Act::Answer(Outcome::NothingToUndo.into()),
            Decision::NothingToUndo { tombstone: true } => {
                tombstone(Whose::Action, self.action.as_ref().unwrap_or(&self.own), definitions)
            }
            Decision::Void => Act::Cancel,
            Decision::Close => tombstone(Whose::Own, &self.own, definitions),
        }
    }

    fn start(&self, definitions: &Definitions) -> Act {
        let Some(loaded) = self.own.definition(definitions) else { return unknown() };
        let Some(why) = Loaded::complaint(loaded.validator.as_deref(), &self.command.data) else {
            return Act::Start(Box::new(loaded));
        };
        let message = format!("{} does not take this input: {}", loaded.definition.reference(), why);
        Act::Answer(Outcome::Rejected { code: "invalid-input".to_owned(), message }.into())
    }

    /// Whether the saga of the effect, or of its action, may have been there and be deleted by now: then
    /// nothing may be started in its place.
    fn is_forgotten(&self, action_is_missing: bool, definitions: &Definitions, now: Timestamp) -> bool {
        let forgotten = |child: &Child| {
            let retention_ms = child.retention_ms(definitions);
            retention_ms.is_some_and(|retention_ms| now.ms_since(child.decided_at) > retention_ms)
        };
        let action = self.action.as_ref().filter(|_| action_is_missing);
        forgotten(&self.own) || action.is_some_and(|action| self.action_happened || forgotten(action))
    }
}

impl Child {
    fn new(effect: &EffectId, step: &Step, state: &StepState) -> Option<Self> {
        let decided = state.effect(effect.direction).filter(|decided| decided.epoch == effect.epoch)?;
        let call = match (effect.direction, &step.call, &step.undo) {
            (Direction::Forward, Call::Saga(child), _)
            | (Direction::Backward, _, Some(Undo::Call { call: Call::Saga(child), .. })) => child.clone(),
            _ => return None,
        };
        let (id, decided_at) = (SagaId::derived(effect, decided.decided_at), decided.decided_at);
        Some(Self { id, effect: effect.clone(), decided_at, call })
    }

    fn name(&self) -> &Token {
        &self.call.address.command
    }

    fn definition(&self, definitions: &Definitions) -> Option<Loaded> {
        match self.call.version {
            Some(version) => {
                let name = self.name().clone();
                definitions.version(&amends_contract::DefinitionRef { name, version })
            }
            None => definitions.latest(self.name()),
        }
    }

    /// The shortest of all its versions, since it may have been started with an older one.
    fn retention_ms(&self, definitions: &Definitions) -> Option<u64> {
        let versions = definitions.all().into_iter().map(|loaded| loaded.definition);
        versions
            .filter(|definition| definition.name == *self.name())
            .map(|definition| definition.retention_ms)
            .min()
    }
}

fn tombstone(whose: Whose, child: &Child, definitions: &Definitions) -> Act {
    match child.definition(definitions) {
        Some(loaded) => Act::Tombstone(whose, loaded.definition),
        None => unknown(),
    }
}

/// It may be deployed any moment; until then the step tries, and shows the code.
fn unknown() -> Act {
    Act::Answer(Outcome::Failed { code: UNKNOWN_DEFINITION.to_owned(), retry_after_ms: None }.into())
}

fn known(saga: &Saga, child: &Child, command: &Command) -> Known {
    let state = match saga.phase {
        Phase::Forward | Phase::Backward => State::Open,
        Phase::Done(_) if saga.is_tombstone() => State::Tombstone,
        Phase::Done(_) => State::Final,
    };
    let participant = child.call.address.participant.clone();
    let address = Address { participant, command: saga.definition.name.clone() };
    let meaning = Command { address, data: saga.input.clone(), ..command.clone() }.meaning();
    Known {
        state,
        meaning: Some(meaning),
        succeeded: saga.phase == Phase::Done(Ending::Completed),
        waiting: false,
    }
}
