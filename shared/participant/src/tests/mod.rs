//! The participant's rules, each on SQLite and on PostgreSQL, with only the broker played.
//!
//! Invariant: effects are counted in the service's own table, which knows no uniqueness: what happened
//! twice is seen twice.

/// Runs each scenario, an `async fn(TestDb)`, once per kind of database.
macro_rules! on_both_databases {
    ($($scenario:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(crate::tests::service::TestDb::sqlite()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(crate::tests::service::TestDb::postgres()).await;
            })+
        }
    };
}

mod batches;
mod bulk;
mod calls;
mod dead;
mod events;
mod expiry;
mod fences;
mod inbox;
mod outages;
mod processes;
mod recovery;
mod service;
mod undos;
mod voiding;
mod wiring;
mod world;
