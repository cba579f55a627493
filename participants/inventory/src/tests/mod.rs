//! The inventory participant on SQLite and PostgreSQL, with only the broker played.

/// Runs each scenario, an `async fn(Inventory)`, once per kind of database.
macro_rules! on_both_databases {
    ($($scenario:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(crate::tests::shop::Inventory::sqlite().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(crate::tests::shop::Inventory::postgres().await).await;
            })+
        }
    };
}

mod domain;
mod http;
mod orders;
mod processes;
mod returns;
mod shop;
