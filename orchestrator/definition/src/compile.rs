//! Compiling a definition: YAML, words, rules, names, and then the model.
//!
//! Invariant: a model is built only from a draft about which nothing was reported.

use std::sync::Arc;

use amends_contract::Digest;
use serde_json::{Map, Value};

use crate::draft::{Draft, StepDraft, TemplateDraft, UndoDraft};
use crate::read::Schemas;
use crate::report::Report;
use crate::template::Part;
use crate::{Call, Definition, Diagnostics, Step, StepKind, Template, Undo};
use crate::{names, node, read, rules};

/// The one entry: [`Definition::compile`] is its public face.
pub(crate) fn compile(
    file_name: &str,
    source: &str,
    schemas: Schemas<'_>,
) -> Result<Definition, Diagnostics> {
    let source: Arc<str> = source.into();
    let mut report = Report::new(file_name, Arc::clone(&source));
    let draft = node::parse(&mut report).and_then(|node| read::definition(&mut report, &node, schemas));
    if let Some(draft) = &draft {
        rules::check(&mut report, file_name, draft);
        names::check(&mut report, draft);
    }
    let definition = draft.and_then(|draft| definition(draft, source));
    report.finish(definition)
}

fn definition(draft: Draft, source: Arc<str>) -> Option<Definition> {
    let labels = draft.labels.into_iter().map(|(name, label)| Some((name, label.template?)));
    Some(Definition {
        name: draft.name?.value,
        version: draft.version?.value,
        digest: Digest::of(source.as_bytes()),
        source,
        description: draft.description,
        input_schema: draft.input_schema,
        labels: labels.collect::<Option<_>>()?,
        deadline_ms: draft.deadline_ms,
        retention_ms: draft.retention_ms,
        steps: steps(draft.steps)?,
        on_compensated: steps(draft.on_compensated)?,
        output: None,
        starts_on: None,
    })
}

fn steps(drafts: Vec<StepDraft>) -> Option<Vec<Step>> {
    let numbered = drafts.into_iter().enumerate();
    numbered.map(|(position, draft)| step(draft, position.checked_sub(1))).collect()
}

fn step(draft: StepDraft, above: Option<usize>) -> Option<Step> {
    let kind = draft.kind?.value;
    Some(Step {
        name: draft.name?.value,
        kind,
        call: Call::Command(draft.call?.value),
        with: template(draft.with)?,
        when: None,
        for_each: None,
        concurrency: None,
        command_schema: None,
        reply_schema: None,
        undo: undo(draft.undo, kind)?,
        retry: draft.retry,
        resend_after_ms: draft.resend_after_ms,
        pending_max_ms: draft.pending_max_ms,
        after: above.into_iter().collect(),
    })
}

/// A command without data carries an empty object, so that participants always find one.
fn template(draft: Option<TemplateDraft>) -> Option<Template> {
    match draft {
        None => Some(Template::new(Part::Literal(Value::Object(Map::new())))),
        Some(draft) => draft.template,
    }
}

/// `None` for what the rules have refused, `Some(None)` where no undo belongs.
fn undo(draft: UndoDraft, kind: StepKind) -> Option<Option<Undo>> {
    match (kind, draft) {
        (StepKind::Pivot | StepKind::Retriable, UndoDraft::Absent) => Some(None),
        (StepKind::Compensatable, UndoDraft::None { because, .. }) => Some(Some(Undo::None { because })),
        (StepKind::Compensatable, UndoDraft::Call { call, with, retry, resend_after_ms }) => {
            let with = match with {
                None => None,
                Some(with) => Some(with.template?),
            };
            let call = Call::Command(call.value);
            Some(Some(Undo::Call { call, with, retry, resend_after_ms }))
        }
        _ => None,
    }
}
