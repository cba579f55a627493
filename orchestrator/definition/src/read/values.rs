//! Single values: names, calls, durations, numbers.
//!
//! Invariant: whatever is returned has been checked as far as one value can be; what was not, was reported.

use std::ops::RangeInclusive;

use amends_contract::{Address, FENCE, ORCHESTRATOR, Token};

use crate::Rule;
use crate::draft::At;
use crate::limits::DURATION_MS_MAX;
use crate::node::{Node, Yaml};
use crate::report::Report;

/// Longest piece of the file that a message quotes, in characters.
const QUOTED_CHARACTERS_MAX: usize = 80;

pub(super) fn quoted(text: &str) -> String {
    if text.is_empty() {
        return "an empty text".to_owned();
    }
    let short: String = text.chars().take(QUOTED_CHARACTERS_MAX).collect();
    format!("`{short}`")
}

/// A text; `what` is how a message calls it, such as "a name".
pub(super) fn text<'n>(report: &mut Report, node: &'n Node, what: &str, remedy: &str) -> Option<&'n str> {
    match &node.yaml {
        Yaml::Text(text) if text.contains('\0') => {
            nul(report, node);
            None
        }
        Yaml::Text(text) => Some(text),
        other => {
            let message = format!("{what} is a text, and {} was found", other.kind());
            report.add(node.span.clone(), Rule::WrongType, message, remedy);
            None
        }
    }
}

pub(super) fn nul(report: &mut Report, node: &Node) {
    let message = "the text contains the character U+0000";
    report.add(node.span.clone(), Rule::NulCharacter, message, "leave it out: databases cannot store it");
}

/// A name of the language: `[a-z0-9-]{1,64}`.
pub(super) fn token(report: &mut Report, node: &Node, what: &str) -> Option<At<Token>> {
    let remedy = "use 1 to 64 characters of a-z, 0-9 and '-'";
    let text = text(report, node, what, remedy)?;
    match Token::new(text) {
        Ok(token) => Some(At::new(token, node.span.clone())),
        Err(_) => {
            let message = format!("{} cannot be {what}", quoted(text));
            report.add(node.span.clone(), Rule::Name, message, remedy);
            None
        }
    }
}

/// `participant.command`.
pub(super) fn address(report: &mut Report, node: &Node, what: &str) -> Option<At<Address>> {
    let remedy = "write `participant.command`, such as inventory.reserve-stock";
    let text = text(report, node, what, remedy)?;
    let address =
        text.split_once('.').and_then(|(participant, command)| Address::new(participant, command).ok());
    let Some(address) = address else {
        let message = format!("{} is not `participant.command`", quoted(text));
        report.add(node.span.clone(), Rule::Call, message, remedy);
        return None;
    };
    if address.participant == ORCHESTRATOR {
        let message = format!("the participant `{ORCHESTRATOR}` is the orchestrator itself");
        report.add(node.span.clone(), Rule::Reserved, message, "call a service of yours");
        return None;
    }
    if address.command == FENCE {
        let message = format!("the command `{FENCE}` is answered by every participant for the orchestrator");
        report.add(node.span.clone(), Rule::Reserved, message, "give the command another name");
        return None;
    }
    Some(At::new(address, node.span.clone()))
}

/// A duration in milliseconds: a whole number and one unit.
pub(super) fn duration(report: &mut Report, node: &Node) -> Option<u64> {
    let remedy = "write a whole number and a unit: 200ms, 10s, 5m, 24h, 30d";
    if let Yaml::Int(number) = node.yaml {
        let message = format!("{number} is no duration: it has no unit");
        report.add(node.span.clone(), Rule::Duration, message, remedy);
        return None;
    }
    let text = text(report, node, "a duration", remedy)?;
    let Some(ms) = milliseconds(text) else {
        let message = format!("{} is no duration", quoted(text));
        report.add(node.span.clone(), Rule::Duration, message, remedy);
        return None;
    };
    if (1..=DURATION_MS_MAX).contains(&ms) {
        return Some(ms);
    }
    let message = format!("{} is out of range: 1ms to 3650d", quoted(text));
    report.add(node.span.clone(), Rule::Duration, message, remedy);
    None
}

/// `u64::MAX` for what is beyond it; `None` for what is no duration.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    if number.is_empty() {
        return None;
    }
    Some(number.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(factor))
}

/// A whole number in a range.
pub(super) fn whole(report: &mut Report, node: &Node, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let remedy = format!("write a whole number from {} to {}", range.start(), range.end());
    match node.yaml {
        Yaml::Int(number) => {
            let number = u32::try_from(number).ok().filter(|number| range.contains(number));
            if number.is_none() {
                report.add(node.span.clone(), Rule::Range, format!("{what} is out of range"), remedy);
            }
            number
        }
        Yaml::BigInt => {
            report.add(node.span.clone(), Rule::Range, format!("{what} is out of range"), remedy);
            None
        }
        _ => {
            let message = format!("{what} is a whole number, and {} was found", node.yaml.kind());
            report.add(node.span.clone(), Rule::WrongType, message, remedy);
            None
        }
    }
}

/// A number in a range.
pub(super) fn number(
    report: &mut Report,
    node: &Node,
    what: &str,
    range: RangeInclusive<f64>,
) -> Option<f64> {
    let remedy = format!("write a number from {} to {}", range.start(), range.end());
    let number = match node.yaml {
        #[expect(clippy::cast_precision_loss, reason = "what loses precision is out of range")]
        Yaml::Int(number) => number as f64,
        Yaml::Float(number) => number,
        _ => {
            let message = format!("{what} is a number, and {} was found", node.yaml.kind());
            report.add(node.span.clone(), Rule::WrongType, message, remedy);
            return None;
        }
    };
    if range.contains(&number) {
        return Some(number);
    }
    report.add(node.span.clone(), Rule::Range, format!("{what} is out of range"), remedy);
    None
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        let known = ["200ms", "10s", "5m", "24h", "30d", "007s"].map(milliseconds);
        assert_eq!(known, [200, 10_000, 300_000, 86_400_000, 2_592_000_000, 7_000].map(Some));
        for text in ["", "s", "10", "1.5h", "10 s", "1h30m", "-5s", "10S", "10sec", "+1s", "١s"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
        assert_eq!(milliseconds("99999999999999999999999d"), Some(u64::MAX));
    }
}
