//! REST: the public listener for back ends, the admin listener for operators.
//!
//! Every handler is parse -> ask the core or the store -> view. It knows no rule of sagas.
//!
//! Invariant: whatever cannot be answered is a problem that says what and where; nothing but a bug of ours
//! is a 500.

mod admin;
mod app;
mod auth;
mod beginning;
mod described;
mod errors;
mod input;
mod paging;
mod prefer;
mod public;
mod reason;
mod sagas;
mod services;
mod signals;
mod submit;
mod tags;
#[cfg(test)]
mod tests;

use amends_broker::Broker;
use amends_service::Health;
use amends_service::http::{bind, serve as serve_listener};
use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::core::Core;
use app::App;

/// Serves both listeners until `shutdown` is cancelled and running requests are answered. When it returns,
/// no clone of `core` is left.
///
/// # Errors
/// When a listener cannot be opened; the message says what to do.
pub async fn serve(
    config: &Config,
    core: Core,
    broker: &Broker,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let public = bind(&config.http).await.context("orchestrator.http.listen")?;
    let admin = bind(&config.admin).await.context("orchestrator.admin.listen")?;
    serve_on(public, admin, config, core, broker, shutdown).await
}

async fn serve_on(
    public: TcpListener,
    admin: TcpListener,
    config: &Config,
    core: Core,
    broker: &Broker,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let health = health(&core, broker, shutdown);
    // One without the other is no orchestrator: whoever fails takes the other along.
    let stop = shutdown.child_token();
    let _stop_both = stop.clone().drop_guard();
    let app = App::new(core, config, shutdown);
    let public_router = public_router(app.clone());
    let services = services::Services::new(&app, &config.admin).run(broker.clone(), stop.clone());
    let admin_router = admin_router(app, &health);
    let public = serve_listener(public, public_router, &config.http, stop.clone());
    let admin = serve_listener(admin, admin_router, &config.admin, stop.clone());
    let services = async {
        services.await;
        Ok(())
    };
    tokio::try_join!(public, admin, services).context("a listener failed")?;
    Ok(())
}

/// What back ends may ask.
fn public_router(app: App) -> Router {
    public::router(app)
}

/// What operators may ask, with health and metrics.
fn admin_router(app: App, health: &Health) -> Router {
    admin::router(app, health)
}

fn health(core: &Core, broker: &Broker, shutdown: &CancellationToken) -> Health {
    let health = Health::new("orchestrator", shutdown);
    let store = core.store().clone();
    health.add("database", move || {
        let store = store.clone();
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    // Orders are taken while the broker is away: they are committed first and sent later.
    let broker = broker.clone();
    health.add_advisory("broker", move || {
        let problem = broker.health().not_ready();
        async move { problem.map_or(Ok(()), Err) }
    });
    health
}
