//! What a test needs: the core on a database of its own, both routers, keys, and participants that answer.

use std::path::PathBuf;

use amends_broker::Broker;
use amends_contract::{Outcome, SagaId};
use amends_engine::{Input, Output, ReplyInput, Saga};
use amends_service::HttpConfig;
use amends_service::http::with_layers;
use amends_store::{Access, CommitResult, Store, Write};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::super::app::App;
use super::super::{admin_router, health, public_router};
use crate::Config;
use crate::core::{Core, Definitions, checked};
use crate::keys::{self, Scope};

/// An orchestrator without a broker.
pub(super) struct World {
    pub(super) public: Router,
    pub(super) admin: Router,
    pub(super) core: Core,
    pub(super) app: App,
    pub(super) shutdown: CancellationToken,
    /// A key that may do everything.
    pub(super) key: String,
    pub(super) database_url: String,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    /// Null when the text is no JSON.
    pub(super) body: Value,
}

impl Answer {
    /// The header, or an empty text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The id in the body.
    pub(super) fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With definitions of the test's own: names of files and what is in them.
    pub(super) async fn of(definitions: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in definitions {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self::with(|config| folder.path().clone_into(&mut config.definitions)).await
    }

    /// Starts a saga of the newest version of this definition; its id.
    pub(super) async fn saga(&self, key: &str, definition: &str, input: Value) -> String {
        let body = json!({ "definition": definition, "input": input });
        self.post("/v1/sagas", &[("idempotency-key", key)], &body).await.id()
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            definitions: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../saga-definitions")),
            ..Config::default()
        };
        config.database.url = format!("sqlite://{}", folder.path().join("orchestrator.db").display());
        change(&mut config);
        let store = Store::connect(&config.database, Access::Exclusive).await.unwrap();
        store.migrate().await.unwrap();
        let definitions = Definitions::load(&config.definitions, &store, config.horizon_s).await.unwrap();
        let broker = Broker::connect(&nobody_there().await, "orchestrator").await.unwrap();
        let shutdown = CancellationToken::new();
        let (core, loops) = Core::spawn(store.clone(), definitions, &broker, &config.loops, &shutdown);
        // They end with the test's runtime.
        tokio::spawn(loops.drained());
        let app = App::new(core.clone(), &config, &shutdown);
        let health = health(&core, &broker, &shutdown);
        let key = keys::create(&store, "tests", &[Scope::Admin]).await.unwrap().text.reveal().to_owned();
        Self {
            public: with_layers(public_router(app.clone()), &HttpConfig::on_port(0)),
            admin: with_layers(admin_router(app.clone(), &health), &HttpConfig::on_port(0)),
            core,
            app,
            shutdown,
            key,
            database_url: config.database.url,
            _folder: folder,
        }
    }

    /// One more key.
    pub(super) async fn make_key(&self, scope: Scope) -> String {
        let created = keys::create(self.core.store(), "another", &[scope]).await.unwrap();
        created.text.reveal().to_owned()
    }

