//! Twenty orders through the benchmark, on SQLite: all of its parts work together.

use std::path::PathBuf;

use amends_bench::run::{Places, miniature};

#[tokio::test]
async fn twenty_orders_are_measured_and_their_books_balance() -> anyhow::Result<()> {
    let places =
        Places { program: PathBuf::from(env!("CARGO_BIN_EXE_amends-bench")), data: std::env::temp_dir() };
    let wrong = miniature(&places).await?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
