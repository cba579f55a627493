//! Compiling a definition: YAML, words, rules, names, and then the model.
//!
//! Invariant: a model is built only from a draft about which nothing was reported.

use std::sync::Arc;

use amends_contract::Digest;
use serde_json::{Map, Value};

use crate::draft::{
    AwaitDraft, Does, Draft, ForEachDraft, StartsOnDraft, StepDraft, TemplateDraft, UndoDraft,
};
use crate::graph::Graph;
use crate::read::Schemas;
use crate::report::Report;
use crate::rules::kinds;
use crate::template::Part;
use crate::{
    Await, Call, Definition, Diagnostics, ForEach, OnTimeout, Schema, StartsOn, Step, StepKind, Template,
    Undo,
};
use crate::{names, node, read, rules};

/// Why a step that waits has nothing to undo.
const AWAIT_BECAUSE: &str = "waiting changes nothing";

/// The one entry: [`Definition::compile`] is its public face.
pub(crate) fn compile(
    file_name: &str,
    source: &str,
    schemas: Schemas<'_>,
) -> Result<Definition, Diagnostics> {
    let source: Arc<str> = source.into();
    let mut report = Report::new(file_name, Arc::clone(&source));
    let draft = node::parse(&mut report).and_then(|node| read::definition(&mut report, &node, schemas));
    let definition = draft.and_then(|mut draft| {
        let graph = Graph::read(&mut report, &draft.steps, &draft.on_compensated);
        let compensated = Graph::read(&mut report, &draft.on_compensated, &draft.steps);
        kinds::infer(&mut draft.steps, &graph);
        kinds::infer_compensated(&mut draft.on_compensated);
        rules::check(&mut report, file_name, &draft, &graph);
        names::check(&mut report, &draft, &graph, &compensated);
        definition(draft, &graph, &compensated, source)
    });
    report.finish(definition)
}

fn definition(draft: Draft, graph: &Graph, compensated: &Graph, source: Arc<str>) -> Option<Definition> {
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
        steps: steps(draft.steps, graph)?,
        on_compensated: steps(draft.on_compensated, compensated)?,
        output: optional(draft.output, |output| output.template)?,
        starts_on: optional(draft.starts_on, starts_on)?,
    })
}

/// `None` only for what is there and wrong.
fn optional<A, B>(draft: Option<A>, build: impl FnOnce(A) -> Option<B>) -> Option<Option<B>> {
    match draft {
        None => Some(None),
        Some(draft) => build(draft).map(Some),
    }
}

fn starts_on(draft: StartsOnDraft) -> Option<StartsOn> {
    let (entity, name) = draft.event?.value;
    Some(StartsOn { entity, name, input: draft.input?.template? })
}

fn steps(drafts: Vec<StepDraft>, graph: &Graph) -> Option<Vec<Step>> {
    let numbered = drafts.into_iter().enumerate();
    numbered.map(|(position, draft)| step(draft, graph.after(position).to_vec())).collect()
}

fn step(draft: StepDraft, after: Vec<usize>) -> Option<Step> {
    let kind = draft.kind?.value;
    let schema = |schema: Value| Schema { schema, check: None };
    let (call, undo) = match draft.does {
        Does::Unreadable => return None,
        Does::Call(call) => (call.value, undo(draft.undo, kind)?),
        Does::Await(waiting) => (Call::Await(signal(waiting, kind)?), undo_of_await(kind)),
    };
    Some(Step {
        name: draft.name?.value,
        kind,
        call,
        with: template(draft.with)?,
        when: optional(draft.when, |when| when.value.template)?,
        for_each: optional(draft.for_each, for_each)?,
        concurrency: draft.concurrency,
        command_schema: draft.command_schema.map(schema),
        reply_schema: draft.reply_schema.map(schema),
        undo,
        retry: draft.retry,
        resend_after_ms: draft.resend_after_ms,
        pending_max_ms: draft.pending_max_ms,
        after,
    })
}

fn for_each(draft: ForEachDraft) -> Option<ForEach> {
    Some(ForEach { list: draft.list?.template?, name: draft.name?.value, at_most: draft.at_most.value })
}

/// Behind the point of no return there is nothing to turn to, so that an await without a timeout, too, goes
/// on when an operator ends it.
fn signal(draft: AwaitDraft, kind: StepKind) -> Option<Await> {
    let default = match kind {
        StepKind::Compensatable | StepKind::Pivot => OnTimeout::Compensate,
        StepKind::Retriable => OnTimeout::GoOn,
    };
    Some(Await {
        signal: draft.signal?.value,
        timeout_ms: draft.timeout_ms.map(|timeout| timeout.value),
        on_timeout: draft.on_timeout.map_or(default, |on_timeout| on_timeout.value),
    })
}

fn undo_of_await(kind: StepKind) -> Option<Undo> {
    (kind == StepKind::Compensatable).then(|| Undo::None { because: AWAIT_BECAUSE.to_owned() })
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
            let with = optional(with, |with| with.template)?;
            let call = call.value;
            Some(Some(Undo::Call { call, with, retry, resend_after_ms }))
        }
        _ => None,
    }
}
