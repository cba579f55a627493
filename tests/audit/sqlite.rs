//! On SQLite: the books of one day are copied for each plant, so that none sees another's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use amends_audit::{Expectations, Injected, Invariant, Report};
use amends_tests::{amends, books};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};
use tempfile::TempDir;

use crate::{
    day::Day,
    plants::{self, Plant},
};

/// A copy of all databases.
pub(crate) struct Copy {
    folder: TempDir,
}

impl Copy {
    fn of(original: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("amends books ").tempdir().expect("a temporary folder");
        for entry in fs::read_dir(original).expect("the folder can be listed") {
            let path = entry.expect("the folder can be listed").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            // The write-ahead log belongs to it.
            if name.ends_with(".db") || name.ends_with(".db-wal") {
                fs::copy(&path, folder.path().join(name)).expect("a file can be copied");
            }
        }
        Self { folder }
    }

    async fn open(&self, owner: &str) -> DatabaseConnection {
        let path: PathBuf = self.folder.path().join(owner).with_extension("db");
        // One connection, so that a pragma holds for what follows it.
        let mut options = ConnectOptions::new(format!("sqlite://{}", path.display()));
        options.max_connections(1);
        let db = Database::connect(options).await.expect("the copy can be opened");
        // Else the tables themselves refuse some of it.
        db.execute_unprepared("PRAGMA ignore_check_constraints = 1").await.expect("a pragma can be set");
        db
    }

    async fn report(&self, broker: &str, expectations: &Expectations) -> Report {
        books::report(books::sources_in(self.folder.path(), broker), expectations).await
    }
}

#[tokio::test]
async fn every_violation_that_is_planted_is_found_and_named() {
    let mut day = Day::live(None).await;
    let broker = day.system.broker.url();

    // Beside the running services, and all at rest.
    let report = books::balanced(&day.system).await;
    let seen = report.counters;
    assert!(seen.completed >= 4 && seen.compensated >= 3 && seen.open == 1, "{report}");
    assert!(seen.charges >= 5 && seen.refunds >= 2 && seen.mails >= 7 && seen.keys >= 8, "{report}");
    assert!(
        seen.stored_commands > 20 && seen.acknowledged_commands > 20 && seen.stored_replies > 20,
        "{report}"
    );
    command_line(&day);

    // Killed, so that nothing tidies up behind a plant.
    for name in ["orchestrator", "notification", "payment", "inventory", "provider"] {
        day.system.kill(name);
    }
    let original = day.system.folder().to_owned();
    let clean = Copy::of(&original).report(&broker, &Expectations::settled()).await;
    assert!(clean.is_clean(), "{clean}");

    for Plant { name, invariant, saga, owner, plant } in plants::all(&day) {
        let copy = Copy::of(&original);
        let db = copy.open(owner).await;
        plant(db.clone()).await;
        db.close().await.expect("the copy can be closed");
        let report = copy.report(&broker, &Expectations::settled()).await;
        let named = report.of(invariant).any(|finding| match saga.as_deref() {
            Some(saga) => finding.saga.is_some_and(|found| found.to_string() == saga),
            None => finding.saga.is_none(),
        });
        assert!(named, "{name}: {invariant} should name {saga:?}:\n{report}");
    }
    expected(&day, &Copy::of(&original), &broker).await;
    deleted(&day, &Copy::of(&original), &broker).await;
    streams(&day, &original, &broker).await;
}

