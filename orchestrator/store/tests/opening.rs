//! Opening the database: who may, what is refused, and with which words.

use amends_store::{Access, Config, ErrorKind, Store};
use futures::future::join_all;

use crate::database::Database;
use crate::sagas::{start, started, won};

on_both_databases!(
    tables_are_made_once_whoever_tries,
    tables_of_a_newer_version_are_refused,
    the_clock_is_the_databases,
);

async fn tables_are_made_once_whoever_tries(db: Database) {
    started(&db.store, [1]).await;
    db.store.migrate().await.unwrap();
    db.store.check_schema().await.unwrap();
    assert!(db.store.saga(crate::sagas::id(1)).await.unwrap().is_some());
}

async fn tables_of_a_newer_version_are_refused(db: Database) {
    db.damage("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 1)").await;
    for result in [db.store.migrate().await, db.store.check_schema().await] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
        assert!(error.to_string().contains("m9999_future"), "{error}");
    }
}

async fn the_clock_is_the_databases(db: Database) {
    let before = db.store.now().await.unwrap();
    let loaded = db.store.load(&[crate::sagas::id(1)]).await.unwrap().now;
    let after = db.store.now().await.unwrap();
    assert!(before <= loaded && loaded <= after, "{before} {loaded} {after}");
    assert!(after > crate::sagas::at(0).minus_ms(2 * 365 * 86_400_000), "{after}");
    db.store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_make_the_tables_together() {
    let db = Database::postgres().await;
    let outside = db.outside().await;
    for table in ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"] {
        sea_orm::ConnectionTrait::execute_unprepared(&outside, table).await.unwrap();
    }
    let tasks = (0..4).map(|_| {
        let config = db.config.clone();
        tokio::spawn(async move {
            let store = Store::connect(&config, Access::Exclusive).await.unwrap();
            store.migrate().await
        })
    });
    for result in join_all(tasks).await {
        result.unwrap().unwrap();
    }
    started(&db.store, [1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_orchestrator_on_one_sqlite_file_is_refused() {
    let db = Database::sqlite().await;
    let error = Store::connect(&db.config, Access::Exclusive).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    let text = error.to_string();
    assert!(text.contains("store.db") && text.contains(&std::process::id().to_string()), "{text}");

    // Beside it, an administrator may write and look.
    let shared = Store::connect(&db.config, Access::Shared).await.unwrap();
    won(&shared, start(1)).await;
    let reading = Store::connect(&db.config, Access::ReadOnly).await.unwrap();
    assert!(reading.saga(crate::sagas::id(1)).await.unwrap().is_some());
    reading.commit(&[start(2)]).await.unwrap_err();

    // The lock goes with the last clone.
    let Database { store, config, _folder } = db;
    let clone = store.clone();
    drop(store);
    assert!(Store::connect(&config, Access::Exclusive).await.is_err());
    clone.close().await;
    drop(clone);
    Store::connect(&config, Access::Exclusive).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("sqlite://{}/none.db", folder.path().display());
    std::fs::write(folder.path().join("file"), "not a folder").unwrap();
    let below_file = format!("sqlite://{}/file/x.db", folder.path().display());
    std::fs::write(
        folder.path().join("text.db"),
        "this is no database, but a text of some length ".repeat(99),
    )
    .unwrap();
    let no_database = format!("sqlite://{}/text.db", folder.path().display());
    let cases = [
        ("mysql://root:s3cret@db/x", Access::Exclusive, ErrorKind::Config, "postgres://"),
        ("sqlite::memory:", Access::Exclusive, ErrorKind::Config, "name a file"),
        (&missing, Access::ReadOnly, ErrorKind::Open, "none.db"),
        (&below_file, Access::Exclusive, ErrorKind::Open, "file/x.db"),
        (&no_database, Access::Exclusive, ErrorKind::Open, "not a database"),
        ("postgres://amends:s3cret@127.0.0.1:1/x", Access::Exclusive, ErrorKind::Open, "127.0.0.1:1"),
    ];
    for (url, access, kind, says) in cases {
        let config = Config { url: url.to_owned(), connect_timeout_ms: 200, ..Config::default() };
        let error = Store::connect(&config, access).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(says) && !text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn tables_that_are_missing_name_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { url: format!("sqlite://{}/new.db", folder.path().display()), ..Config::default() };
    let store = Store::connect(&config, Access::Exclusive).await.unwrap();
    for error in [store.check_schema().await.unwrap_err(), store.commit(&[start(1)]).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
        assert!(error.to_string().contains("amends migrate"), "{error}");
    }
}
