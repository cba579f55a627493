//! One saga with all that is said about it: what the checks look at.
//!
//! Invariant: pure data; a check reads it and writes findings, and asks nobody.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{Direction, EffectId, SagaId, StepRef, Timestamp, Token};
use amends_definition::Definition;
use amends_engine::{Ending, Phase, Saga};

use crate::commands::Meaning;
use crate::journey::{Journey, Standing};
use crate::records::{InboxRow, Records};
use crate::{Expectations, Invariant, Report};

/// What holds for all sagas of one look.
pub(crate) struct Scene<'a> {
    pub(crate) expectations: &'a Expectations,
    /// The orchestrator's clock, read before its rows.
    pub(crate) now: Timestamp,
    /// The clocks of the participants whose inboxes are looked at, read before those.
    pub(crate) clocks: BTreeMap<Token, Timestamp>,
    pub(crate) has: Has,
}

/// Whose own books are open.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is there or not, for itself")]
pub(crate) struct Has {
    pub(crate) inventory: bool,
    pub(crate) payment: bool,
    pub(crate) notification: bool,
    pub(crate) provider: bool,
}

/// A saga.
pub(crate) struct Case<'a> {
    pub(crate) scene: &'a Scene<'a>,
    pub(crate) saga: &'a Saga,
    pub(crate) definition: Option<&'a Definition>,
    pub(crate) journey: &'a Journey<'a>,
    pub(crate) records: &'a Records,
}

impl Case<'_> {
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.saga.phase {
            Phase::Done(ending) => Some(ending),
            Phase::Forward | Phase::Backward => None,
        }
    }

    /// Whether participants are still expected to remember it.
    pub(crate) fn is_remembered(&self) -> bool {
        is_remembered(self.scene, self.saga.id)
    }

    /// Whether the inbox of this participant is looked at.
    pub(crate) fn has_inbox(&self, participant: &Token) -> bool {
        self.scene.clocks.contains_key(participant)
    }

    /// What the effect does, by the definition; without one, by what the participant took it for.
    pub(crate) fn meaning(&self, effect: &EffectId) -> Meaning {
        let step = self.definition.and_then(|definition| definition.step(effect.step.name.as_str()));
        let address = step.and_then(|step| match effect.direction {
            Direction::Forward => step.address(),
            Direction::Backward => step.undo_address(),
        });
        match address {
            Some(address) => Meaning::of_address(address),
            None => self.records.row(effect).map_or(Meaning::Other, meaning_of_row),
        }
    }

    /// A field of the data with which the action of a step was decided last.
    pub(crate) fn data(&self, effect: &EffectId, pointer: &str) -> Option<&serde_json::Value> {
        let step = self.saga.instance(&effect.step)?;
        let decided = step.effect(effect.direction).filter(|decided| decided.epoch == effect.epoch)?;
        decided.data.as_ref()?.pointer(pointer)
    }

    /// The last actions of all steps, and how those stand.
    pub(crate) fn actions(&self) -> impl Iterator<Item = (EffectId, Standing)> {
        self.journey.steps.iter().map(|(step, standing)| (self.effect(step, standing.epoch), *standing))
    }

    fn effect(&self, step: &StepRef, epoch: u32) -> EffectId {
        EffectId { saga: self.saga.id, step: step.clone(), direction: Direction::Forward, epoch }
    }

    pub(crate) fn find(&self, report: &mut Report, invariant: Invariant, what: String, look: &str) {
        report.saga(invariant, self.saga.id, what, look.to_owned());
    }
}

pub(crate) fn meaning_of_row(row: &InboxRow) -> Meaning {
    row.message_type.as_deref().map_or(Meaning::Other, Meaning::of_type)
}

/// Whether participants are still expected to remember a saga of this age.
pub(crate) fn is_remembered(scene: &Scene<'_>, saga: SagaId) -> bool {
    saga.made_at() > scene.now.minus_ms(scene.expectations.horizon_ms)
}

/// The same key more than once.
pub(crate) fn repeated<K: Ord + Clone>(keys: impl Iterator<Item = K>) -> BTreeSet<K> {
    let mut seen = BTreeSet::new();
    keys.filter(|key| !seen.insert(key.clone())).collect()
}
