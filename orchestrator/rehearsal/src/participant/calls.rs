//! Effects outside the participant's database: open rows, calls under a key, outcomes that come later.
//!
//! Invariant: the first definite outcome wins; what comes later finds the row settled and changes nothing.

use amends_contract::{Command, EffectId, Outcome, Reply};
use amends_inbox::State;

use super::{Domain, Participant, Row, is_effect};

/// How a call to the outside ended, as far as the participant knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// With this, for ever.
    Definite(Outcome),
    /// It did nothing, and no earlier call under the same key can have done anything either.
    Nothing(Outcome),
}

impl Participant {
    /// The open rows whose call is to be made, or made again: what the participant's loop takes up.
    pub fn open_calls(&self) -> impl Iterator<Item = &EffectId> {
        self.rows.iter().filter(|(_, row)| row.is_unsettled() && row.calls).map(|(effect, _)| effect)
    }

    /// The undos that waited for their action's outcome, and have it now.
    pub fn ready_undos(&self) -> impl Iterator<Item = &EffectId> {
        let is_ready = |row: &Row| {
            let action = row.asked.as_ref().and_then(|asked| asked.command.undoes.as_ref());
            action.and_then(|action| self.rows.get(action)).is_none_or(|action| !action.is_unsettled())
        };
        self.rows.iter().filter(move |(_, row)| row.is_waiting() && is_ready(row)).map(|(effect, _)| effect)
    }

    /// The command of a row that is still open.
    #[must_use]
    pub fn asked(&self, effect: &EffectId) -> Option<&Command> {
        self.rows.get(effect)?.asked.as_ref().map(|asked| &asked.command)
    }

    /// The outside does what is called for under this key; the first definite outcome is the outcome of every
    /// later call. The participant may never hear of it.
    pub fn call(&mut self, effect: &EffectId, outcome: Outcome) -> Outcome {
        if let Some(known) = self.keys.get(effect) {
            return known.clone();
        }
        if outcome.is_final() {
            if is_effect(&outcome) {
                *self.effects.entry(effect.clone()).or_default() += 1;
            }
            self.keys.insert(effect.clone(), outcome.clone());
        }
        outcome
    }

    /// Writes a call's outcome if the row is still open, and answers. A waiting undo is then ready.
    pub fn settle(&mut self, effect: &EffectId, ended: Ended) -> Option<Reply> {
        let row = self.rows.get(effect).filter(|row| row.is_unsettled() && row.calls)?;
        let (state, asked, meaning) = (row.state, row.asked.clone()?, row.meaning);
        let answer = |outcome| self.reply(&asked.command, asked.cause, outcome);
        let (reply, row) = match (ended, state) {
            (Ended::Definite(outcome), _) => {
                let reply = answer(outcome);
                (reply.clone(), Some(Row::settled(State::Final, meaning, reply)))
            }
            // It is to be undone: it never ran, and now never will.
            (Ended::Nothing(_), State::Voiding) => {
                let reply = answer(Outcome::Cancelled);
                (reply.clone(), Some(Row::settled(State::Tombstone, meaning, reply)))
            }
            // As if it had not been asked for.
            (Ended::Nothing(outcome), _) => (answer(outcome), None),
        };
        match row {
            Some(row) => self.rows.insert(effect.clone(), row),
            None => self.rows.remove(effect),
        };
        Some(reply)
    }

    /// Goes on with a waiting undo, as if it were asked for again.
    pub fn resume(&mut self, effect: &EffectId, domain: &mut dyn Domain) -> Option<super::Taken> {
        let asked = self.rows.get(effect).filter(|row| row.is_waiting())?.asked.clone()?;
        // Its row proves that the action's is remembered; the saga's age does not matter.
        let now = asked.command.effect.saga.made_at();
        let decision = self.decide(&asked.command, now);
        Some(self.carry_out(&asked.command, asked.cause, decision, domain))
    }
}
