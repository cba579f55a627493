//! `steps['name']`: which outputs are there, by the graph.
//!
//! Invariant: position in the file decides nothing; what counts is which step comes before which.

use super::{Flaw, Names, Place, Steps, Word, unknown};
use crate::Rule;
use crate::draft::StepDraft;
use crate::expression::Segment;
use crate::schema::unknown_field;

impl<'d> Names<'d> {
    pub(super) fn output(&self, segments: &[Segment], place: Place<'d>) -> Option<Flaw> {
        let Some((Segment::Field(name), rest)) = segments.split_first() else {
            let message = "`steps` is followed by the name of a step".to_owned();
            return Some((Rule::UnknownName, message, "write steps['name']".to_owned()));
        };
        let (forward, compensated) = (self.steps.find(name), self.compensated.find(name));
        if forward.is_none() && compensated.is_none() {
            return Some(self.unknown_step(name));
        }
        match (place, forward, compensated) {
            (Place::Step { steps, position, word }, _, Some(used)) if steps.is_compensated => {
                steps.used(position, used, word, rest)
            }
            (Place::Step { steps, .. }, ..) if steps.is_compensated => flaw(
                format!("`{name}` need not have succeeded when the saga is compensated"),
                "use `input`, `failure`, or an earlier step of `on_compensated`",
            ),
            (Place::Step { steps, position, word }, Some(used), _) => steps.used(position, used, word, rest),
            (Place::Output, Some(used), _) => unknown_in_reply(&self.steps.list[used], rest),
            (Place::Label | Place::StartsOn | Place::Output | Place::Step { .. }, ..) => {
                flaw(format!("`{name}` runs only when the saga is compensated"), EARLIER)
            }
        }
    }
}

impl Names<'_> {
    fn unknown_step(&self, name: &str) -> Flaw {
        let steps = self.steps.list.iter().chain(self.compensated.list);
        let known: Vec<&str> = steps.filter_map(|step| Some(step.name()?.as_str())).collect();
        let flaw = unknown(name, "the definition", "among its steps", &known);
        let longer = |step: &&&str| step.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        match known.iter().find(longer) {
            // `steps.reserve-stock` is a subtraction.
            Some(longer) => (flaw.0, flaw.1, format!("a name with `-` stands in quotes: steps['{longer}']")),
            None => flaw,
        }
    }
}

impl Steps<'_> {
    fn find(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|step| step.name().is_some_and(|known| known.as_str() == name))
    }

    /// Whether the step at `position` may use the output of the one at `used` in this word.
    fn used(&self, position: usize, used: usize, word: Word, rest: &[Segment]) -> Option<Flaw> {
        let name = self.list[used].called();
        let own = self.list[position].called();
        if used == position {
            return match word {
                Word::Undo => flaw(
                    format!("the output of `{name}` is not known when its own undo is made"),
                    "leave it out: the undo names the action, and the participant knows what it did",
                ),
                Word::When | Word::ForEach | Word::With => {
                    flaw(format!("the output of `{name}` is not known when its own command is made"), EARLIER)
                }
            };
        }
        if !self.graph.is_known() {
            return None;
        }
        if self.graph.is_before(used, position) {
            let step = &self.list[used];
            if word == Word::Undo && step.may_be_skipped() {
                let why = if step.when.is_some() { "has `when`" } else { "goes on without its signal" };
                return flaw(
                    format!("`{name}` {why}: it need not have an output when `{own}` is undone"),
                    "use `input`, or the output of a step that must have succeeded before",
                );
            }
            return unknown_in_reply(step, rest);
        }
        if self.graph.is_before(position, used) {
            return flaw(format!("`{name}` comes later: its output is not known yet"), EARLIER);
        }
        flaw(
            format!("`{name}` does not come before `{own}`: they run side by side"),
            &format!("name `{name}` in the `after` of `{own}`, or use another output"),
        )
    }
}

/// A slip in what follows the step's name, where the schema of its replies tells.
fn unknown_in_reply(step: &StepDraft, rest: &[Segment]) -> Option<Flaw> {
    let name = step.called();
    let rest = match (&step.for_each, rest.split_first()) {
        (Some(_), Some((Segment::Field(field), _))) => {
            let message = format!(
                "the output of `{name}` is a list, one element for each it ran for, and has no `{field}`"
            );
            let remedy = format!(
                "go through it: `steps['{name}'].map(x, x.{field})`, or take one: `steps['{name}'][0]`"
            );
            return Some((Rule::UnknownName, message, remedy));
        }
        (Some(_), split) => split.map_or(&[][..], |(_, inner)| inner),
        (None, _) => rest,
    };
    let (field, known) = unknown_field(step.reply_schema.as_ref()?, rest)?;
    Some(unknown(field, &format!("the output of `{name}`"), "by the schema of its replies", &known))
}

fn flaw(message: String, remedy: &str) -> Option<Flaw> {
    Some((Rule::StepOrder, message, remedy.to_owned()))
}

const EARLIER: &str = "use the output of an earlier step";
