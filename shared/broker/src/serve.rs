//! Requests answered over NATS, and instances that show themselves, as NATS micro has it (ADR-32).
//!
//! Nothing here goes through a stream: who asks waits for the answer, and asks again if none comes.
//!
//! Invariant: a request is answered once, or not at all when its asker named no inbox; then it is not handled
//! either, since what it wanted could not be told apart from what it did not get.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    service::{self, NATS_SERVICE_ERROR, NATS_SERVICE_ERROR_CODE, ServiceExt as _},
};
use bytes::Bytes;
use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{BoxStream, SelectAll},
};
use serde::Deserialize;
use tokio::{
    sync::Semaphore,
    time::{Instant, Interval, interval, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use amends_contract::header;

use crate::{Broker, Error, ProblemKind, link::Link};

/// How often it is looked whether the client still lives; it dies rarely.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A service as `nats micro ls` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// What all instances are called: letters, digits, `-` and `_`.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its version (semver).
    pub version: String,
    /// For programs.
    pub metadata: BTreeMap<String, String>,
    /// What it answers; none for one that only shows itself.
    pub endpoints: Vec<Endpoint>,
    /// Requests handled at once; the others are told so, see [`Request::crowded`].
    pub concurrency_max: usize,
}

/// Something that a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Where requests come in; one of all instances gets each.
    pub subject: String,
}

/// A request that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The endpoint's name.
    pub endpoint: String,
    /// The W3C trace context it came with.
    pub traceparent: Option<String>,
    /// Its body.
    pub body: Bytes,
    /// As many requests are handled as may be: it is to be refused, without any work.
    pub crowded: bool,
}

/// What a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The body, of an error as well.
    pub body: Bytes,
    /// Its media type.
    pub content_type: String,
    /// Code and text of an error, as stock tools show them.
    pub error: Option<(u16, String)>,
    /// When to ask again, in seconds.
    pub retry_after_s: Option<u32>,
}

/// Answers requests. It does not panic; a request whose handler does gets no answer.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A running instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Instance {
    /// The service's name.
    pub name: String,
    /// Its own id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// For programs.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

type Incoming = SelectAll<BoxStream<'static, (String, service::Request)>>;

impl Broker {
    /// Shows the service, and answers its requests, until the shutdown; what has begun by then is finished.
    /// With `micro` switched off it does nothing.
    pub async fn serve(&self, spec: ServiceSpec, handler: Handler, shutdown: CancellationToken) {
        let running = TaskTracker::new();
        let room = Arc::new(Semaphore::new(spec.concurrency_max.max(1)));
        while self.core.config.micro && !shutdown.is_cancelled() {
            if shutdown.run_until_cancelled(self.connected()).await.is_none() {
                break;
            }
            let link = self.core.link();
            let (service, mut incoming) = match register(&link, &spec).await {
                Ok(registered) => registered,
                Err(error) => {
                    self.core.monitor.note(ProblemKind::Server, &format!("micro service: {error}"));
                    let _ = shutdown.run_until_cancelled(sleep(LOOK_EVERY)).await;
                    continue;
                }
            };
            let mut look = interval(LOOK_EVERY);
            while let Some((endpoint, request)) = self.next(&link, &mut incoming, &mut look, &shutdown).await
            {
                let place = Arc::clone(&room).try_acquire_owned();
                let handler = Arc::clone(&handler);
                let answer = answer(self.clone(), endpoint, request, handler, place.is_err());
                match place {
                    Ok(place) => drop(running.spawn(async move {
                        answer.await;
                        drop(place);
                    })),
                    // Here, so that those who are refused take no memory either.
                    Err(_) => answer.await,
                }
            }
            let _ = service.stop().await;
        }
        running.close();
        running.wait().await;
    }

    /// Instances of services that show themselves under a name, or under any, as far as they answer within
    /// `wait`.
    ///
    /// # Errors
    /// When the broker is away.
    pub async fn instances(&self, name: Option<&str>, wait: Duration) -> Result<Vec<Instance>, Error> {
        if !self.core.is_connected() {
            return Err(Error::Unavailable("not connected".to_owned()));
        }
        let client = self.core.link().client.clone();
        let gone = |error: &dyn std::fmt::Display| Error::Unavailable(error.to_string());
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| gone(&error))?;
        let name = name.map(|name| format!(".{name}")).unwrap_or_default();
        let asked = client.publish_with_reply(format!("$SRV.PING{name}"), inbox, Bytes::new()).await;
        asked.map_err(|error| gone(&error))?;
        let deadline = Instant::now() + wait;
        let mut instances = Vec::new();
        // Who does not answer is not known: only the time ends it. A status says that nobody is there at all.
        while let Ok(Some(answer)) = timeout_at(deadline, answers.next()).await {
            if answer.status.is_some() {
                break;
            }
            instances.extend(serde_json::from_slice::<Instance>(&answer.payload).ok());
        }
        instances.sort();
        Ok(instances)
    }

    /// The next request; `None` on the shutdown, or when the connection it comes by is not ours any more.
    async fn next(
        &self,
        link: &Arc<Link>,
        incoming: &mut Incoming,
        look: &mut Interval,
        shutdown: &CancellationToken,
    ) -> Option<(String, service::Request)> {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return None,
                Some(request) = incoming.next() => return Some(request),
                _ = look.tick() => {
                    if link.is_dead() || !Arc::ptr_eq(link, &self.core.link()) {
                        return None;
                    }
                }
            }
        }
    }
}

async fn register(
    link: &Link,
    spec: &ServiceSpec,
) -> Result<(service::Service, Incoming), async_nats::Error> {
    let service = link
        .client
        .service_builder()
        .description(&spec.description)
        .metadata(spec.metadata.clone().into_iter().collect())
        .start(&spec.name, &spec.version)
        .await?;
    let mut incoming = SelectAll::new();
    for Endpoint { name, subject } in &spec.endpoints {
        let endpoint = service.endpoint_builder().name(name).add(subject).await?;
        let name = name.clone();
        incoming.push(endpoint.map(move |request| (name.clone(), request)).boxed());
    }
    Ok((service, incoming))
}

async fn answer(
    broker: Broker,
    endpoint: String,
    mut request: service::Request,
    handler: Handler,
    crowded: bool,
) {
    let Some(reply) = request.message.reply.clone() else { return };
    let traceparent = request.message.headers.as_ref().and_then(|headers| headers.get(header::TRACEPARENT));
    let traceparent = traceparent.map(ToString::to_string);
    let body = request.message.payload.clone();
    let asked = Request { endpoint, traceparent, body, crowded };
    let Answer { body, content_type, error, retry_after_s } = handler(asked).await;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, plain(&content_type).as_str());
    if let Some(seconds) = retry_after_s {
        headers.insert(header::RETRY_AFTER, seconds.to_string().as_str());
    }
    let Some((code, status)) = error else {
        let _ = request.respond_with_headers(Ok(body), headers).await;
        return;
    };
    let status = plain(&status);
    headers.insert(NATS_SERVICE_ERROR, status.as_str());
    headers.insert(NATS_SERVICE_ERROR_CODE, code.to_string().as_str());
    let client = broker.core.link().client.clone();
    let _ = client.publish_with_headers(reply, headers, body).await;
    // The client library counts as errors only what it sends itself, and that without a body: it may send it
    // to nobody.
    request.message.reply = Some(client.new_inbox().into());
    let _ = request.respond(Err(service::error::Error { status, code: code.into() })).await;
}

/// Without what would end a header's line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
