//! Which names an expression may use, by the place where it stands.
//!
//! Invariant: an output is used only where its step is settled by then, and in an undo only where it must
//! have succeeded.

use std::ops::Range;

use amends_contract::Token;
use serde_json::Value;

use crate::Rule;
use crate::draft::{Draft, StepDraft, TemplateDraft, UndoDraft};
use crate::expression::{Path, Root, Segment};
use crate::graph::Graph;
use crate::report::Report;
use crate::schema::unknown_field;
use crate::suggest::nearest;

mod outputs;

const SAGA_FIELDS: [&str; 5] = ["id", "definition", "version", "started_at", "labels"];
const FAILURE_FIELDS: [&str; 3] = ["step", "code", "detail"];
const EVENT_FIELDS: [&str; 5] = ["id", "source", "type", "time", "data"];

/// Where an expression stands.
#[derive(Clone, Copy)]
enum Place<'d> {
    /// In a label.
    Label,
    /// In `input` of `starts_on`.
    StartsOn,
    /// In `output` of the definition.
    Output,
    /// In a word of a step.
    Step { steps: Steps<'d>, position: usize, word: Word },
}

/// One of the two lists of steps.
#[derive(Clone, Copy)]
struct Steps<'d> {
    list: &'d [StepDraft],
    graph: &'d Graph,
    is_compensated: bool,
}

/// A word of a step that takes expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    When,
    ForEach,
    With,
    Undo,
}

impl Place<'_> {
    const fn roots(&self) -> &'static [Root] {
        match self {
            Self::Label => &[Root::Input, Root::Saga],
            Self::StartsOn => &[Root::Event],
            Self::Output => &[Root::Input, Root::Steps, Root::Saga],
            Self::Step { steps, .. } if steps.is_compensated => {
                &[Root::Input, Root::Steps, Root::Saga, Root::Failure]
            }
            Self::Step { .. } => &[Root::Input, Root::Steps, Root::Saga],
        }
    }

    /// What the element of the step's own list is called, where it is in scope.
    fn element(&self) -> Option<&str> {
        match self {
            Self::Step { steps, position, word: Word::With | Word::Undo } => steps.element(*position),
            _ => None,
        }
    }

    /// For messages: what is in scope.
    fn in_scope(&self) -> Vec<&str> {
        self.roots().iter().map(|root| root.as_str()).chain(self.element()).collect()
    }
}

impl<'d> Steps<'d> {
    fn element(&self, position: usize) -> Option<&'d str> {
        Some(self.list[position].for_each.as_ref()?.name.as_ref()?.value.as_str())
    }
}

/// Checks every expression of the draft.
pub(crate) fn check(report: &mut Report, draft: &Draft, graph: &Graph, compensated: &Graph) {
    let names = Names {
        steps: Steps { list: &draft.steps, graph, is_compensated: false },
        compensated: Steps { list: &draft.on_compensated, graph: compensated, is_compensated: true },
        labels: draft.labels.keys().map(Token::as_str).collect(),
        input_schema: draft.input_schema.as_ref(),
    };
    for template in draft.labels.values() {
        names.check(report, template, Place::Label);
    }
    if let Some(input) = draft.starts_on.as_ref().and_then(|starts_on| starts_on.input.as_ref()) {
        names.check(report, input, Place::StartsOn);
    }
    if let Some(output) = &draft.output {
        names.check(report, output, Place::Output);
    }
    for steps in [names.steps, names.compensated] {
        for (position, step) in steps.list.iter().enumerate() {
            let mut check = |template: Option<&TemplateDraft>, word| {
                let place = Place::Step { steps, position, word };
                template.into_iter().for_each(|template| names.check(report, template, place));
            };
            check(step.when.as_ref().map(|when| &when.value), Word::When);
            check(step.for_each.as_ref().and_then(|for_each| for_each.list.as_ref()), Word::ForEach);
            check(step.with.as_ref(), Word::With);
            if let UndoDraft::Call { with, .. } = &step.undo {
                check(with.as_ref(), Word::Undo);
            }
        }
    }
}

