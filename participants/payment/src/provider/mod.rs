//! A simulated payment provider: an HTTP server of its own process, with its own books.
//!
//! It stands for somebody else's service, so it shares nothing with the participant but HTTP. It honours
//! idempotency keys for ever, even across kill -9, and misbehaves on demand ([`Switches`], card tokens).
//! Invariant: money is taken at most once per key, and no more given back than was taken.

mod books;
mod config;
mod decide;
mod entity;
mod http;
mod lists;
mod switches;

use std::net::SocketAddr;

use amends_service::config::redact_url;
use anyhow::Context;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use switches::Switches;

/// A provider whose port is open and whose books are, too.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    config: Config,
    books: books::Books,
}

impl Bound {
    /// Opens the port and the books.
    ///
    /// # Errors
    /// The port is taken, a switch is out of range, or the books cannot be opened.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        if let Some((field, why)) = config.switches.problem() {
            anyhow::bail!("provider.switches.{field} {why}");
        }
        make_folder(&config.database.url)?;
        let books = books::Books::open(&config)
            .await
            .with_context(|| format!("cannot open the provider's books at {}", config.database.url))?;
        let listener = amends_service::http::bind(&config.http).await.context("provider.http.listen")?;
        let address = listener.local_addr().context("the listener has no address")?;
        Ok(Self { listener, address, config, books })
    }

    /// Where it listens; tells the port when the configuration says 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the token is cancelled and the open requests are answered.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let http = self.config.http.clone();
        let router = http::router(self.config, self.books, shutdown.clone());
        amends_service::http::serve(self.listener, router, &http, shutdown).await?;
        Ok(())
    }
}

/// Runs the provider until the token is cancelled.
///
/// # Errors
/// It cannot start: see [`Bound::bind`].
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    Bound::bind(config).await?.serve(shutdown).await
}

/// SQLite makes a missing file, but not the folder it is to lie in.
fn make_folder(url: &str) -> anyhow::Result<()> {
    let options: SqliteConnectOptions = url.parse().with_context(|| {
        format!("provider.database.url must be sqlite://<path>, found {}", redact_url(url))
    })?;
    match options.get_filename().parent() {
        Some(folder) => std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display())),
        None => Ok(()),
    }
}