/// What only whoever runs a test can know.
async fn expected(day: &Day, books: &Copy, broker: &str) {
    let injected = |poison, faults| Injected { poison, faults, sends_per_fault: 2 };
    let settled = Expectations::settled;
    let of = async |expectations: Expectations, invariant: Invariant| {
        let report = books.report(broker, &expectations).await;
        let count = report.of(invariant).count();
        assert!(report.found.keys().all(|found| *found == invariant), "{report}");
        count
    };
    assert_eq!(of(Expectations { injected: Some(injected(1..=1, 5)), ..settled() }, Invariant::L4).await, 1);
    assert_eq!(of(Expectations { injected: Some(injected(0..=0, 5)), ..settled() }, Invariant::L4).await, 0);

    let lost = "0193f6a0-0000-7000-8000-000000000001".parse().expect("a saga's id");
    let accepted = [lost, day.order.parse().expect("a saga's id")].into();
    assert_eq!(of(Expectations { accepted, ..settled() }, Invariant::L1).await, 1, "an order that was lost");
    let accepted = [day.order.parse().expect("a saga's id")].into();
    let all = Expectations { accepted, accepted_is_all: true, ..settled() };
    assert!(of(all, Invariant::I12).await >= 8, "orders that nobody has placed");
}

/// A saga that is gone is a loss, unless it was deleted because its time was over.
async fn deleted(day: &Day, books: &Copy, broker: &str) {
    let settled = || Expectations {
        accepted: [day.undone.parse().expect("a saga's id")].into(),
        ..Expectations::settled()
    };
    let db = books.open("orchestrator").await;
    plants::delete(&db, &day.undone).await;
    let report = books.report(broker, &settled()).await;
    for invariant in [Invariant::L1, Invariant::I6] {
        assert!(report.of(invariant).any(|finding| finding.saga.is_some()), "{invariant}:\n{report}");
    }
    plants::remember_as_deleted(&db, &day.undone).await;
    db.close().await.expect("the copy can be closed");
    let report = books.report(broker, &settled()).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.counters.deleted, 1, "{report}");
}

/// What can only be planted into the streams themselves: that comes last, for there is one broker.
async fn streams(day: &Day, original: &Path, broker: &str) {
    let copy = Copy::of(original);
    plants::published_before_its_time(day, broker);
    let report = copy.report(broker, &Expectations::settled()).await;
    let named = |report: &Report, invariant: Invariant, saga: &str| {
        report.of(invariant).any(|finding| finding.saga.is_some_and(|found| found.to_string() == saga))
    };
    assert!(named(&report, Invariant::I6, &day.order), "a sending that was never committed:\n{report}");

    plants::a_storm(day, broker);
    let injected = Some(Injected { poison: 0..=0, faults: 1, sends_per_fault: 2 });
    let report = copy.report(broker, &Expectations { injected, ..Expectations::settled() }).await;
    assert_eq!(report.of(Invariant::L5).count(), 1, "{report}");

    plants::another_answer(day, broker);
    let report = copy.report(broker, &Expectations::settled()).await;
    assert!(named(&report, Invariant::I9, &day.order), "an answer that was never recorded:\n{report}");
}

/// `amends audit` says the same, and its exit codes say it to programs.
fn command_line(day: &Day) {
    let run = |arguments: &[&str]| {
        let env = day.system.env().iter().map(|(name, value)| (name, value));
        Command::new(amends()).arg("audit").args(arguments).envs(env).output().expect("the binary runs")
    };
    let told = run(&["--mail-catcher", &day.system.url("mail-catcher", "")]);
    let text = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&told.stderr));
    assert!(
        text.contains("nothing is wrong") && text.contains("looked at the orchestrator's database"),
        "{text}"
    );

    let told = run(&["--json", "--lease", "0", "--sends-factor", "0"]);
    let text = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(1), "{text}");
    assert!(
        text.lines().all(|line| line.starts_with('{')) && text.contains("\"invariant\":\"L5\""),
        "{text}"
    );

    assert_eq!(run(&["--lease", "soon"]).status.code(), Some(2));
    let told = run(&["--set", "provider.database.url=sqlite:///nowhere/provider.db"]);
    let text = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(78), "{text}");
    assert!(text.contains("there is no database at /nowhere/provider.db"), "{text}");
    let told =
        run(&["--set", "provider.database.url=sqlite:///nowhere/provider.db", "--without", "provider"]);
    assert_eq!(told.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&told.stdout).contains("not the provider's books"));
}
