//! `for_each`, `as` and `at_most`.

use amends_contract::Token;

use crate::Rule;
use crate::draft::{At, ForEachDraft};
use crate::expression::is_taken;
use crate::limits::{FOR_EACH_DEFAULT, FOR_EACH_MAX};
use crate::node::{Node, Yaml};
use crate::report::Report;

use super::fields::Fields;
use super::template::{no_expression, template};
use super::values::{quoted, text, whole};

/// Reads the three words of a step.
pub(super) fn read(report: &mut Report, fields: &Fields<'_>) -> Option<ForEachDraft> {
    let Some(node) = fields.get("for_each") else {
        for word in ["as", "at_most"] {
            if let Some(span) = fields.key(word) {
                let message = format!("`{word}` belongs to `for_each`, and there is none");
                report.add(span, Rule::ForEach, message, "add `for_each: =<list>`, or remove it");
            }
        }
        return None;
    };
    let span = fields.key("for_each")?;
    let name = fields.get("as").map(|node| element_name(report, node));
    if name.is_none() {
        let message = "`for_each` does not say what an element is called";
        report.add(
            span.clone(),
            Rule::ForEach,
            message,
            "add a name: `as: line`, for use as `=line` in `with`",
        );
    }
    let at_most = fields.get("at_most");
    let at_most =
        match at_most.and_then(|node| Some((whole(report, node, "at_most", 1..=FOR_EACH_MAX)?, node))) {
            Some((at_most, node)) => At::new(at_most, node.span.clone()),
            None => At::new(FOR_EACH_DEFAULT, span.clone()),
        };
    let is_expression = matches!(&node.yaml, Yaml::Text(text) if text.starts_with('='));
    if !is_expression {
        no_expression(report, node, "for_each", "input.lines");
    }
    let list = is_expression.then(|| template(report, node));
    Some(ForEachDraft { span, list, name: name.flatten(), at_most })
}

/// A name that expressions can write, and that means nothing else there.
fn element_name(report: &mut Report, node: &Node) -> Option<At<Token>> {
    let remedy = "use letters a-z and digits, beginning with a letter, such as `line`";
    let text = text(report, node, "`as`", remedy)?;
    let is_name = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    let Some(name) = Token::new(text).ok().filter(|_| is_name) else {
        let message = format!("{} cannot be the name of an element", quoted(text));
        report.add(node.span.clone(), Rule::ForEach, message, remedy);
        return None;
    };
    if is_taken(text) {
        let message = format!("`{text}` has a meaning in expressions already");
        report.add(
            node.span.clone(),
            Rule::ForEach,
            message,
            "give the element another name, such as `line`",
        );
        return None;
    }
    Some(At::new(name, node.span.clone()))
}
