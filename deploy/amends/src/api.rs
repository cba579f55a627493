//! The services' REST as this binary calls it.
//!
//! Invariant: an answer that is no success is an error in the service's own words (RFC 9457).

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, Response, StatusCode, Url, header};
use serde_json::Value;

/// Longer than any of our services waits for anything, `Prefer: wait` included.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a service that refuses for the moment is asked again.
const RETRIES_MAX: u32 = 3;

/// Longest pause before that: nobody waits longer before a terminal without knowing why.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

/// How a list says what is in it and where it goes on.
pub(crate) struct List {
    /// JSON pointer of the items of a page.
    items: &'static str,
    /// JSON pointer of the next page's beginning.
    next: &'static str,
    /// The parameter that takes it.
    parameter: &'static str,
}

/// Of the admin API: a saga's journal.
pub(crate) const JOURNAL: List = List { items: "/entries", next: "/next_after", parameter: "after" };

/// Of the simulated provider: what each key came to.
pub(crate) const BOOKS: List = List { items: "/keys/items", next: "/keys/next", parameter: "after" };

/// Of a participant.
pub(crate) const ITEMS: List = List { items: "/items", next: "/next", parameter: "cursor" };

/// A service's API.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    key: Option<String>,
}

impl Api {
    /// At this URL, with this API key.
    pub(crate) fn new(base: &str, key: Option<String>) -> anyhow::Result<Self> {
        let base = Url::parse(base).with_context(|| format!("{base:?} is not a URL"))?;
        let http = reqwest::Client::builder().timeout(PATIENCE).build().context("no HTTP client")?;
        Ok(Self { http, base, key })
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer_again(self.http.request(Method::GET, url)).await
    }

    /// `POST` or `PUT` of JSON; `once` is the Idempotency-Key, where there has to be one.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        once: Option<&str>,
    ) -> anyhow::Result<Value> {
        let request = self.http.request(method, self.url(path)?).json(body);
        match once {
            Some(key) => self.answer_again(request.header("Idempotency-Key", key)).await,
            None => self.answer(request).await,
        }
    }

    /// All items of a list that goes on in pages, from `start` on where it is given.
    pub(crate) async fn all(
        &self,
        path: &str,
        list: &List,
        start: Option<String>,
    ) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut next) = (Vec::new(), start);
        loop {
            let query: Vec<_> = next.map(|next| (list.parameter, next)).into_iter().collect();
            let mut answer = self.get(path, &query).await?;
            match answer.pointer_mut(list.items).and_then(Value::as_array_mut) {
                Some(found) => items.append(found),
                None => bail!("{path} gives no list at {}", list.items),
            }
            next = match answer.pointer(list.next) {
                None | Some(Value::Null) => return Ok(items),
                Some(Value::String(next)) => Some(next.clone()),
                Some(next) => Some(next.to_string()),
            };
        }
    }

    fn url(&self, path: &str) -> anyhow::Result<Url> {
        self.base.join(path).with_context(|| format!("{}{path} is not a URL", self.base))
    }

    /// The answer to a request that may be repeated: a refusal for the moment is heeded a few times.
    async fn answer_again(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        for _ in 0..RETRIES_MAX {
            let Some(copy) = request.try_clone() else { break };
            let response = self.sent(copy).await?;
            let Some(pause) = retry_after(&response) else { return read(response).await };
            tokio::time::sleep(pause).await;
        }
        self.answer(request).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        read(self.sent(request).await?).await
    }

    async fn sent(&self, mut request: reqwest::RequestBuilder) -> anyhow::Result<Response> {
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        // `without_url`: the URL is said once, here.
        request.send().await.map_err(reqwest::Error::without_url).with_context(|| {
            format!("{} does not answer: is it running, and is this its address?", self.base)
        })
    }
}

/// When to ask again whoever refuses for the moment; `None` when that is no refusal, or too late.
fn retry_after(response: &Response) -> Option<Duration> {
    let is_refusal =
        matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|pause| is_refusal && *pause <= RETRY_AFTER_MAX)
}

async fn read(response: Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body = response.text().await.context("the answer broke off")?;
    let body: Value = serde_json::from_str(&body).unwrap_or(Value::String(body));
    if status.is_success() {
        return Ok(body);
    }
    let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let places: String = body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| Some((error["pointer"].as_str()?, error["detail"].as_str()?)))
        .map(|(pointer, detail)| format!("; {pointer}: {detail}"))
        .collect();
    match (word("title"), word("detail")) {
        (title, detail) if title.is_empty() && detail.is_empty() => bail!("{status}: {body}"),
        (title, detail) if detail.is_empty() => bail!("{status}: {title}{places}"),
        // The title of a problem without a type is the status in words (RFC 9457, 4.2.1).
        (title, detail) if status.canonical_reason() == Some(title.as_str()) => {
            bail!("{status}: {detail}{places}")
        }
        (title, detail) => bail!("{status}: {title}: {detail}{places}"),
    }
}

/// What stands at a JSON pointer, as people read it; a dash where nothing does.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_is_a_dash() {
        assert_eq!(text(&json!({ "failure": null }), "/failure/code"), "-");
        assert_eq!(text(&json!({ "seq": 7 }), "/seq"), "7");
    }
}
