//! The demo's databases: files in the scratch folder, or databases of its own on a PostgreSQL server.
//!
//! Invariant: nothing is made or dropped but what has the name of this run; the database in
//! `DATABASE_URL` itself is only connected to.

use std::time::Duration;

use anyhow::Context;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use url::Url;

use super::scratch::Scratch;

/// Who owns one. The simulated provider keeps its own books, in a file.
pub(crate) const OWNERS: [&str; 4] = ["orchestrator", "inventory", "payment", "notification"];

/// A server that does not answer by then is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The databases of one run.
pub(crate) enum Databases {
    Sqlite,
    Postgres {
        server: Url,
        run: String,
        /// Whether the server answered, so that there may be something to drop.
        reached: bool,
    },
}

impl Databases {
    /// Where `server` (`DATABASE_URL`) says, if it names a PostgreSQL server; else files.
    pub(crate) fn of(server: Option<&str>, run: &str) -> anyhow::Result<Self> {
        match server.filter(|url| is_postgres(url)) {
            None => Ok(Self::Sqlite),
            Some(server) => {
                let server = Url::parse(server).context("DATABASE_URL is not a URL")?;
                Ok(Self::Postgres { server, run: run.to_owned(), reached: false })
            }
        }
    }

    /// Makes them; SQLite makes its files itself.
    pub(crate) async fn create(&mut self) -> anyhow::Result<()> {
        let Self::Postgres { server, run, reached } = self else { return Ok(()) };
        let connection = connect(server).await?;
        *reached = true;
        for owner in OWNERS {
            let name = name(run, owner);
            connection.execute_unprepared(&format!("CREATE DATABASE \"{name}\"")).await.with_context(
                || format!("{name} cannot be made: may the user of DATABASE_URL create databases?"),
            )?;
        }
        connection.close().await.context("the connection to PostgreSQL does not close")
    }

    /// Drops those that are there; files go with their folder.
    pub(crate) async fn drop_all(&self) -> anyhow::Result<()> {
        let Self::Postgres { server, run, reached: true } = self else { return Ok(()) };
        let connection = connect(server).await?;
        for owner in OWNERS {
            // FORCE: a killed service's connection may not have been noticed yet.
            let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", name(run, owner));
            connection.execute_unprepared(&drop).await.with_context(|| format!("{drop} failed"))?;
        }
        connection.close().await.context("the connection to PostgreSQL does not close")
    }

    /// The URL of one owner's database.
    pub(crate) fn url(&self, owner: &str, scratch: &Scratch) -> String {
        match self {
            Self::Sqlite => scratch.sqlite_url(owner),
            Self::Postgres { server, run, .. } => {
                let mut url = server.clone();
                url.set_path(&name(run, owner));
                url.into()
            }
        }
    }

    /// What they are, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Sqlite => "SQLite, a file for each service".to_owned(),
            Self::Postgres { run, .. } => {
                format!(
                    "PostgreSQL, a database for each service: {}",
                    OWNERS.map(|owner| name(run, owner)).join(", ")
                )
            }
        }
    }
}

async fn connect(server: &Url) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(server.as_str());
    options.max_connections(1).sqlx_logging(false).acquire_timeout(PATIENCE);
    Database::connect(options).await.context("the PostgreSQL server in DATABASE_URL does not answer")
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
}

/// A name out of `[a-z0-9_]` only, so that quoting is all it needs.
fn name(run: &str, owner: &str) -> String {
    format!("amends_demo_{run}_{owner}")
}

/// A name for this run, unique among all that may share a broker or a server.
pub(crate) fn unique_run() -> String {
    format!("{:012x}", rand::random::<u64>() >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_escaping() {
        let run = unique_run();
        assert_ne!(run, unique_run());
        for owner in OWNERS {
            let name = name(&run, owner);
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
            // PostgreSQL cuts longer ones silently.
            assert!(name.len() <= 63, "{name}");
        }
    }

    #[test]
    fn parameters_of_the_server_are_kept() {
        let server = Url::parse("postgres://me:secret@db:5433/shop?sslmode=disable").unwrap();
        let databases = Databases::Postgres { server, run: "0a".to_owned(), reached: false };
        let scratch = Scratch::new().unwrap();
        assert_eq!(
            databases.url("payment", &scratch),
            "postgres://me:secret@db:5433/amends_demo_0a_payment?sslmode=disable"
        );
    }
}
