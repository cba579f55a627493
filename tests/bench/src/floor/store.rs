//! The rows, and the two kinds of database that keep them.
//!
//! Invariant: a commit is one transaction, on the disk before it returns.

use anyhow::Context;
use bytes::Bytes;
use uuid::Uuid;

use super::{Arguments, Database, ORCHESTRATOR, laden::Laden, postgres::Postgres, sqlite::Sqlite};

/// A saga's new state, and the entry of its log that tells why.
pub(super) struct SagaRow {
    pub(super) id: Uuid,
    /// Also the entry's number: each transition writes one.
    pub(super) version: i32,
    pub(super) status: &'static str,
    pub(super) state: Vec<u8>,
    pub(super) entry: Vec<u8>,
    pub(super) at: i64,
}

/// An effect, and the reply that the inbox keeps of it.
pub(super) struct EffectRow {
    pub(super) id: String,
    pub(super) saga: Uuid,
    pub(super) kind: &'static str,
    pub(super) amount: i64,
    pub(super) reply: Bytes,
    pub(super) at: i64,
}

/// The database of one component.
pub(super) enum Store {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// Makes it.
    pub(super) async fn open(component: &'static str, arguments: &Arguments) -> anyhow::Result<Self> {
        Ok(match arguments.database {
            Database::Sqlite => Self::Sqlite(match &arguments.tables {
                Some(path) if component == ORCHESTRATOR && arguments.laden == Laden::Rows => {
                    Sqlite::laden(component, path)?
                }
                _ => Sqlite::open(component, &arguments.folder)?,
            }),
            Database::Postgres => {
                let url = arguments.database_url.as_deref().context("--database-url is missing")?;
                Self::Postgres(Postgres::open(component, url).await?)
            }
        })
    }

    /// Writes each saga whose row is still of the version before.
    ///
    /// # Errors
    /// When one is not: nobody else may write here.
    pub(super) async fn commit_sagas(&mut self, rows: Vec<SagaRow>) -> anyhow::Result<()> {
        let count = rows.len();
        let won = match self {
            Self::Sqlite(store) => store.commit_sagas(rows).await?,
            Self::Postgres(store) => store.commit_sagas(rows).await?,
        };
        anyhow::ensure!(won == count, "{} sagas were changed by somebody else", count - won);
        Ok(())
    }

    /// Writes each effect that is not there yet; of one that is, gives back the reply as it was recorded.
    pub(super) async fn commit_effects(&mut self, rows: Vec<EffectRow>) -> anyhow::Result<Vec<EffectRow>> {
        match self {
            Self::Sqlite(store) => store.commit_effects(rows).await,
            Self::Postgres(store) => store.commit_effects(rows).await,
        }
    }

    /// The number that a query counts.
    pub(super) async fn count(&mut self, query: &'static str) -> anyhow::Result<i64> {
        match self {
            Self::Sqlite(store) => store.count(query).await,
            Self::Postgres(store) => store.count(query).await,
        }
    }
}