    /// Places an order under this Idempotency-Key.
    pub(super) async fn order(&self, key: &str, order: &Value) -> Answer {
        self.post("/v1/orders", &[("idempotency-key", key)], order).await
    }

    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let request =
            self.request(Method::POST, path, headers).header(header::CONTENT_TYPE, "application/json");
        ask(&self.public, request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.public, self.request(Method::GET, path, headers).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn get_admin(&self, path: &str) -> Answer {
        ask(&self.admin, self.request(Method::GET, path, &[]).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post_admin(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let request =
            self.request(Method::POST, path, headers).header(header::CONTENT_TYPE, "application/json");
        ask(&self.admin, request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A request with the world's key, unless `headers` bring another.
    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        if headers.iter().any(|(name, _)| *name == "authorization") {
            return request;
        }
        request.header(header::AUTHORIZATION, format!("Bearer {}", self.key))
    }

    /// Lets the participants answer every open command, until there is none.
    pub(super) async fn settle(&self, id: &str, answers: impl Fn(&str) -> Outcome) -> Saga {
        let id: SagaId = id.parse().unwrap();
        loop {
            let saga = self.core.store().saga(id).await.unwrap().unwrap();
            let definition = self.core.definitions().get(&saga.definition, saga.digest).unwrap();
            let Some(command) = amends_engine::open_commands(&saga, &definition).into_iter().next() else {
                return saga;
            };
            let reply = ReplyInput {
                outcome: answers(command.address.command.as_str()),
                effect: command.effect,
                send_no: command.send_no,
                participant: command.address.participant,
                cause: None,
                violation: None,
            };
            self.commit(saga, Input::Reply(reply)).await;
        }
    }

    /// Lets the participant of the first open command answer it, as the core would take the answer.
    pub(super) async fn reply(&self, id: &str, outcome: Outcome) {
        let saga = self.core.store().saga(id.parse().unwrap()).await.unwrap().unwrap();
        let definition = self.core.definitions().get(&saga.definition, saga.digest).unwrap();
        let command = amends_engine::open_commands(&saga, &definition).remove(0);
        let reply = ReplyInput {
            outcome,
            effect: command.effect,
            send_no: command.send_no,
            participant: command.address.participant,
            cause: None,
            violation: None,
        };
        self.commit(saga, Input::Reply(checked(reply, &definition))).await;
    }

    /// Commits what the engine makes of it, beside the running core; a lost race is run again by whoever asks.
    pub(super) async fn commit(&self, saga: Saga, input: Input) {
        let definition = self.core.definitions().get(&saga.definition, saga.digest).unwrap();
        let now = self.core.store().now().await.unwrap();
        let expected_version = saga.version;
        let transition = amends_engine::handle(saga, input, now, &definition).unwrap();
        let events = transition.outputs.into_iter().filter_map(|output| match output {
            Output::Emit(event) => Some(event),
            Output::Send(_) => None,
        });
        let write = Write {
            saga: transition.saga,
            expected_version,
            entry: transition.entry,
            events: events.collect(),
            idempotency: None,
        };
        let results = self.core.store().commit(&[write]).await.unwrap();
        assert!(matches!(results[0].result, CommitResult::Won | CommitResult::Conflict));
    }
}

/// What participants say when everything goes well.
pub(super) fn all_well(command: &str) -> Outcome {
    let output = match command {
        "reserve-stock" => json!({ "reservation_id": "r-1" }),
        "charge-payment" => json!({ "charge_id": "ch-1" }),
        _ => json!({}),
    };
    Outcome::Succeeded { output: output.into() }
}

/// The same with the card declined.
pub(super) fn declined(command: &str) -> Outcome {
    match command {
        "charge-payment" => Outcome::Rejected {
            code: "card-declined".to_owned(),
            message: "the card was declined".to_owned(),
        },
        "release-stock" | "refund-payment" => Outcome::Undone { output: Value::Null.into() },
        command => all_well(command),
    }
}

/// The same with everything undone that was asked for.
pub(super) fn undone(command: &str) -> Outcome {
    match command {
        "release-stock" | "refund-payment" => Outcome::Undone { output: Value::Null.into() },
        command => all_well(command),
    }
}

/// An order that nothing is wrong with.
pub(super) fn order(customer: &str, quantity: u32) -> Value {
    json!({
        "customer_id": customer,
        "email": "ada@example.com",
        "lines": [{ "sku": "MUG-1", "quantity": quantity, "unit_price": { "amount": 1999, "currency": "EUR" } }],
    })
}

/// Sends the request and reads the whole answer.
pub(super) async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: parts.status, headers: parts.headers, text, body }
}

/// A loopback port that was free a moment ago.
async fn nobody_there() -> amends_broker::Config {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("nats://{address}");
    serde_json::from_value(json!({ "url": url })).unwrap()
}
