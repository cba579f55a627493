//! REST as a caller writes it: a status, headers, JSON.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

/// Longer than anything should take; it only keeps a hang from being silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a list says what is in it and where it goes on.
pub struct List {
    /// JSON pointer of the items of a page.
    items: &'static str,
    /// JSON pointer of the next page's beginning.
    next: &'static str,
    /// The parameter that takes it.
    parameter: &'static str,
}

/// Of the simulated provider: what each key came to.
pub(crate) const BOOKS: List = List { items: "/keys/items", next: "/keys/next", parameter: "after" };

/// Of a participant.
pub(crate) const ITEMS: List = List { items: "/items", next: "/next", parameter: "cursor" };

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body; a string if it is no JSON.
    pub body: Value,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body of a success.
    ///
    /// # Panics
    /// When it is none; with all of it.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }
}

/// A caller.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
}

impl Client {
    /// Without anything to prove who it is.
    ///
    /// # Panics
    /// When TLS cannot be set up.
    #[must_use]
    pub fn new() -> Self {
        // A second call finds it set up; that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::builder().timeout(PATIENCE).build().expect("a client can be built") }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When no answer came: the service may be dead, which tests do to them.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, reqwest::Error> {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text =
            |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers =
            response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let body = response.text().await?;
        let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
        Ok(Answer { status, headers, body })
    }

    /// `GET`, which has to work.
    ///
    /// # Panics
    /// When it does not.
    pub async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Value {
        self.send("GET", url, headers, None).await.unwrap_or_else(|error| panic!("{url}: {error}")).ok()
    }

    /// All items of a list that goes on in pages.
    ///
    /// # Panics
    /// When a page cannot be read.
    pub async fn all(&self, url: &str, list: &List, headers: &[(&str, &str)]) -> Vec<Value> {
        let (mut items, mut page) = (Vec::new(), url.to_owned());
        loop {
            let mut answer = self.get(&page, headers).await;
            let found = answer.pointer_mut(list.items).and_then(Value::as_array_mut);
            items.append(found.unwrap_or_else(|| panic!("{page} gives no list at {}", list.items)));
            let next = match answer.pointer(list.next) {
                None | Some(Value::Null) => return items,
                Some(Value::String(next)) => next.clone(),
                Some(next) => next.to_string(),
            };
            let mark = if url.contains('?') { '&' } else { '?' };
            page = format!("{url}{mark}{}={next}", list.parameter);
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
