//! PostgreSQL: does a commit survive, is it the server that may be written to, are there connections enough?

use std::collections::BTreeMap;

use crate::facts::{Database, Facts, Kind, Postgres};
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const VERSION: Check = Check(Area::Databases, "postgres-version");
const FSYNC: Check = Check(Area::Databases, "postgres-fsync");
const COMMIT: Check = Check(Area::Databases, "postgres-synchronous-commit");
const PAGES: Check = Check(Area::Databases, "postgres-full-page-writes");
const STANDBY: Check = Check(Area::Databases, "postgres-standby");
const RECOVERY: Check = Check(Area::Databases, "postgres-recovery");
const CONNECTIONS: Check = Check(Area::Databases, "postgres-connections");
const ISOLATION: Check = Check(Area::Databases, "postgres-isolation");

/// The oldest that its makers maintain, and the oldest of our tests.
const VERSION_MIN: u32 = 140_000;
const VERSION_TESTED: u32 = 150_000;

pub(super) fn judge(_deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    // Of each server once, however many databases lie on it; a user's own settings may differ.
    let mut servers: BTreeMap<&str, Vec<(&Database, &Postgres)>> = BTreeMap::new();
    for database in &facts.databases {
        if let Ok(seen) = &database.seen
            && let Kind::Postgres(server) = &seen.kind
        {
            servers.entry(&server.server).or_default().push((database, server));
        }
    }
    let mut findings = Vec::new();
    for databases in servers.values() {
        let mut said: Vec<(Vec<&str>, Finding)> = Vec::new();
        for (database, server) in databases {
            for finding in of_server(server) {
                match said.iter_mut().find(|(_, known)| *known == finding) {
                    Some((owners, _)) => owners.push(database.owner),
                    None => said.push((vec![database.owner], finding)),
                }
            }
        }
        findings.extend(said.into_iter().map(|(owners, finding)| Finding {
            found: format!("{} ({})", finding.found, owners.join(", ")),
            ..finding
        }));
        findings.extend(connections(facts, databases));
    }
    findings
}

fn of_server(server: &Postgres) -> Vec<Finding> {
    vec![
        version(server),
        fsync(server),
        synchronous_commit(server),
        full_page_writes(server),
        standby(server),
    ]
    .into_iter()
    .chain(recovery(server))
    .chain(isolation(server))
    .collect()
}

fn version(server: &Postgres) -> Finding {
    let found = format!("PostgreSQL {}.{}", server.version / 10_000, server.version % 10_000);
    match server.version {
        VERSION_TESTED.. => VERSION.ok(found),
        VERSION_MIN.. => {
            VERSION.note(found, "it is maintained, and older than what Amends is tested on (15)")
        }
        _ => VERSION.warning(
            found,
            "nobody mends it any more, and Amends is not tested on it",
            "upgrade to 15 or newer",
        ),
    }
}

fn fsync(server: &Postgres) -> Finding {
    if server.is_off("fsync") {
        return FSYNC.error(
            "fsync is off",
            "what was committed is not on the disk: after a crash of the machine the whole database may be unreadable",
            "set fsync = on in postgresql.conf, and reload; what was written before is made sure of by a checkpoint",
        );
    }
    FSYNC.ok("fsync is on")
}

fn synchronous_commit(server: &Postgres) -> Finding {
    let found = format!("synchronous_commit is {}", server.setting("synchronous_commit"));
    if server.is_off("synchronous_commit") {
        return COMMIT.error(
            found,
            "the last half second of what was accepted, paid or reserved is lost when the server crashes, although it was answered: \
             an effect may then happen twice, because its inbox row is gone and the provider's charge is not",
            "set synchronous_commit = on for the server, or for our users (ALTER ROLE .. SET synchronous_commit = on)",
        );
    }
    COMMIT.ok(found)
}

fn full_page_writes(server: &Postgres) -> Finding {
    if server.is_off("full_page_writes") {
        return PAGES.error(
            "full_page_writes is off",
            "a page that was half written when the machine crashed stays damaged, unless the file system writes pages whole (zfs)",
            "set full_page_writes = on, and reload",
        );
    }
    PAGES.ok("full_page_writes is on")
}

fn standby(server: &Postgres) -> Finding {
    let (names, level) = (server.setting("synchronous_standby_names"), server.setting("wal_level"));
    if server.has_synchronous_standby() {
        return STANDBY.ok(format!("commits wait for a standby ({names})"));
    }
    let archive = server.setting("archive_mode");
    STANDBY.note(
        format!("no synchronous standby (wal_level {level}, archive_mode {archive})"),
        "if the disk dies, what was committed since the last backup, or not yet at an asynchronous standby, is lost",
    )
}

