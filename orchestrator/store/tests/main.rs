//! The store's scenarios, each on SQLite and on PostgreSQL.
//!
//! One binary, so that all share one PostgreSQL cluster. PostgreSQL that is not installed is a failure
//! that names the remedy, never a silent pass.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Runs each scenario, an `async fn(Database)`, once per kind of database.
macro_rules! on_both_databases {
    ($($scenario:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(crate::database::Database::sqlite().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(crate::database::Database::postgres().await).await;
            })+
        }
    };
}

mod claims;
mod commits;
mod cut;
mod database;
mod definitions;
mod engine;
mod events;
mod failures;
mod keys;
mod letters;
mod listing;
mod opening;
mod participants;
mod pauses;
mod places;
mod postgres;
mod races;
mod retention;
mod sagas;
mod speed;
mod tcp;
