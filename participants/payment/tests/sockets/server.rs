//! A provider on a free port with books in a temporary folder, and a client for it.

use std::net::SocketAddr;

use amends_payment::provider::{Bound, Config};
use amends_service::{DatabaseConfig, HttpConfig};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running provider.
pub(crate) struct Server {
    folder: TempDir,
    address: SocketAddr,
    client: Client,
    shutdown: CancellationToken,
    running: Option<JoinHandle<()>>,
}

/// An answer of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, shutdown, running) = serve(&folder, 0).await;
        let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Self { folder, address, client, shutdown, running: Some(running) }
    }

    /// Stops it and starts it again on the same books and port.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let (_, shutdown, running) = serve(&self.folder, self.address.port()).await;
        (self.shutdown, self.running) = (shutdown, Some(running));
    }

    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn charge(&self, key: &str, token: &str) -> Answer {
        let body = json!({ "amount": 1_999, "currency": "EUR", "customer": "c-1", "token": token });
        self.post("charges", Some(key), &body).await
    }

    pub(crate) async fn refund(&self, key: &str, charge_key: &str) -> Answer {
        self.post("refunds", Some(key), &json!({ "charge_key": charge_key })).await
    }

    pub(crate) async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        let request = self.client.post(self.path(path)).json(body);
        self.answer(match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        })
        .await
    }

    async fn answer(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let status = response.status();
        let replayed = response.headers().get("Idempotency-Replayed").is_some_and(|value| value == "true");
        Answer { status, replayed, body: response.json().await.unwrap() }
    }

    pub(crate) async fn switch(&self, switches: Value) {
        assert_eq!(self.put("switches", &switches).await.0, StatusCode::OK);
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.answer(self.client.put(self.path(path)).json(body)).await;
        (answer.status, answer.body)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.answer(self.client.get(self.path(path))).await.body
    }

    pub(crate) async fn books(&self) -> Value {
        self.get("books").await
    }

    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"].as_array().unwrap().clone()
    }

    fn path(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.url())
    }
}

async fn serve(folder: &TempDir, port: u16) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config {
        http: HttpConfig::on_port(port),
        database: DatabaseConfig::at(&format!("sqlite://{}/books.db", folder.path().display())),
        ..Config::default()
    };
    let bound = Bound::bind(config).await.unwrap();
    let address = bound.address();
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let running = tokio::spawn(async move { bound.serve(token).await.unwrap() });
    (address, shutdown, running)
}
