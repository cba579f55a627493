//! A sound deployment, for tests to spoil.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_broker::{AccountFacts, ConsumerFacts, ServerFacts, StreamFacts};
use amends_contract::{Names, Stream};
use amends_definition::Definition;
use amends_service::HttpConfig;

use crate::deployment::ORCHESTRATOR;
use crate::facts::{
    BrokerFacts, Consumer, Database, DatabaseFacts, Disk, Facts, File, FileSystem, Kind, Machine, Memory,
    OrchestratorFacts, Postgres, Sqlite,
};
use crate::{Deployment, Finding, Level, Participant};

pub(crate) const ORDER: &str = "saga: order\nversion: 1\ndeadline: 24h\ndefaults: { resend_after: 10s }\nsteps:\n- { name: reserve, kind: pivot, call: inventory.reserve-stock }\n";

/// Compiles [`ORDER`] with something behind it.
pub(crate) fn definition(behind: &str) -> Arc<Definition> {
    let source = format!("{ORDER}{behind}");
    Arc::new(Definition::compile("order.v1.yaml", &source, &|_| Err("none".to_owned())).unwrap())
}

pub(crate) fn deployment() -> Deployment {
    let inventory = Participant {
        name: "inventory",
        url: "sqlite://inventory.db".to_owned(),
        connections_max: 10,
        http: HttpConfig::on_port(8082),
        horizon_s: 30 * 86_400,
        purge_margin_s: 72 * 3_600,
        event_kept_s: 86_400,
        batch_count_max: 256,
        migrations: vec!["m0001".to_owned()],
    };
    Deployment {
        nats: amends_broker::Config::default(),
        orchestrator: Some(amends_server::Config::default()),
        participants: vec![inventory],
    }
}

pub(crate) fn facts() -> Facts {
    let definition = definition("");
    let known = OrchestratorFacts {
        keys: Ok(1),
        definitions: Ok([(definition.reference(), definition.digest)].into()),
        readable: vec![Arc::clone(&definition)],
        unreadable: Vec::new(),
        unknown_calls: Vec::new(),
    };
    Facts {
        broker: Ok(broker()),
        orchestrator: Some(Ok(known)),
        files: Some(Ok(vec![File { path: "order.v1.yaml".into(), loaded: Ok(definition) }])),
        databases: vec![sqlite(ORCHESTRATOR, |_| {}), sqlite("inventory", |_| {})],
        machine: Machine {
            files_max: Some(1 << 20),
            memory: Some(Memory { total_bytes: 16 << 30, available_bytes: 8 << 30 }),
        },
    }
}

fn broker() -> BrokerFacts {
    let stream = |stream: Stream| {
        let facts = StreamFacts {
            name: Names::default().stream(stream),
            replicas: 1,
            leader: None,
            peers: Vec::new(),
            on_disk: true,
            max_age_s: 72 * 3_600,
            bytes_max: Some(1 << 30),
            duplicate_window_s: 120,
            bytes: 0,
            messages: 0,
            differences: Vec::new(),
        };
        (stream, Ok(Some(facts)))
    };
    let consumer = |stream, owner: &str| Consumer {
        stream,
        name: owner.to_owned(),
        owner: owner.to_owned(),
        seen: Ok(Some(ConsumerFacts {
            peers: Vec::new(),
            waiting: 1,
            pending: 0,
            paused_ms: 0,
            differences: Vec::new(),
        })),
    };
    BrokerFacts {
        server: ServerFacts {
            name: "n1".to_owned(),
            version: "2.15.1".to_owned(),
            cluster: None,
            max_payload: 1 << 20,
            auth_required: false,
            tls_required: false,
        },
        account: Ok(AccountFacts { stored_bytes: 0, reserved_bytes: 4 << 30, bytes_max: None }),
        streams: Stream::ALL.map(stream).into(),
        consumers: vec![consumer(Stream::Command, "inventory"), consumer(Stream::Reply, ORCHESTRATOR)],
        permissions: None,
        instances: Ok([("inventory".to_owned(), 1), (ORCHESTRATOR.to_owned(), 1)].into()),
        ahead_ms: Some(3),
    }
}

/// A SQLite database, spoiled.
pub(crate) fn sqlite(owner: &'static str, spoil: impl FnOnce(&mut Sqlite)) -> Database {
    let path = format!("{owner}.db");
    let disk = Disk { kind: FileSystem::Disk("ext"), free_bytes: 50 << 30, total_bytes: 100 << 30 };
    let mut file =
        Sqlite { path: path.clone().into(), journal_mode: "wal".to_owned(), disk: Ok(disk), holder: Some(7) };
    spoil(&mut file);
    database(owner, format!("sqlite://{path}"), Kind::Sqlite(file), None)
}

/// A PostgreSQL database with some settings of its own.
pub(crate) fn postgres(owner: &'static str, settings: &[(&str, &str)]) -> Database {
    let sound = [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("wal_level", "replica"),
        ("max_connections", "100"),
        ("superuser_reserved_connections", "3"),
        ("default_transaction_isolation", "read committed"),
    ];
    let settings: BTreeMap<String, String> =
        sound.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let server = Postgres {
        version: 150_014,
        server: "1".to_owned(),
        settings,
        in_recovery: false,
        connections: 20,
        disk: None,
    };
    database(owner, format!("postgres://db/{owner}"), Kind::Postgres(Box::new(server)), Some(0))
}

fn database(owner: &'static str, place: String, kind: Kind, ahead_ms: Option<i64>) -> Database {
    Database { owner, place, connections_max: 10, seen: Ok(DatabaseFacts { kind, ahead_ms, schema: Ok(()) }) }
}

/// The levels of all findings of one check.
pub(crate) fn levels(findings: &[Finding], check: &str) -> Vec<Level> {
    findings.iter().filter(|finding| finding.check == check).map(|finding| finding.level).collect()
}

/// The worst of them.
pub(crate) fn level(findings: &[Finding], check: &str) -> Level {
    let worst = levels(findings, check).into_iter().max();
    worst.unwrap_or_else(|| panic!("{check} is not judged: {findings:#?}"))
}

/// What the first of them says.
pub(crate) fn found(findings: &[Finding], check: &str) -> String {
    let first = findings.iter().find(|finding| finding.check == check);
    first.unwrap_or_else(|| panic!("{check} is not judged: {findings:#?}")).found.clone()
}
