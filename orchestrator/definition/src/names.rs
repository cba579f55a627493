//! Which names an expression may use, by the place where it stands.
//!
//! Invariant: an output is used only where its step must have succeeded by then.

use std::ops::Range;

use amends_contract::Token;
use serde_json::Value;

use crate::Rule;
use crate::draft::{Draft, StepDraft, TemplateDraft};
use crate::expression::{Path, Root, Segment};
use crate::report::Report;
use crate::schema::unknown_field;
use crate::suggest::nearest;

const SAGA_FIELDS: [&str; 5] = ["id", "definition", "version", "started_at", "labels"];
const FAILURE_FIELDS: [&str; 3] = ["step", "code", "detail"];

/// Where an expression stands.
#[derive(Clone, Copy)]
enum Place {
    /// In a label.
    Label,
    /// In `with` of the step with this position.
    Step(usize),
    /// In `with` of its undo.
    Undo(usize),
    /// In `with` of the step with this position in `on_compensated`.
    Compensated(usize),
}

impl Place {
    fn roots(self) -> &'static [Root] {
        match self {
            Self::Label => &[Root::Input, Root::Saga],
            Self::Step(_) | Self::Undo(_) => &[Root::Input, Root::Steps, Root::Saga],
            Self::Compensated(_) => &Root::ALL,
        }
    }
}

/// Checks every expression of the draft.
pub(crate) fn check(report: &mut Report, draft: &Draft) {
    let names = Names {
        steps: names(&draft.steps),
        on_compensated: names(&draft.on_compensated),
        labels: draft.labels.keys().map(Token::as_str).collect(),
        input_schema: draft.input_schema.as_ref(),
    };
    for template in draft.labels.values() {
        names.check(report, template, Place::Label);
    }
    for (position, step) in draft.steps.iter().enumerate() {
        step.with.iter().for_each(|with| names.check(report, with, Place::Step(position)));
        if let crate::draft::UndoDraft::Call { with: Some(with), .. } = &step.undo {
            names.check(report, with, Place::Undo(position));
        }
    }
    for (position, step) in draft.on_compensated.iter().enumerate() {
        step.with.iter().for_each(|with| names.check(report, with, Place::Compensated(position)));
    }
}

/// Positions count, so a step without a readable name has a place, too.
fn names(steps: &[StepDraft]) -> Vec<&str> {
    steps.iter().map(|step| step.name().map_or("", Token::as_str)).collect()
}

struct Names<'d> {
    steps: Vec<&'d str>,
    on_compensated: Vec<&'d str>,
    labels: Vec<&'d str>,
    input_schema: Option<&'d Value>,
}

