//! Starts a saga for a caller: once per Idempotency-Key, and waits for its end if asked to.
//!
//! Invariant: the first answer under a key is stored with the saga and given again, byte for byte; a caller
//! who waits gets the end instead, each time it waits.

use std::sync::Arc;
use std::time::Duration;

use amends_contract::{self as contract, Digest, SagaId, Timestamp};
use amends_definition::Definition;
use amends_engine::{Begin, Saga};
use amends_service::{Json, Problem};
use amends_store::{IdempotencyKey, StoredAnswer};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics::counter;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::app::App;
use super::auth::Caller;
use super::{beginning, errors, prefer, tags};
use crate::core::{CoreError, Start, Started, Watch};
use crate::idempotency::{Answer, Key};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How the caller wants to be answered.
pub(super) struct Terms {
    key: Key,
    wait: Option<Duration>,
}

impl Terms {
    /// Reads `Idempotency-Key` and `Prefer`.
    pub(super) fn of(app: &App, headers: &HeaderMap) -> Result<Self, Problem> {
        let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
        let wrong = |code, detail, why: &str| {
            Problem::bad_request(code, detail).with_error("header:idempotency-key", why)
        };
        let key = match (keys.next(), keys.next()) {
            (Some(key), None) => Key::new(key.as_bytes()).map_err(|error| {
                wrong("invalid-header", "the header Idempotency-Key cannot be used", &error.to_string())
            })?,
            (Some(_), Some(_)) => {
                let detail = "there is more than one header Idempotency-Key";
                return Err(wrong("invalid-header", detail, "exactly one is expected"));
            }
            (None, _) => {
                let detail = "send the header Idempotency-Key with a text of your own, such as a UUID, and the \
                              same one when you try again: so that trying again cannot order twice";
                return Err(wrong("missing-idempotency-key", detail, "it is missing"));
            }
        };
        Ok(Self { key, wait: prefer::wait(headers, &app.api)? })
    }
}

/// What is to be started.
pub(super) struct Submission {
    pub(super) definition: Arc<Definition>,
    pub(super) input: contract::Json,
    /// When it shall begin; at once if there is none.
    pub(super) start_at: Option<Timestamp>,
    /// What the request means; see [`crate::idempotency::meaning`].
    pub(super) meaning: Digest,
}

/// Starts the saga, or finds the one that was started under the key. `accepted` makes the first answer,
/// `settled` shows the saga to a caller who waited for its end.
pub(super) async fn submit(
    app: &App,
    caller: &Caller,
    terms: Terms,
    submission: Submission,
    accepted: impl FnOnce(SagaId, &contract::Json) -> Answer,
    settled: impl Fn(&Saga) -> Box<RawValue>,
) -> Result<Response, Problem> {
    let Terms { key, wait } = terms;
    let owner = caller.0.id;
    let held = app.in_flight.hold(owner, &key).ok_or_else(|| in_flight(app))?;
    let id = new_id();
    let Submission { definition, input, start_at, meaning } = submission;
    if let Err(problem) = beginning::check(app, &definition, start_at, id.made_at()) {
        owed(app, owner, &key, problem).await?;
    }
    let answer = accepted(id, &input);
    let idempotency = IdempotencyKey {
        owner,
        key: key.as_str().to_owned(),
        body_digest: meaning,
        answer: answer.to_text(),
    };
    // Most keys are new, so the commit itself finds out: looking first would cost each order a query.
    let begin = Begin { start_at, ..Begin::from(input) };
    let start = Start { id, definition, begin, idempotency: Some(idempotency) };
    let wait = wait.and_then(|within| Wait::begin(app, id, within));
    let started = match app.core.start(start).await {
        Ok(started) => started,
        Err(error @ CoreError::Overloaded(_)) => {
            owed(app, owner, &key, errors::of_start(app, &error)).await?;
            Started::DuplicateKey
        }
        Err(error) => return Err(errors::of_start(app, &error)),
    };
    let (id, answer, replayed) = match started {
        Started::Started(saga) => (saga.id, answer, false),
        Started::DuplicateKey => {
            let (id, answer) = first_answer(app, owner, &key, meaning).await?;
            (id, answer, true)
        }
    };
    drop(held);

    let mut response = match wait {
        None => render(answer),
        Some(wait) => {
            let applied = prefer::applied(wait.within);
            let mut response = match wait.end(app, id).await {
                Some(saga) => {
                    (StatusCode::OK, [(header::ETAG, tags::of(&saga))], Json(settled(&saga))).into_response()
                }
                None => render(answer),
            };
            response.headers_mut().insert(prefer::APPLIED, applied);
            response
        }
    };
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Whoever has been accepted under the key is owed that answer; everybody else gets the problem.
async fn owed(app: &App, owner: Uuid, key: &Key, problem: Problem) -> Result<(), Problem> {
    match app.core.is_started(owner, key.as_str()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(problem),
        Err(error) => Err(errors::of_start(app, &error)),
    }
}

async fn first_answer(
    app: &App,
    owner: Uuid,
    key: &Key,
    meaning: Digest,
) -> Result<(SagaId, Answer), Problem> {
    let stored = app.core.store().idempotency(owner, key.as_str()).await;
    let stored = stored.map_err(|error| errors::of_store(app, error))?;
    // Taken, but not to be seen yet: another process is at it.
    let StoredAnswer { saga, body_digest, answer, .. } = stored.ok_or_else(|| in_flight(app))?;
    if body_digest != meaning {
        let detail = "this Idempotency-Key was used for another request; a new request needs a new key";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail)
            .with_error("header:idempotency-key", format!("it belongs to {saga}")));
    }
    let answer = Answer::from_text(&answer).map_err(|error| Problem::internal(&error))?;
    Ok((saga, answer))
}

fn in_flight(app: &App) -> Problem {
    let detail = "the first request with this Idempotency-Key is being worked on; try again shortly";
    Problem::new(StatusCode::CONFLICT, "idempotency-key-in-flight", detail)
        .with_header(header::RETRY_AFTER, HeaderValue::from(app.api.retry_after_s))
}

/// A caller's wait, with its place among those who may wait.
struct Wait {
    within: Duration,
    id: SagaId,
    watch: Watch,
    _place: OwnedSemaphorePermit,
}

impl Wait {
    /// Waits for the saga with this id, from before it begins, so that its end cannot be missed. `None` when too many
    /// wait: it is only a preference, and the answer comes at once.
    fn begin(app: &App, id: SagaId, within: Duration) -> Option<Self> {
        let Ok(place) = Arc::clone(&app.waits).try_acquire_owned() else {
            counter!("amends_waits_declined_total").increment(1);
            return None;
        };
        Some(Self { within, id, watch: app.core.watch(id), _place: place })
    }

    /// The saga once it has ended, which may be another that was started before; `None` when that takes longer, or we
    /// are shutting down.
    async fn end(self, app: &App, id: SagaId) -> Option<Arc<Saga>> {
        let end = async {
            if id == self.id {
                self.watch.end(self.within).await
            } else {
                drop(self.watch);
                app.core.settled(id, self.within).await.map(Arc::new)
            }
        };
        tokio::select! {
            saga = end => saga,
            () = app.shutdown.cancelled() => None,
        }
    }
}

fn render(answer: Answer) -> Response {
    let Answer { status, headers, body } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::ACCEPTED);
    let mut response = (status, Json(body)).into_response();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn new_id() -> SagaId {
    SagaId::new(Uuid::now_v7()).unwrap_or_else(|_| unreachable!("it is of version 7"))
}
