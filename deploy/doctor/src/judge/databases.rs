//! Every database: is it there, of this version, on something that keeps what it is given? And SQLite's own.
//!
//! What is particular to PostgreSQL stands in `postgres`.

use super::size;
use crate::deployment::ORCHESTRATOR;
use crate::facts::{Database, Disk, Facts, FileSystem, Kind, Sqlite};
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const REACHED: Check = Check(Area::Databases, "database");
const SCHEMA: Check = Check(Area::Databases, "database-schema");
const JOURNAL: Check = Check(Area::Databases, "sqlite-journal");
const FILES: Check = Check(Area::Databases, "sqlite-file-system");
const ALONE: Check = Check(Area::Databases, "sqlite-one-process");
const SHARED: Check = Check(Area::Databases, "database-shared");
const ROOM: Check = Check(Area::Databases, "database-room");

/// Below this there is little time to make room, in bytes (1 GiB), and in percent of the disk.
const ROOM_MIN: u64 = 1 << 30;
const ROOM_MIN_PERCENT: u64 = 5;

pub(super) fn judge(_deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.databases.iter().flat_map(of_database).collect();
    findings.extend(shared(&facts.databases));
    findings
}

fn of_database(database: &Database) -> Vec<Finding> {
    let Database { owner, place, .. } = database;
    let seen = match &database.seen {
        Ok(seen) => seen,
        Err(why) => {
            return vec![REACHED.error(
                format!("the database of {owner} at {place} cannot be looked at: {why}"),
                "what it holds is the truth; without it its service does nothing",
                format!("start it, or mend {owner}.database.url; has {owner} ever been started here?"),
            )];
        }
    };
    let mut findings = vec![match &seen.schema {
        Ok(()) => SCHEMA.ok(format!("the tables of {owner} are of this version")),
        Err(why) => SCHEMA.error(
            format!("the tables of {owner} are not of this version: {why}"),
            "a service brings its tables up to date when it starts; one that is older than its tables does not start",
            format!("run the newest binary everywhere; `amends migrate {owner}`"),
        ),
    }];
    match &seen.kind {
        Kind::Sqlite(file) => findings.extend(of_sqlite(owner, file)),
        Kind::Postgres(server) => findings.extend(server.disk.iter().map(|disk| room(owner, disk))),
    }
    findings
}

fn of_sqlite(owner: &str, file: &Sqlite) -> Vec<Finding> {
    let path = file.path.display();
    let mut findings = vec![if file.journal_mode == "wal" {
        JOURNAL
            .ok(format!("{owner}: SQLite at {path}, journal_mode wal; our connections set synchronous=FULL"))
    } else {
        JOURNAL.warning(
            format!("{owner}: SQLite at {path} has journal_mode {}", file.journal_mode),
            "each service sets wal when it opens its file: none has opened this one, or somebody changed it",
            format!("start {owner}; it sets wal"),
        )
    }];
    match &file.disk {
        Ok(disk) => findings.extend([file_system(owner, disk), room(owner, disk)]),
        Err(why) => {
            findings.push(FILES.unseen(format!("the file system of {owner} was not seen"), why.clone()))
        }
    }
    let holder = match file.holder {
        Some(pid) => format!("process {pid} has it open"),
        None => "no process has it open".to_owned(),
    };
    let why = if owner == ORCHESTRATOR {
        "SQLite belongs to one process, on one machine: while it is restarted no order is taken. Several orchestrators need PostgreSQL"
    } else {
        "SQLite belongs to one process, on one machine: while it is restarted its sagas wait"
    };
    findings.push(ALONE.note(format!("{owner}: {holder}"), why));
    findings
}

