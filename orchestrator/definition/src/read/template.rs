//! Templates in a definition: a text that begins with `=` is an expression, everything else is literal.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use crate::draft::{At, TemplateDraft};
use crate::expression::{Path, compile};
use crate::node::{Node, Yaml};
use crate::report::Report;
use crate::template::Part;
use crate::{Rule, Template};

use super::values::nul;

/// Reads a template.
pub(super) fn template(report: &mut Report, node: &Node) -> TemplateDraft {
    let mut paths = Vec::new();
    let root = part(report, node, &mut paths);
    TemplateDraft { template: root.map(Template::new), paths }
}

/// `with`: a mapping, or an expression that gives one.
pub(super) fn data(report: &mut Report, node: &Node) -> Option<TemplateDraft> {
    match &node.yaml {
        Yaml::Map(_) => Some(template(report, node)),
        Yaml::Text(text) if text.starts_with('=') => Some(template(report, node)),
        other => {
            let message = format!("`with` is a mapping, and {} was found", other.kind());
            let remedy = "write `with: { name: =input.name }`, or `with: =input` for all of it";
            report.add(node.span.clone(), Rule::WrongType, message, remedy);
            None
        }
    }
}

/// `when`: an expression that is true or false.
pub(super) fn condition(report: &mut Report, node: &Node) -> TemplateDraft {
    if matches!(&node.yaml, Yaml::Text(text) if text.starts_with('=')) {
        return template(report, node);
    }
    no_expression(report, node, "when", "input.total.amount > 100000");
    TemplateDraft { template: None, paths: Vec::new() }
}

/// Reports what ought to be an expression; a text was most likely meant as one.
pub(super) fn no_expression(report: &mut Report, node: &Node, word: &str, example: &str) {
    let meant: String = match &node.yaml {
        Yaml::Text(text) if !text.trim().is_empty() => text.trim().chars().take(80).collect(),
        _ => example.to_owned(),
    };
    let message = format!("`{word}` is an expression, and {} was found", node.yaml.kind());
    let remedy = format!("begin it with `=`: `{word}: ={meant}`");
    report.add(node.span.clone(), Rule::WrongType, message, remedy);
}

fn part(report: &mut Report, node: &Node, paths: &mut Vec<At<Path>>) -> Option<Part> {
    let literal = |value| Some(Part::Literal(value));
    match &node.yaml {
        Yaml::Null => literal(Value::Null),
        Yaml::Bool(value) => literal(Value::Bool(*value)),
        Yaml::Int(value) => literal(Value::from(*value)),
        Yaml::BigInt => {
            let message = "the whole number does not fit 64 bits with a sign";
            report.add(node.span.clone(), Rule::Range, message, "write it as a text, in quotes");
            None
        }
        Yaml::Float(value) => match Number::from_f64(*value) {
            Some(number) => literal(Value::Number(number)),
            None => {
                let message = "JSON has no such number";
                report.add(node.span.clone(), Rule::Range, message, "write a finite number");
                None
            }
        },
        Yaml::Text(text) if text.contains('\0') => {
            nul(report, node);
            None
        }
        Yaml::Text(text) => match text.strip_prefix('=') {
            Some(source) => expression(report, node, source.trim(), paths),
            None => literal(Value::String(text.clone())),
        },
        Yaml::List(items) => list(report, items, paths),
        Yaml::Map(entries) => map(report, entries, paths),
    }
}

fn list(report: &mut Report, items: &[Node], paths: &mut Vec<At<Path>>) -> Option<Part> {
    // All are read before any `None` counts, so that all mistakes are told.
    let parts: Vec<Option<Part>> = items.iter().map(|item| part(report, item, paths)).collect();
    let parts = parts.into_iter().collect::<Option<Vec<Part>>>()?;
    let values = parts.iter().map(literal).collect::<Option<Vec<&Value>>>();
    Some(match values {
        Some(values) => Part::Literal(Value::Array(values.into_iter().cloned().collect())),
        None => Part::List(parts),
    })
}

fn map(report: &mut Report, entries: &[(crate::node::Key, Node)], paths: &mut Vec<At<Path>>) -> Option<Part> {
    let mut parts = BTreeMap::new();
    let mut complete = true;
    for (key, value) in entries {
        if key.text.contains('\0') {
            nul(report, &Node { span: key.span.clone(), yaml: Yaml::Null });
        }
        match part(report, value, paths) {
            Some(part) => _ = parts.insert(key.text.clone(), part),
            None => complete = false,
        }
    }
    if !complete {
        return None;
    }
    let values: Option<Map<String, Value>> =
        parts.iter().map(|(key, part)| Some((key.clone(), literal(part)?.clone()))).collect();
    Some(values.map_or(Part::Map(parts), |values| Part::Literal(Value::Object(values))))
}

const fn literal(part: &Part) -> Option<&Value> {
    match part {
        Part::Literal(value) => Some(value),
        Part::Expression(_) | Part::List(_) | Part::Map(_) => None,
    }
}

fn expression(report: &mut Report, node: &Node, source: &str, paths: &mut Vec<At<Path>>) -> Option<Part> {
    match compile(source) {
        Ok(compiled) => {
            for path in compiled.paths {
                let span = place(report.source(), &node.span, source, path.offset, path.root.len());
                paths.push(At::new(path, span));
            }
            Some(Part::Expression(Arc::new(compiled.expression)))
        }
        Err(flaws) => {
            for flaw in flaws {
                let span = place(report.source(), &node.span, source, flaw.offset, 1);
                let remedy = if flaw.rule == Rule::Expression && is_cut_off(report.source(), &node.span) {
                    "inside of { } and [ ], an expression with a comma stands in quotes".to_owned()
                } else {
                    flaw.remedy
                };
                report.add(span, flaw.rule, flaw.message, remedy);
            }
            None
        }
    }
}

/// Whether a plain text ends at a comma, which inside of brackets YAML takes for its own.
fn is_cut_off(file: &str, node: &Range<usize>) -> bool {
    let is_plain = file.get(node.start..).is_some_and(|text| text.starts_with('='));
    is_plain && file.get(node.end..).is_some_and(|rest| rest.trim_start_matches(' ').starts_with(','))
}

/// Where a place in an expression (in characters) stands in the file. Exact where the expression stands
/// there letter for letter; a text with escapes or over several lines is pointed at as a whole.
fn place(file: &str, node: &Range<usize>, source: &str, offset: usize, len: usize) -> Range<usize> {
    let verbatim = file.get(node.clone()).and_then(|text| text.find(source));
    let Some(start) = verbatim.map(|start| node.start + start) else { return node.clone() };
    let offset = source.char_indices().nth(offset).map_or(source.len(), |(byte, _)| byte);
    start + offset..start + offset + len
}
