//! Times that have to fit each other: horizons, deadlines, ages of streams, windows.

use amends_broker::StreamFacts;
use amends_contract::Stream;

use super::time;
use crate::facts::Facts;
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const HORIZON: Check = Check(Area::Definitions, "horizon");
const DEADLINE: Check = Check(Area::Definitions, "deadline");
const RESEND: Check = Check(Area::Definitions, "resend-after");
const MARGIN: Check = Check(Area::Definitions, "purge-margin");
const EVENTS: Check = Check(Area::Definitions, "events-kept");

/// What is kept for settling after a deadline, in seconds.
const SETTLING_S: u64 = 72 * 3600;

pub(super) fn judge(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let mut findings = horizons(deployment);
    findings.extend(deadlines(deployment, facts));
    let stream = |stream: Stream| facts.broker.as_ref().ok()?.streams.get(&stream)?.as_ref().ok()?.as_ref();
    if let Some(commands) = stream(Stream::Command) {
        findings.push(resend(deployment, facts, commands));
        findings.extend(margins(deployment, commands));
    }
    if let Some(events) = stream(Stream::Event) {
        findings.extend(kept_events(deployment, events));
    }
    findings
}

/// Participants have to remember for as long as the orchestrator lets sagas live.
fn horizons(deployment: &Deployment) -> Vec<Finding> {
    let Some(orchestrator) = &deployment.orchestrator else { return Vec::new() };
    let wanted = orchestrator.horizon_s;
    let mut findings = Vec::new();
    for participant in &deployment.participants {
        let (name, found) = (participant.name, participant.horizon_s);
        let said =
            format!("{name} remembers for {}, the orchestrator counts on {}", time(found), time(wanted));
        findings.push(if found < wanted {
            HORIZON.error(
                said,
                "it answers `expired` to sagas that the orchestrator still drives: their steps are stuck until somebody decides",
                format!("set {name}.participant.horizon_s to {wanted}, or orchestrator.horizon_s to {found}"),
            )
        } else {
            HORIZON.ok(said)
        });
    }
    findings
}

fn deadlines(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let Some(orchestrator) = &deployment.orchestrator else { return Vec::new() };
    let horizon_s = orchestrator.horizon_s;
    let mut findings = Vec::new();
    for definition in facts.definitions() {
        let reference = definition.reference();
        let Some(deadline_ms) = definition.deadline_ms else {
            findings.push(DEADLINE.note(
                format!("{reference} has no deadline"),
                format!(
                    "a saga that is older than {} and still has something to ask for is stuck as `expired`",
                    time(horizon_s)
                ),
            ));
            continue;
        };
        let deadline_s = deadline_ms / 1_000;
        let said = format!("{reference}: deadline {}, horizon {}", time(deadline_s), time(horizon_s));
        findings.push(if deadline_s.saturating_add(SETTLING_S) > horizon_s {
            DEADLINE.error(
                said,
                "72 h are kept for settling after the deadline: an orchestrator refuses the file, and such sagas may get stuck as `expired`",
                "shorten the deadline, or raise the horizon of the orchestrator and of all participants",
            )
        } else {
            DEADLINE.ok(said)
        });
    }
    findings
}

/// A command must not vanish before anybody asks again.
fn resend(deployment: &Deployment, facts: &Facts, commands: &StreamFacts) -> Finding {
    let longest_s = facts.longest_resend_ms().div_ceil(1_000);
    let back_s = deployment.nats.start_back_max_min.saturating_mul(60);
    let found = format!(
        "commands are kept for {} and sent again after {} at most; ids are remembered for {}",
        time(commands.max_age_s),
        time(longest_s),
        time(commands.duplicate_window_s)
    );
    if commands.max_age_s > 0 && commands.max_age_s <= longest_s {
        return RESEND.warning(
            found,
            "a command that nobody read in time is gone, and its saga notices only when it asks again",
            "raise nats.streams.command.max_age_s, or lower resend_after in the definition",
        );
    }
    if longest_s > back_s {
        return RESEND.note(
            found,
            format!(
                "a consumer that has to be made anew begins {} back: what is older waits until it is sent again",
                time(back_s)
            ),
        );
    }
    RESEND.ok(found)
}

/// Inbox rows live longer than the horizon by as much as a command may lie in its stream.
fn margins(deployment: &Deployment, commands: &StreamFacts) -> Vec<Finding> {
    let short = deployment.participants.iter().filter(|it| it.purge_margin_s < commands.max_age_s);
    short
        .map(|participant| {
            let name = participant.name;
            MARGIN.note(
                format!(
                    "{name} keeps inbox rows {} beyond the horizon, commands are kept for {}",
                    time(participant.purge_margin_s),
                    time(commands.max_age_s)
                ),
                "an old command that is sent again by hand is answered `expired` and not with what it came to; nothing is done twice",
            )
        })
        .collect()
}

/// Events are published again only as long as their outbox rows live.
fn kept_events(deployment: &Deployment, events: &StreamFacts) -> Vec<Finding> {
    let orchestrator = deployment
        .orchestrator
        .iter()
        .map(|it| ("orchestrator", it.loops.event_keep_h.saturating_mul(3_600)));
    let participants = deployment.participants.iter().map(|it| (it.name, it.event_kept_s));
    let shortest = orchestrator.chain(participants).min_by_key(|(_, kept)| *kept);
    let Some((owner, kept_s)) = shortest else { return Vec::new() };
    let found = format!(
        "events: {} in the stream, {} in the outbox of {owner}",
        time(events.max_age_s),
        time(kept_s)
    );
    vec![EVENTS.note(
        found,
        "if the stream is lost, what is younger than the outbox keeps is published again; older events that somebody had not read yet are lost to him",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::tests::{deployment, facts, level};

    #[test]
    fn what_ships_fits() {
        let findings = judge(&deployment(), &facts());
        assert!(findings.iter().all(|finding| finding.level <= Level::Note), "{findings:#?}");
        assert_eq!(level(&findings, "deadline"), Level::Ok);
    }

    #[test]
    fn a_participant_that_forgets_too_early_is_an_error() {
        let mut deployment = deployment();
        deployment.participants[0].horizon_s -= 1;
        assert_eq!(level(&judge(&deployment, &facts()), "horizon"), Level::Error);
    }

    #[test]
    fn a_deadline_that_is_not_remembered_is_an_error() {
        let mut deployment = deployment();
        deployment.orchestrator.as_mut().unwrap().horizon_s = 24 * 3600;
        assert_eq!(level(&judge(&deployment, &facts()), "deadline"), Level::Error);
    }

    #[test]
    fn a_stream_that_forgets_before_anybody_asks_again_is_a_warning() {
        let judged = |max_age_s| {
            let mut facts = facts();
            let streams = &mut facts.broker.as_mut().unwrap().streams;
            streams.get_mut(&Stream::Command).unwrap().as_mut().unwrap().as_mut().unwrap().max_age_s =
                max_age_s;
            judge(&deployment(), &facts)
        };
        assert_eq!(level(&judged(10), "resend-after"), Level::Warning);
        assert_eq!(level(&judged(11), "resend-after"), Level::Ok);
        assert_eq!(level(&judged(30 * 86_400), "purge-margin"), Level::Note);
    }
}
