//! What was seen, before anybody judges it.
//!
//! Invariant: what could not be seen is there as the reason why not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use amends_broker::{AccountFacts, ConsumerFacts, Permissions, ServerFacts, StreamFacts};
use amends_contract::{DefinitionRef, Digest, Stream};
use amends_definition::Definition;

/// What was seen, or why it was not.
pub(crate) type Seen<T> = Result<T, String>;

/// All that was seen.
pub(crate) struct Facts {
    pub(crate) broker: Seen<BrokerFacts>,
    pub(crate) orchestrator: Option<Seen<OrchestratorFacts>>,
    pub(crate) files: Option<Seen<Vec<File>>>,
    pub(crate) databases: Vec<Database>,
    pub(crate) machine: Machine,
}

/// What the broker says.
pub(crate) struct BrokerFacts {
    pub(crate) server: ServerFacts,
    pub(crate) account: Seen<AccountFacts>,
    pub(crate) streams: BTreeMap<Stream, Seen<Option<StreamFacts>>>,
    pub(crate) consumers: Vec<Consumer>,
    /// `None` when the server does not say.
    pub(crate) permissions: Option<Permissions>,
    /// Running processes by the name of what they are, as far as they show themselves.
    pub(crate) instances: Seen<BTreeMap<String, usize>>,
    /// How far the broker's clock is ahead of this machine's, in milliseconds.
    pub(crate) ahead_ms: Option<i64>,
}

/// A consumer that should be there.
pub(crate) struct Consumer {
    pub(crate) stream: Stream,
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) owner: String,
    pub(crate) seen: Seen<Option<ConsumerFacts>>,
}

/// What the orchestrator's own tables say.
pub(crate) struct OrchestratorFacts {
    /// API keys that open something.
    pub(crate) keys: Seen<usize>,
    pub(crate) definitions: Seen<BTreeMap<DefinitionRef, Digest>>,
    /// Those of them that this version can read.
    pub(crate) readable: Vec<Arc<Definition>>,
    /// Those that it cannot, with the reason.
    pub(crate) unreadable: Vec<(DefinitionRef, String)>,
    /// Calls of sagas that are neither in the folder nor stored.
    pub(crate) unknown_calls: Vec<String>,
}

/// A definition file.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) loaded: Result<Arc<Definition>, String>,
}

/// A database of one role.
pub(crate) struct Database {
    pub(crate) owner: &'static str,
    /// Its URL without secrets.
    pub(crate) place: String,
    /// Connections that one process of the role may open.
    pub(crate) connections_max: u32,
    pub(crate) seen: Seen<DatabaseFacts>,
}

/// What a database says of itself.
pub(crate) struct DatabaseFacts {
    pub(crate) kind: Kind,
    /// How far its clock is ahead of this machine's, in milliseconds; `None` where it is this machine's.
    pub(crate) ahead_ms: Option<i64>,
    /// Why its tables are not those of this version.
    pub(crate) schema: Result<(), String>,
}

pub(crate) enum Kind {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

/// A SQLite file.
pub(crate) struct Sqlite {
    pub(crate) path: PathBuf,
    pub(crate) journal_mode: String,
    pub(crate) disk: Seen<Disk>,
    /// Who holds the lock file.
    pub(crate) holder: Option<u32>,
}

/// A PostgreSQL server, or what speaks its protocol.
pub(crate) struct Postgres {
    /// Such as `150014`.
    pub(crate) version: u32,
    /// The cluster's own identifier, where it tells; else where it is.
    pub(crate) server: String,
    /// Settings by their names, as they are for our user.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) in_recovery: bool,
    /// Connections open now, of everybody.
    pub(crate) connections: u32,
    /// Where its data lie, if that is on this machine and told to us.
    pub(crate) disk: Option<Disk>,
}

impl Postgres {
    pub(crate) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    pub(crate) fn is_off(&self, name: &str) -> bool {
        self.setting(name) == "off"
    }

    /// Whether a commit waits for a standby.
    pub(crate) fn has_synchronous_standby(&self) -> bool {
        !self.setting("synchronous_standby_names").is_empty()
            && !matches!(self.setting("synchronous_commit"), "off" | "local")
    }
}

/// A file system, where something of ours lies on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) kind: FileSystem,
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Disk(&'static str),
    Memory(&'static str),
    Network(&'static str),
    /// The uppermost layer of a container.
    Layer,
    Unknown(u64),
}

/// This machine.
pub(crate) struct Machine {
    /// File descriptors that a process may have at most (hard limit); `None` without a limit.
    pub(crate) files_max: Option<u64>,
    /// Memory, in bytes.
    pub(crate) memory: Option<Memory>,
}

pub(crate) struct Memory {
    pub(crate) total_bytes: u64,
    pub(crate) available_bytes: u64,
}

impl Facts {
    /// The definitions that are, or will be, loaded: of the database and, where it has none of that name and version, of
    /// the folder.
    pub(crate) fn definitions(&self) -> Vec<Arc<Definition>> {
        let stored = self.orchestrator.iter().flatten().flat_map(|it| it.readable.iter().cloned());
        let files = self.files.iter().flatten().flatten().filter_map(|file| file.loaded.clone().ok());
        let mut found: BTreeMap<DefinitionRef, Arc<Definition>> = BTreeMap::new();
        for definition in stored.chain(files) {
            found.entry(definition.reference()).or_insert(definition);
        }
        found.into_values().collect()
    }

    /// The participants that they call.
    pub(crate) fn called(&self) -> BTreeSet<String> {
        let mut called = BTreeSet::new();
        for definition in self.definitions() {
            for step in definition.steps.iter().chain(&definition.on_compensated) {
                let addresses = [step.address(), step.undo_address()];
                called.extend(addresses.into_iter().flatten().map(|it| it.participant.to_string()));
            }
        }
        called.remove(amends_contract::ORCHESTRATOR);
        called
    }

    /// How many processes of a role run, as far as they show themselves.
    pub(crate) fn instances(&self, role: &str) -> Option<usize> {
        let instances = self.broker.as_ref().ok()?.instances.as_ref().ok()?;
        Some(instances.get(role).copied().unwrap_or(0))
    }

    /// The longest time after which a command goes out again, in milliseconds.
    pub(crate) fn longest_resend_ms(&self) -> u64 {
        let definitions = self.definitions();
        let steps = definitions.iter().flat_map(|it| it.steps.iter().chain(&it.on_compensated));
        steps.map(|step| step.resend_after_ms).max().unwrap_or(0)
    }
}
