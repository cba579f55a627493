//! Clocks: how far do database and broker differ from this machine?
//!
//! What is due is due by the database's clock, so orchestrators never disagree; but people, journals and
//! participants see all of them side by side.

use crate::facts::Facts;
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const CLOCK: Check = Check(Area::Clock, "clock");

/// What a question takes, and what ntp leaves, in milliseconds.
const FINE_MS: u64 = 1_000;
/// Beyond this a saga's messages are not found by its journal (`orchestrator.api.messages_slack_ms`).
const WRONG_MS: u64 = 10_000;
/// Beyond this ages are misjudged.
const BROKEN_MS: u64 = 600_000;

pub(super) fn judge(_deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(broker) = &facts.broker {
        findings.push(match broker.ahead_ms {
            Some(ahead_ms) => difference("the broker", ahead_ms),
            None => CLOCK.unseen("the broker's clock was not seen", "no stream could be asked"),
        });
    }
    for database in &facts.databases {
        if let Ok(seen) = &database.seen
            && let Some(ahead_ms) = seen.ahead_ms
        {
            findings.push(difference(&format!("the database of {}", database.owner), ahead_ms));
        }
    }
    findings
}

fn difference(whose: &str, ahead_ms: i64) -> Finding {
    let by = ahead_ms.unsigned_abs();
    let way = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let found = format!("the clock of {whose} is {by} ms {way} this machine's");
    let remedy = "let an ntp client (chrony, systemd-timesyncd) set the clocks of all machines";
    match by {
        0..FINE_MS => CLOCK.ok(found),
        FINE_MS..WRONG_MS => CLOCK.note(found, "times in journals, streams and logs do not fit each other"),
        WRONG_MS..BROKEN_MS => CLOCK.warning(
            found,
            "the messages of a saga are looked for within 10 s of its journal's times, and are not found then",
            remedy,
        ),
        _ => CLOCK.error(
            found,
            "participants judge by their own clocks whether a saga is too old, and new consumers begin ten minutes back",
            remedy,
        ),
    }
}

#[test]
fn clocks_are_judged_by_what_their_difference_breaks() {
    use crate::Level;
    let level = |ms| difference("the broker", ms).level;
    assert_eq!([level(-999), level(5_000), level(-10_000)], [Level::Ok, Level::Note, Level::Warning]);
    assert_eq!(level(3_600_000), Level::Error);
    assert!(difference("x", -5_000).found.contains("5000 ms behind"));
}