impl Names<'_> {
    fn check(&self, report: &mut Report, template: &TemplateDraft, place: Place) {
        for path in &template.paths {
            let flaw = match Root::named(&path.value.root) {
                Some(root) if place.roots().contains(&root) => self.fields(root, &path.value, place),
                Some(root) => Some(out_of_scope(root, place)),
                None => Some(unknown_root(&path.value.root, place)),
            };
            if let Some((rule, message, remedy)) = flaw {
                report.add(Range::clone(&path.span), rule, message, remedy);
            }
        }
    }

    fn fields(&self, root: Root, path: &Path, place: Place) -> Option<Flaw> {
        let segments = path.segments.as_slice();
        match root {
            Root::Input => {
                let (field, known) = unknown_field(self.input_schema?, segments)?;
                Some(unknown(field, "the input", "by its schema", &known))
            }
            Root::Failure => one_of(segments, "`failure`", &FAILURE_FIELDS),
            Root::Saga => match segments {
                [Segment::Field(labels), ..] if labels == "labels" && matches!(place, Place::Label) => {
                    let message = "a label cannot use labels: they are all made at the same time";
                    Some((Rule::UnknownName, message.to_owned(), "use `input`".to_owned()))
                }
                [Segment::Field(labels), rest @ ..] if labels == "labels" => {
                    one_of(rest, "`saga.labels`", &self.labels)
                }
                _ => one_of(segments, "`saga`", &SAGA_FIELDS),
            },
            Root::Steps => self.output(segments, place),
        }
    }

    /// `steps['name']`: an output.
    fn output(&self, segments: &[Segment], place: Place) -> Option<Flaw> {
        let Some(Segment::Field(name)) = segments.first() else {
            let message = "`steps` is followed by the name of a step".to_owned();
            return Some((Rule::UnknownName, message, "write steps['name']".to_owned()));
        };
        let flaw = |message: String, remedy: &str| Some((Rule::StepOrder, message, remedy.to_owned()));
        let forward = self.steps.iter().position(|step| step == name);
        let compensated = self.on_compensated.iter().position(|step| step == name);
        match (place, forward, compensated) {
            (Place::Step(own), Some(used), _) | (Place::Undo(own), Some(used), _) if used < own => None,
            (Place::Compensated(own), _, Some(used)) if used < own => None,
            (Place::Undo(own), Some(used), _) if used == own => flaw(
                format!("the output of `{name}` is not known when its own undo is made"),
                "leave it out: the undo names the action, and the participant knows what it did",
            ),
            (Place::Step(own), Some(used), _) | (Place::Compensated(own), _, Some(used)) if used == own => {
                flaw(format!("the output of `{name}` is not known when its own command is made"), EARLIER)
            }
            (Place::Step(_) | Place::Undo(_), Some(_), _) | (Place::Compensated(_), _, Some(_)) => {
                flaw(format!("`{name}` comes later: its output is not known yet"), EARLIER)
            }
            (Place::Compensated(_), Some(_), _) => flaw(
                format!("`{name}` need not have succeeded when the saga is compensated"),
                "use `input`, `failure`, or an earlier step of `on_compensated`",
            ),
            (Place::Step(_) | Place::Undo(_), _, Some(_)) => {
                flaw(format!("`{name}` runs only when the saga is compensated"), EARLIER)
            }
            (_, None, None) | (Place::Label, ..) => {
                let known: Vec<&str> = self.steps.iter().chain(&self.on_compensated).copied().collect();
                Some(unknown(name, "the definition", "among its steps", &known))
            }
        }
    }
}

const EARLIER: &str = "use the output of an earlier step";

/// Rule, message, remedy.
type Flaw = (Rule, String, String);

fn one_of(segments: &[Segment], what: &str, known: &[&str]) -> Option<Flaw> {
    match segments.first() {
        Some(Segment::Field(field)) if !known.contains(&field.as_str()) => {
            Some(unknown(field, what, "in this language", known))
        }
        _ => None,
    }
}

fn unknown(field: &str, what: &str, whence: &str, known: &[&str]) -> Flaw {
    let remedy = match nearest(field, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    (Rule::UnknownName, format!("{what} has no `{field}` {whence}"), remedy)
}

fn unknown_root(name: &str, place: Place) -> Flaw {
    if name == "event" {
        let message = "`event` belongs to `starts_on`, which is not supported by this version yet";
        return (Rule::NotSupported, message.to_owned(), "use `input`".to_owned());
    }
    let known: Vec<&str> = place.roots().iter().map(|root| root.as_str()).collect();
    let remedy = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("in scope are {}; texts stand in quotes", known.join(", ")),
    };
    (Rule::UnknownName, format!("there is no `{name}` in scope"), remedy)
}

fn out_of_scope(root: Root, place: Place) -> Flaw {
    let message = match (root, place) {
        (Root::Failure, _) => "`failure` is in scope only in `on_compensated`",
        _ => "a label is made when the saga starts, before any step has run",
    };
    let known: Vec<&str> = place.roots().iter().map(|root| root.as_str()).collect();
    (Rule::UnknownName, message.to_owned(), format!("in scope are {}", known.join(", ")))
}
