//! A database of a test's own, migrated, with the store that is tested.

use std::sync::atomic::{AtomicU32, Ordering};

use amends_store::{Access, Config, Store};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use tempfile::TempDir;

use crate::postgres::Cluster;

pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) _folder: Option<TempDir>,
}

impl Database {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/sub folder/store.db", folder.path().display());
        Self::migrated(url, Some(folder)).await
    }

    pub(crate) async fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("store{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self::migrated(Cluster::shared().create(&name), None).await
    }

    async fn migrated(url: String, folder: Option<TempDir>) -> Self {
        // Sagas that are made by hand have no journal that they could be rebuilt from.
        let config = Config { url, snapshot_every: 1, ..Config::default() };
        let store = Store::connect(&config, Access::Exclusive).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, config, _folder: folder }
    }

    /// Another store on the same database, with other settings; it takes no lock.
    pub(crate) async fn with(&self, change: impl FnOnce(&mut Config)) -> Store {
        let mut config = self.config.clone();
        change(&mut config);
        Store::connect(&config, Access::Shared).await.unwrap()
    }

    /// Makes PostgreSQL join small tables as it joins large ones: by an index, in the order of the rows
    /// that we give. Only then does that order matter, and a wrong one deadlock.
    pub(crate) async fn join_like_large_tables(&self) {
        if self.config.url.starts_with("postgres:") {
            let set = "DO $$ DECLARE way text; BEGIN \
                       FOREACH way IN ARRAY ARRAY['hashjoin', 'mergejoin', 'seqscan', 'bitmapscan', 'sort'] LOOP \
                       EXECUTE format('ALTER DATABASE %I SET enable_%s = off', current_database(), way); \
                       END LOOP; END $$";
            self.outside().await.execute_unprepared(set).await.unwrap();
        }
    }

    /// Another process's view: it writes beside the store.
    pub(crate) async fn outside(&self) -> DatabaseConnection {
        sea_orm::Database::connect(&self.config.url.replace(' ', "%20")).await.unwrap()
    }

    /// Does something to the tables that the store would never do.
    pub(crate) async fn damage(&self, sql: &str) {
        let outside = self.outside().await;
        let result = outside.execute_unprepared(sql).await.unwrap();
        assert!(result.rows_affected() > 0, "{sql} changed nothing");
        outside.close().await.unwrap();
    }
}
