//! What would be lost in which failure, in plain words, derived from what was found.
//!
//! Invariant: where something is not known, the worse is said, with the reason.

use serde::Serialize;

use crate::deployment::Deployment;
use crate::facts::{Database, Facts, FileSystem, Kind};

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// What fails.
    pub failure: String,
    /// What is lost then.
    pub lost: String,
    /// What Amends does about it, and what is left to people.
    pub then: String,
}

/// The table.
pub(crate) fn table(deployment: &Deployment, facts: &Facts) -> Vec<Loss> {
    let mut table = vec![Loss {
        failure: "a process dies".to_owned(),
        lost: "nothing".to_owned(),
        then: "what it had not acknowledged comes again, its timers are taken over by another or by itself; a mail that was \
               being handed over is reported as uncertain"
            .to_owned(),
    }];
    for database in &facts.databases {
        table.push(machine_dies(database));
        table.push(disk_dies(database));
    }
    table.push(broker_lost(deployment, facts));
    table.extend(one_server_away(facts));
    table.extend(restored(facts));
    table
}

/// Whether a commit outlives the machine's power; the reason where it does not.
fn keeps(database: &Database) -> Result<(), String> {
    let seen = database.seen.as_ref().map_err(|why| format!("it could not be looked at ({why})"))?;
    match &seen.kind {
        Kind::Postgres(server) => match ["fsync", "full_page_writes"].iter().find(|name| server.is_off(name))
        {
            Some(name) => Err(format!("{name} is off: the database may be unreadable afterwards")),
            None if server.is_off("synchronous_commit") => {
                Err("synchronous_commit is off: the last half second is gone".to_owned())
            }
            None => Ok(()),
        },
        Kind::Sqlite(file) => match &file.disk {
            Ok(disk) => match disk.kind {
                FileSystem::Memory(name) => Err(format!("it lies in memory ({name}): all of it")),
                FileSystem::Network(name) => Err(format!("it lies on a network file system ({name})")),
                FileSystem::Layer => {
                    Err("it lies in a container's own layer: all of it goes with the container".to_owned())
                }
                FileSystem::Disk(_) | FileSystem::Unknown(_) => Ok(()),
            },
            Err(why) => Err(format!("its file system is not known ({why})")),
        },
    }
}

fn machine_dies(database: &Database) -> Loss {
    let owner = database.owner;
    let failure = format!("the machine of {owner}'s database loses its power");
    match keeps(database) {
        Ok(()) => Loss {
            failure,
            lost: "nothing that was committed, if its disk keeps what it says it has written".to_owned(),
            then: "it goes on when the machine is back; sagas that need it are held meanwhile".to_owned(),
        },
        Err(why) => Loss {
            failure,
            lost: format!("perhaps what was committed: {why}"),
            then: "nobody notices by itself: run `amends audit`, and see docs/runbooks/database-restored.md"
                .to_owned(),
        },
    }
}

fn disk_dies(database: &Database) -> Loss {
    let owner = database.owner;
    let failure = format!("the disk of {owner}'s database dies");
    let standby = match &database.seen {
        Ok(seen) => match &seen.kind {
            Kind::Postgres(server) if server.has_synchronous_standby() && keeps(database).is_ok() => {
                return Loss {
                    failure,
                    lost: "nothing, as long as the synchronous standby lives".to_owned(),
                    then: "promote the standby, and lead the URLs to it".to_owned(),
                };
            }
            Kind::Postgres(_) => "or not yet at an asynchronous standby",
            Kind::Sqlite(_) => "for there is one file and no copy",
        },
        Err(_) => "whether there is a standby is not known",
    };
    Loss {
        failure,
        lost: format!("everything since the last backup, {standby}"),
        then: "restore the backup as docs/runbooks/database-restored.md says, and audit".to_owned(),
    }
}

fn broker_lost(deployment: &Deployment, facts: &Facts) -> Loss {
    let resend_s = facts.longest_resend_ms().div_ceil(1_000);
    let within = if resend_s == 0 { "resend_after".to_owned() } else { format!("{resend_s} s") };
    let kept = deployment.orchestrator.iter().map(|it| it.loops.event_keep_h);
    let kept_h =
        kept.chain(deployment.participants.iter().map(|it| it.event_kept_s / 3_600)).min().unwrap_or(24);
    Loss {
        failure: "the broker's store is lost, or rolled back".to_owned(),
        lost: format!(
            "no saga and no effect: sagas are delayed. Events older than {kept_h} h that a consumer had not read; stored commands, \
             which could have been looked at; dead letters that were not yet copied into SQL"
        ),
        then: format!(
            "streams and consumers are made anew, open commands are sent again within {within}, events of the last {kept_h} h are \
             published again"
        ),
    }
}

