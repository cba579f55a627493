//! Who runs: does every participant that a definition calls answer, and is there a second orchestrator?

use crate::deployment::ORCHESTRATOR;
use crate::facts::{BrokerFacts, Facts, Kind};
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const RUNS: Check = Check(Area::Processes, "participant");
const ORCHESTRATES: Check = Check(Area::Processes, "orchestrator");

pub(super) fn judge(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let broker = match &facts.broker {
        Ok(broker) => broker,
        Err(_) => return vec![RUNS.unseen("who runs was not looked at", "there is no broker to ask")],
    };
    if let Err(why) = &broker.instances {
        return vec![RUNS.unseen("who runs was not looked at", why.clone())];
    }
    let mut findings: Vec<Finding> =
        facts.called().iter().map(|name| participant(name, facts, broker)).collect();
    if deployment.orchestrator.is_some() {
        findings.push(orchestrator(facts, broker));
    }
    findings
}

/// Whether somebody reads what is sent to it, though it may not show itself.
fn is_read(broker: &BrokerFacts, name: &str) -> bool {
    broker.consumers.iter().any(|consumer| {
        consumer.owner == name && matches!(&consumer.seen, Ok(Some(found)) if found.waiting > 0)
    })
}

fn participant(name: &str, facts: &Facts, broker: &BrokerFacts) -> Finding {
    match facts.instances(name).unwrap_or(0) {
        0 if is_read(broker, name) => RUNS.note(
            format!("{name} reads its commands and does not show itself"),
            "with nats.micro = false, or without the permission for $SRV.>, it is not among the micro services; how many \
             processes of it run is not known",
        ),
        0 => RUNS.error(
            format!("no {name} runs"),
            "definitions call it: their sagas are held at that step, without losing anything, until it is there",
            format!("start {name}; if it runs, its /readyz says what it waits for, and nats.prefix has to be the same everywhere"),
        ),
        count => RUNS.ok(format!("{name}: {count} running")),
    }
}

fn orchestrator(facts: &Facts, broker: &BrokerFacts) -> Finding {
    let on_postgres = facts.databases.iter().any(|database| {
        database.owner == ORCHESTRATOR
            && matches!(&database.seen, Ok(seen) if matches!(seen.kind, Kind::Postgres(_)))
    });
    match facts.instances(ORCHESTRATOR).unwrap_or(0) {
        0 if is_read(broker, ORCHESTRATOR) => ORCHESTRATES.note(
            "an orchestrator reads replies and does not show itself",
            "with nats.micro = false, or without the permission for $SRV.>, it is not among the micro services",
        ),
        0 => ORCHESTRATES.error(
            "no orchestrator runs",
            "nothing is accepted, and no saga moves; what is committed goes on when one starts",
            "start one; if it runs, its /readyz says what it waits for",
        ),
        1 if on_postgres => ORCHESTRATES.warning(
            "one orchestrator runs",
            "while it is restarted, or its machine is away, nothing is accepted and no saga moves",
            "run a second one on another machine: on PostgreSQL any number share the work",
        ),
        count => ORCHESTRATES.ok(format!("orchestrator: {count} running")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::tests::{deployment, facts, found, level, postgres};

    fn running(role: &str, count: usize, waiting: usize) -> Vec<Finding> {
        let mut facts = facts();
        facts.databases = vec![postgres(ORCHESTRATOR, &[])];
        let broker = facts.broker.as_mut().unwrap();
        broker.instances.as_mut().unwrap().insert(role.to_owned(), count);
        for consumer in broker.consumers.iter_mut().filter(|consumer| consumer.owner == role) {
            consumer.seen.as_mut().unwrap().as_mut().unwrap().waiting = waiting;
        }
        judge(&deployment(), &facts)
    }

    #[test]
    fn a_participant_that_is_missing_is_an_error() {
        assert_eq!(level(&running("inventory", 2, 1), "participant"), Level::Ok);
        let findings = running("inventory", 0, 0);
        assert_eq!(
            (level(&findings, "participant"), found(&findings, "participant")),
            (Level::Error, "no inventory runs".into())
        );
        assert_eq!(level(&running("inventory", 0, 1), "participant"), Level::Note);
    }

    #[test]
    fn one_orchestrator_on_postgres_is_a_warning_and_none_an_error() {
        let level = |count, waiting| level(&running(ORCHESTRATOR, count, waiting), "orchestrator");
        assert_eq!(
            [level(2, 1), level(1, 1), level(0, 1), level(0, 0)],
            [Level::Ok, Level::Warning, Level::Note, Level::Error]
        );
    }

    #[test]
    fn without_a_broker_nothing_is_said_about_who_runs() {
        let mut facts = facts();
        facts.broker = Err("away".to_owned());
        assert_eq!(level(&judge(&deployment(), &facts), "participant"), Level::Unseen);
    }
}