fn file_system(owner: &str, disk: &Disk) -> Finding {
    let remedy = format!("put it on a local disk: {owner}.database.url");
    match &disk.kind {
        FileSystem::Disk(name) => FILES.ok(format!("the database of {owner} lies on {name}")),
        FileSystem::Memory(name) => FILES.error(
            format!("the database of {owner} lies in memory ({name})"),
            "everything is gone when the machine restarts, and synchronous=FULL means nothing there",
            remedy,
        ),
        FileSystem::Network(name) => FILES.error(
            format!("the database of {owner} lies on a network file system ({name})"),
            "SQLite's locks and its write-ahead log do not hold there: the file may be damaged",
            remedy,
        ),
        FileSystem::Layer => FILES.warning(
            format!("the database of {owner} lies in a container's own layer"),
            "it is gone with the container",
            "mount a volume for it",
        ),
        FileSystem::Unknown(magic) => FILES.note(
            format!("the database of {owner} lies on a file system that is not known here ({magic:#x})"),
            "it has to keep locks and what was synced",
        ),
    }
}

fn room(owner: &str, disk: &Disk) -> Finding {
    let found =
        format!("the disk of {owner} has {} free of {}", size(disk.free_bytes), size(disk.total_bytes));
    let narrow = disk.free_bytes < ROOM_MIN
        || disk.free_bytes.saturating_mul(100) < disk.total_bytes * ROOM_MIN_PERCENT;
    if narrow {
        ROOM.warning(
            found,
            "on a full disk nothing is committed and nothing accepted; what is committed stays",
            "make room; docs/runbooks/disk-full.md",
        )
    } else {
        ROOM.ok(found)
    }
}

/// Two roles in one database would share the table of migrations.
fn shared(databases: &[Database]) -> Vec<Finding> {
    let pairs = databases.iter().enumerate().flat_map(|(index, one)| {
        databases[index + 1..].iter().filter(|other| other.place == one.place).map(move |other| (one, other))
    });
    pairs
        .map(|(one, other)| {
            SHARED.error(
                format!("{} and {} have the same database: {}", one.owner, other.owner, one.place),
                "each service owns its data: their tables and migrations get into each other's way",
                "give each a database of its own, also on one server",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::tests::{deployment, facts, level, sqlite};

    fn judged(change: impl FnOnce(&mut Sqlite)) -> Vec<Finding> {
        let mut facts = facts();
        facts.databases = vec![sqlite("orchestrator", change)];
        judge(&deployment(), &facts)
    }

    fn disk(kind: FileSystem, free_bytes: u64) -> Disk {
        Disk { kind, free_bytes, total_bytes: 100 << 30 }
    }

    #[test]
    fn a_file_on_a_disk_is_sound() {
        let findings = judged(|_| {});
        assert!(findings.iter().all(|finding| finding.level <= Level::Note), "{findings:#?}");
    }

    #[test]
    fn a_file_that_will_not_stay_is_an_error() {
        let on = |kind| level(&judged(|file| file.disk = Ok(disk(kind, 50 << 30))), "sqlite-file-system");
        assert_eq!(on(FileSystem::Memory("tmpfs")), Level::Error);
        assert_eq!(on(FileSystem::Network("nfs")), Level::Error);
        assert_eq!(on(FileSystem::Layer), Level::Warning);
        assert_eq!(on(FileSystem::Unknown(7)), Level::Note);
    }

    #[test]
    fn a_full_disk_and_another_journal_are_found() {
        let full = judged(|file| file.disk = Ok(disk(FileSystem::Disk("ext"), 2 << 30)));
        assert_eq!(level(&full, "database-room"), Level::Warning);
        assert_eq!(
            level(&judged(|file| "delete".clone_into(&mut file.journal_mode)), "sqlite-journal"),
            Level::Warning
        );
    }

    #[test]
    fn old_tables_missing_databases_and_shared_ones_are_errors() {
        let mut facts = facts();
        facts.databases = vec![sqlite("inventory", |_| {}), sqlite("inventory", |_| {})];
        let Ok(seen) = &mut facts.databases[0].seen else { unreachable!() };
        seen.schema = Err("2 migrations are missing".to_owned());
        let findings = judge(&deployment(), &facts);
        assert_eq!(level(&findings, "database-schema"), Level::Error);
        assert_eq!(level(&findings, "database-shared"), Level::Error);
        facts.databases[1].seen = Err("refused".to_owned());
        assert_eq!(level(&judge(&deployment(), &facts), "database"), Level::Error);
    }
}