/// What a cluster does without one of its servers.
fn one_server_away(facts: &Facts) -> Option<Loss> {
    let broker = facts.broker.as_ref().ok()?;
    let failure = "one nats-server dies".to_owned();
    let copies = broker.streams.values().flatten().flatten().map(|stream| stream.replicas).min()?;
    Some(match (&broker.server.cluster, copies) {
        (None, _) => Loss {
            failure,
            lost: "nothing, if its disk lives; it is the only one".to_owned(),
            then: "sagas are accepted and held until it is back".to_owned(),
        },
        (Some(_), 0..3) => Loss {
            failure,
            lost: "nothing, if its disk lives; the streams with one copy on it are away with it".to_owned(),
            then: "sagas are held until it is back; with three copies (R3) they would go on".to_owned(),
        },
        (Some(_), copies) => Loss {
            failure,
            lost: "nothing".to_owned(),
            then: format!(
                "a new leader is elected within seconds; {} of {copies} may be away",
                (copies - 1) / 2
            ),
        },
    })
}

/// What a backup of last night brings back, and what it does not.
fn restored(facts: &Facts) -> Vec<Loss> {
    let mut table = Vec::new();
    for database in &facts.databases {
        let owner = database.owner;
        let is_orchestrator = owner == crate::deployment::ORCHESTRATOR;
        table.push(Loss {
            failure: format!("{owner}'s database is restored from last night's backup"),
            lost: if is_orchestrator {
                "every saga accepted since: nobody drives it, what it had done at participants stays done; sagas of before go back to \
                 where they were; idempotency keys since, so that a caller who asks again starts a second saga"
                    .to_owned()
            } else {
                format!(
                    "what {owner} did since, and its memory of having done it: what is asked again is done again, unless somebody else \
                     knows the key (a payment provider does)"
                )
            },
            then: if is_orchestrator {
                "sagas of before are asked for again and answered from the inboxes, so they settle rightly; replies of the lost ones are dead \
                 letters (unknown-saga). `amends audit` names what was left behind; make amends by hand"
                    .to_owned()
            } else {
                "sagas that have ended do not ask again: `amends audit` names what is missing (I9, I10). Stop the orchestrators before the \
                 restore, and audit before they start"
                    .to_owned()
            },
        });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{deployment, facts, postgres, sqlite};

    fn lost(facts: &Facts, failure: &str) -> String {
        let table = table(&deployment(), facts);
        table.iter().find(|loss| loss.failure == failure).unwrap_or_else(|| panic!("{table:#?}")).lost.clone()
    }

    #[test]
    fn a_durable_database_loses_nothing_with_the_power_and_all_with_the_disk() {
        let mut facts = facts();
        facts.databases = vec![sqlite("orchestrator", |_| {}), postgres("payment", &[])];
        for owner in ["orchestrator", "payment"] {
            let power = lost(&facts, &format!("the machine of {owner}'s database loses its power"));
            assert!(power.starts_with("nothing that was committed"), "{power}");
            let disk = lost(&facts, &format!("the disk of {owner}'s database dies"));
            assert!(disk.starts_with("everything since the last backup"), "{disk}");
        }
    }

    #[test]
    fn a_synchronous_standby_keeps_all_and_a_careless_server_may_lose_all() {
        let mut facts = facts();
        facts.databases = vec![postgres("payment", &[("synchronous_standby_names", "one")])];
        assert!(lost(&facts, "the disk of payment's database dies").starts_with("nothing"));
        facts.databases = vec![postgres("payment", &[("fsync", "off")])];
        let power = lost(&facts, "the machine of payment's database loses its power");
        assert!(power.contains("fsync is off"), "{power}");
    }

    #[test]
    fn what_was_not_seen_is_not_promised() {
        let mut facts = facts();
        let mut database = sqlite("payment", |_| {});
        database.seen = Err("refused".to_owned());
        facts.databases = vec![database];
        let power = lost(&facts, "the machine of payment's database loses its power");
        assert!(power.starts_with("perhaps") && power.contains("refused"), "{power}");
    }

    #[test]
    fn a_lost_broker_loses_no_saga_whatever_copies_it_has() {
        let facts = facts();
        assert!(
            lost(&facts, "the broker's store is lost, or rolled back").starts_with("no saga and no effect")
        );
        assert!(lost(&facts, "one nats-server dies").contains("it is the only one"));
    }
}
