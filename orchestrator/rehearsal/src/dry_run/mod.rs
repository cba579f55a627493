//! The dry run: a definition meets every fault at every step, in virtual time, on the real engine.
//!
//! What comes out is a table of endings, and findings: what would be left behind, never settle, or break a
//! promise. A definition without findings may still ask for the wrong thing; that, nobody can rehearse.
//!
//! Invariant: the same definition, input and replies give the same report.

mod audit;
mod fault;
pub mod sample;
mod stage;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{DefinitionRef, Digest, Json, Token};
use amends_definition::Definition;
use amends_engine::{ActionState, Status};
use serde::Serialize;
use serde_json::Value;

pub use self::audit::{Finding, Kind};
use self::fault::Case;
pub use self::fault::Fault;
use self::stage::{Played, Props};
pub use self::table::HEADING;

/// At most so many inputs are rehearsed that lead a saga along other steps.
const SHAPES_MAX: usize = 6;

/// What came of a dry run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of which definition.
    pub definition: DefinitionRef,
    /// Its digest.
    pub digest: Digest,
    /// With which input.
    pub input: Value,
    /// What became of each case.
    pub rows: Vec<Row>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What became of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What is different from the input, where another input leads along other steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// The step, or `<step>/undo`; empty if nothing goes wrong.
    pub step: String,
    /// What goes wrong with it.
    pub fault: Fault,
    /// How the saga ended, or stood when nothing could move it any more.
    pub ending: Status,
    /// Why it turned backward.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The steps that were undone.
    pub undone: Vec<String>,
    /// The steps whose effects remain although the saga turned backward.
    pub left: Vec<String>,
    /// The steps that wait for an operator, each with its reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<String>,
    /// Commands and fences that were sent.
    pub sends: u32,
    /// How long it took, in milliseconds of virtual time.
    pub duration_ms: u64,
}

/// Rehearses a definition. `outputs` is what the steps' actions give back; see [`sample::outputs`]. What is
/// left behind by the steps of `allowed` is no finding.
///
/// # Errors
/// When no saga can be started with this input, for people.
pub fn dry_run(
    definition: &Definition,
    input: &Value,
    outputs: &BTreeMap<Token, Json>,
    allowed: &BTreeSet<Token>,
) -> Result<Report, String> {
    let mut rows = Vec::new();
    let mut findings = audit::Findings::default();
    for (with, input) in shapes(definition, input, outputs)? {
        let props = Props { definition, input: &input, outputs };
        let well = stage::play(&props, &Case::WELL)?;
        let cases = fault::cases(definition).into_iter().filter(|case| meets(case, &well));
        for case in cases {
            let played = stage::play(&props, &case)?;
            let row = audit::row(with.clone(), &case, &played, definition);
            findings.add(&row, &case, &played, definition);
            rows.push(row);
        }
    }
    Ok(Report {
        definition: definition.reference(),
        digest: definition.digest,
        input: input.clone(),
        rows,
        findings: findings.without(allowed),
    })
}

/// The input, and variants of it that lead along other steps: conditions that turn out otherwise, lists
/// with another number of elements.
fn shapes(
    definition: &Definition,
    input: &Value,
    outputs: &BTreeMap<Token, Json>,
) -> Result<Vec<(Option<String>, Value)>, String> {
    let shape = |input: &Value| -> Result<Option<Shape>, String> {
        let played = stage::play(&Props { definition, input, outputs }, &Case::WELL)?;
        Ok((played.saga.status() == Status::Completed).then(|| shape_of(&played)))
    };
    let mut seen: BTreeSet<Shape> = shape(input)?.into_iter().collect();
    let mut shapes = vec![(None, input.clone())];
    let branches = definition.steps.iter().chain(&definition.on_compensated);
    if !branches.clone().any(|step| step.when.is_some() || step.for_each.is_some()) {
        return Ok(shapes);
    }
    for (what, variant) in sample::variants(input) {
        // What cannot even be started, or does not complete, is no input.
        let Ok(Some(found)) = shape(&variant) else { continue };
        if shapes.len() < SHAPES_MAX && seen.insert(found) {
            shapes.push((Some(what), variant));
        }
    }
    Ok(shapes)
}

/// Which steps were skipped, and how many elements there were.
type Shape = Vec<(Token, bool, usize)>;

fn shape_of(played: &Played) -> Shape {
    let steps = played.saga.steps.iter().filter(|step| step.index.is_none());
    let shape = steps.map(|step| {
        // One element goes as many do, and none as if it were skipped.
        let count = played.saga.instances(&step.name).count().min(2);
        (step.name.clone(), step.action == ActionState::Skipped, count)
    });
    shape.collect()
}

/// Whether the step with which something goes wrong has its turn at all.
fn meets(case: &Case, well: &Played) -> bool {
    let Some((name, _)) = &case.at else { return true };
    well.saga.step(name).is_none_or(|step| match step.action {
        ActionState::Skipped => false,
        ActionState::Spread => well.saga.instances(name).next().is_some(),
        _ => true,
    })
}
