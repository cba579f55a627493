//! Limits of this machine against what the configured processes may ask of it.

use amends_service::HttpConfig;

use super::size;
use crate::deployment::ORCHESTRATOR;
use crate::facts::Facts;
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const FILES: Check = Check(Area::Machine, "open-files");
const MEMORY: Check = Check(Area::Machine, "memory");

/// What a process has open besides connections: files, the broker, the runtime's own.
const FILES_OTHERWISE: u64 = 64;

/// What an orchestrator takes under full load, in bytes (160 MiB, measured), and a participant less.
const PROCESS_BYTES: u64 = 160 << 20;

pub(super) fn judge(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let mut findings = files(deployment, facts);
    let processes = deployment.participants.len() as u64 + u64::from(deployment.orchestrator.is_some());
    let needed = processes * PROCESS_BYTES;
    findings.extend(facts.machine.memory.as_ref().map(|memory| {
        let found = format!("{} of {} memory are available", size(memory.available_bytes), size(memory.total_bytes));
        if memory.available_bytes < needed {
            MEMORY.warning(
                found,
                format!("under full load the examined processes may take {} together, beside broker and databases", size(needed)),
                "more memory, or fewer processes on this machine",
            )
        } else {
            MEMORY.ok(found)
        }
    }));
    findings
}

fn files(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let count = |http: &HttpConfig| (http.connections_max + http.refusals_max) as u64;
    let pool = |owner: &str| {
        let pools = facts.databases.iter().filter(|database| database.owner == owner);
        pools.map(|database| u64::from(database.connections_max)).sum::<u64>()
    };
    let orchestrator = deployment.orchestrator.iter().map(|config| {
        // SQLite opens three files a connection.
        (ORCHESTRATOR, count(&config.http) + count(&config.admin) + 3 * pool(ORCHESTRATOR))
    });
    let participants =
        deployment.participants.iter().map(|it| (it.name, count(&it.http) + 3 * pool(it.name)));
    let of_role = |(role, connections): (&str, u64)| {
        let needed = connections + FILES_OTHERWISE;
        let max = facts.machine.files_max.unwrap_or(u64::MAX);
        let limit = facts.machine.files_max.map_or("no limit".to_owned(), |max| max.to_string());
        let found = format!("{role} may need {needed} open files; the hard limit here is {limit}");
        if max < needed {
            FILES.warning(
                found,
                "a process without descriptors takes no connection and opens none: it looks dead when it is busiest",
                format!("LimitNOFILE={} in its unit (`ulimit -Hn`), or fewer http.connections_max", needed.next_power_of_two()),
            )
        } else {
            FILES.ok(found)
        }
    };
    orchestrator.chain(participants).map(of_role).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::facts::Memory;
    use crate::tests::{deployment, facts, level, levels};

    #[test]
    fn limits_are_held_against_what_may_be_asked() {
        let judged = |files_max| {
            let mut facts = facts();
            facts.machine.files_max = files_max;
            levels(&judge(&deployment(), &facts), "open-files")
        };
        assert_eq!(judged(None), [Level::Ok, Level::Ok]);
        assert_eq!(judged(Some(1_024)), [Level::Warning, Level::Warning]);
        assert_eq!(judged(Some(1_500)), [Level::Warning, Level::Ok], "an orchestrator has two listeners");
    }

    #[test]
    fn a_machine_without_memory_is_a_warning() {
        let mut facts = facts();
        facts.machine.memory = Some(Memory { total_bytes: 1 << 30, available_bytes: 100 << 20 });
        assert_eq!(level(&judge(&deployment(), &facts), "memory"), Level::Warning);
    }
}