struct Names<'d> {
    steps: Steps<'d>,
    compensated: Steps<'d>,
    labels: Vec<&'d str>,
    input_schema: Option<&'d Value>,
}

impl<'d> Names<'d> {
    fn check(&self, report: &mut Report, template: &TemplateDraft, place: Place<'d>) {
        for path in &template.paths {
            let flaw = match Root::named(&path.value.root) {
                Some(root) if place.roots().contains(&root) => self.fields(root, &path.value, place),
                Some(root) => Some(out_of_scope(root, place)),
                None if place.element() == Some(path.value.root.as_str()) => {
                    self.element(&path.value.segments, place)
                }
                None => Some(self.unknown_root(&path.value.root, place)),
            };
            if let Some((rule, message, remedy)) = flaw {
                report.add(Range::clone(&path.span), rule, message, remedy);
            }
        }
    }

    fn fields(&self, root: Root, path: &Path, place: Place<'d>) -> Option<Flaw> {
        let segments = path.segments.as_slice();
        match root {
            Root::Input => {
                let (field, known) = unknown_field(self.input_schema?, segments)?;
                Some(unknown(field, "the input", "by its schema", &known))
            }
            Root::Failure => one_of(segments, "`failure`", &FAILURE_FIELDS),
            Root::Event => one_of(segments, "`event`", &EVENT_FIELDS),
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

    /// Fields of an element, where the list is part of an input with a schema.
    fn element(&self, segments: &[Segment], place: Place<'d>) -> Option<Flaw> {
        let Place::Step { steps, position, .. } = place else { return None };
        let list = steps.list[position].for_each.as_ref()?.list.as_ref()?.as_path()?;
        if Root::named(&list.root) != Some(Root::Input) {
            return None;
        }
        let path: Vec<Segment> =
            list.segments.iter().chain([&Segment::Element]).chain(segments).cloned().collect();
        let (field, known) = unknown_field(self.input_schema?, &path)?;
        Some(unknown(field, "an element of the list", "by the schema of the input", &known))
    }

    fn unknown_root(&self, name: &str, place: Place<'d>) -> Flaw {
        let owner = [self.steps, self.compensated].into_iter().find_map(|steps| {
            let own = (0..steps.list.len()).find(|position| steps.element(*position) == Some(name))?;
            Some(steps.list[own].called())
        });
        if let Some(owner) = owner {
            let message =
                format!("`{name}` is an element of the list of `{owner}`, and known only in its `with`");
            let own =
                matches!(place, Place::Step { steps, position, .. } if steps.element(position) == Some(name));
            let remedy = if own {
                format!(
                    "leave elements out of the list: `for_each: \"=input.list.filter({name}, <condition>)\"`"
                )
            } else {
                format!("use it in `with` of `{owner}`, or in `with` of its undo")
            };
            return (Rule::UnknownName, message, remedy);
        }
        let known = place.in_scope();
        let remedy = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("in scope are {}; texts stand in quotes", known.join(", ")),
        };
        (Rule::UnknownName, format!("there is no `{name}` in scope"), remedy)
    }
}

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

fn out_of_scope(root: Root, place: Place<'_>) -> Flaw {
    let message = match (root, place) {
        (_, Place::StartsOn) => {
            "the event makes the input: there is no saga yet, and nothing else to look at"
        }
        (Root::Event, _) => "`event` is in scope only in `input` of `starts_on`",
        (Root::Failure, _) => "`failure` is in scope only in `on_compensated`",
        _ => "a label is made when the saga starts, before any step has run",
    };
    let known = place.in_scope();
    let verb = if known.len() == 1 { "is" } else { "are" };
    (Rule::UnknownName, message.to_owned(), format!("in scope {verb} {}", known.join(", ")))
}
