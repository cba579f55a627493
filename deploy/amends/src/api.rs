//! The services' REST as this binary calls it.
//!
//! Invariant: an answer that is no success is an error in the service's own words (RFC 9457).

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, Url};
use serde_json::Value;

/// Longer than any of our services waits for anything, `Prefer: wait` included.
const PATIENCE: Duration = Duration::from_secs(60);

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
        self.answer(self.http.request(Method::GET, url)).await
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
        let request = match once {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        self.answer(request).await
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

    async fn answer(&self, mut request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        // `without_url`: the URL is said once, here.
        let response = request.send().await.map_err(reqwest::Error::without_url).with_context(|| {
            format!("{} does not answer: is it running, and is this its address?", self.base)
        })?;
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