fn recovery(server: &Postgres) -> Option<Finding> {
    server.in_recovery.then(|| {
        RECOVERY.error(
            "this server is a standby",
            "nothing can be written to it",
            "lead the URL to the primary, or promote this one if the primary is gone for good",
        )
    })
}

fn isolation(server: &Postgres) -> Option<Finding> {
    let isolation = server.setting("default_transaction_isolation");
    (!matches!(isolation, "read committed" | "")).then(|| {
        ISOLATION.warning(
            format!("default_transaction_isolation is {isolation}"),
            "commits are broken off more often and tried again; Amends' own version check makes it unnecessary",
            "leave it at read committed for our users",
        )
    })
}

/// Whether all pools of all processes find a connection.
fn connections(facts: &Facts, databases: &[(&Database, &Postgres)]) -> Option<Finding> {
    let (_, server) = databases.first()?;
    let number = |name| server.setting(name).parse::<u64>().ok();
    let max = number("max_connections")?;
    let usable = max.saturating_sub(number("superuser_reserved_connections").unwrap_or(3));
    let of = |database: &Database| {
        let processes = facts.instances(database.owner).unwrap_or(0).max(1) as u64;
        (processes, u64::from(database.connections_max) * processes)
    };
    let needed: u64 = databases.iter().map(|(database, _)| of(database).1).sum();
    let parts: Vec<String> = databases
        .iter()
        .map(|(database, _)| {
            let (processes, connections) = of(database);
            format!("{} {connections} ({processes} running)", database.owner)
        })
        .collect();
    let found = format!(
        "max_connections is {max}, {} are open; our pools may take {needed}: {}",
        server.connections,
        parts.join(", ")
    );
    let why = "a pool that finds no connection answers 503 and lets replies wait";
    // One process of each role more: so does a rolling restart look.
    let restarting: u64 = databases.iter().map(|(database, _)| u64::from(database.connections_max)).sum();
    Some(if needed > usable {
        CONNECTIONS.error(
            found,
            why,
            format!("set max_connections to {} or more, or make the pools smaller", needed + restarting + 10),
        )
    } else if needed + restarting > usable {
        CONNECTIONS.warning(
            found,
            format!(
                "{why}; it is enough now, and not while a second process of each role starts beside the first"
            ),
            format!("set max_connections to {} or more, or make the pools smaller", needed + restarting + 10),
        )
    } else {
        CONNECTIONS.ok(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::tests::{deployment, facts, found, level, postgres};

    fn judged(settings: &[(&str, &str)]) -> Vec<Finding> {
        let mut facts = facts();
        facts.databases = vec![postgres("orchestrator", settings), postgres("payment", settings)];
        judge(&deployment(), &facts)
    }

    #[test]
    fn a_durable_server_is_sound_and_said_once() {
        let findings = judged(&[]);
        assert!(findings.iter().all(|finding| finding.level <= Level::Note), "{findings:#?}");
        assert_eq!(found(&findings, "postgres-fsync"), "fsync is on (orchestrator, payment)");
        assert_eq!(level(&findings, "postgres-standby"), Level::Note);
    }

    #[test]
    fn what_is_not_durable_is_an_error() {
        for (setting, check) in [
            ("fsync", "postgres-fsync"),
            ("synchronous_commit", "postgres-synchronous-commit"),
            ("full_page_writes", "postgres-full-page-writes"),
        ] {
            assert_eq!(level(&judged(&[(setting, "off")]), check), Level::Error, "{setting}");
        }
    }

    #[test]
    fn a_standby_counts_only_if_commits_wait_for_it() {
        let standby = ("synchronous_standby_names", "one");
        assert_eq!(level(&judged(&[standby]), "postgres-standby"), Level::Ok);
        assert_eq!(
            level(&judged(&[standby, ("synchronous_commit", "local")]), "postgres-standby"),
            Level::Note
        );
    }

    #[test]
    fn pools_are_counted_against_the_server() {
        let of = |max| level(&judged(&[("max_connections", max)]), "postgres-connections");
        // Two databases with pools of ten, one process each; three places are the superuser's.
        assert_eq!((of("43"), of("42"), of("22")), (Level::Ok, Level::Warning, Level::Error));
    }

    #[test]
    fn old_servers_and_standbys_are_found() {
        let mut facts = facts();
        let mut database = postgres("orchestrator", &[]);
        if let Ok(seen) = &mut database.seen
            && let Kind::Postgres(server) = &mut seen.kind
        {
            (server.version, server.in_recovery) = (120_005, true);
        }
        facts.databases = vec![database];
        let findings = judge(&deployment(), &facts);
        assert_eq!(level(&findings, "postgres-version"), Level::Warning);
        assert_eq!(level(&findings, "postgres-recovery"), Level::Error);
    }
}
