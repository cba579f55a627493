//! The gateway over HTTP, as `amends provider` and most card processors speak it.
//!
//! Invariant: whatever goes wrong between us and the provider is never a refusal; unless no connection
//! came about at all, it is unknown.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::json;

use super::classify::{HttpAnswer, classify};
use super::{Config, Gateway};
use crate::domain::{Charge, Money, Verdict};

/// Names what is asked for, once.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// In an answer: `true` when it was stored before the request came.
const REPLAYED: &str = "idempotency-replayed";

/// The configured client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidGateway {
    /// Not an http or https URL.
    #[error("payment.gateway.url {0:?} is not an http or https URL")]
    Url(String),
    /// The TLS roots or the like are missing.
    #[error("the HTTP client for the payment provider cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// A provider behind HTTP.
pub struct HttpGateway {
    client: Client,
    charges: Url,
    refunds: Url,
    live: Url,
    answer_bytes_max: usize,
}

impl HttpGateway {
    /// Makes the client; connects to nobody yet.
    ///
    /// # Errors
    /// [`InvalidGateway`] when the URL is none, or the system has no TLS roots for an https one.
    pub fn new(config: &Config) -> Result<Self, InvalidGateway> {
        let bad = || InvalidGateway::Url(config.url.clone());
        let base = Url::parse(&format!("{}/", config.url.trim_end_matches('/'))).map_err(|_| bad())?;
        let path = |path| base.join(path).map_err(|_| bad());
        // Whoever comes first sets it for the process; they are all the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(config.idle_count_max)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .timeout(Duration::from_millis(config.timeout_ms));
        let client = match base.scheme() {
            // No roots are needed, and a small container may have none.
            "http" => builder.tls_certs_only([]).build()?,
            "https" => builder.build()?,
            _ => return Err(bad()),
        };
        Ok(Self {
            client,
            charges: path("v1/charges")?,
            refunds: path("v1/refunds")?,
            live: path("livez")?,
            answer_bytes_max: config.answer_bytes_max,
        })
    }

    async fn ask(&self, key: &str, request: RequestBuilder) -> Verdict {
        match self.answer(request.header(IDEMPOTENCY_KEY, key)).await {
            Ok(answer) => classify(&answer),
            // Not a byte of the request was sent.
            Err(error) if error.is_connect() => {
                Verdict::NotMade { code: "provider-unreachable", retry_after_ms: None }
            }
            Err(error) => {
                let code = if error.is_timeout() { "provider-timeout" } else { "provider-connection" };
                Verdict::Unknown { code, retry_after_ms: None }
            }
        }
    }

    async fn answer(&self, request: RequestBuilder) -> Result<HttpAnswer, reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let replayed = response.headers().get(REPLAYED).is_some_and(|value| value == "true");
        let retry_after_ms = retry_after_ms(response.headers());
        Ok(HttpAnswer { status, replayed, retry_after_ms, body: self.body(response).await? })
    }

    /// The body, or its beginning; a cut body is not readable and so proves nothing.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > self.answer_bytes_max {
                body.truncate(self.answer_bytes_max);
                break;
            }
        }
        Ok(body)
    }
}

/// Only the form in seconds; a date is left to our own back-off.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    seconds.checked_mul(1_000)
}

#[async_trait]
impl Gateway for HttpGateway {
    async fn charge(&self, key: &str, charge: &Charge) -> Verdict {
        let body = json!({
            "amount": charge.amount.amount,
            "currency": charge.amount.currency.code(),
            "customer": charge.customer,
            "token": charge.token.secret(),
        });
        self.ask(key, self.client.post(self.charges.clone()).json(&body)).await
    }

    async fn refund(&self, key: &str, charge_key: &str, part: Option<Money>) -> Verdict {
        let mut body = json!({ "charge_key": charge_key });
        if let Some(part) = part {
            body["amount"] = part.amount.into();
        }
        self.ask(key, self.client.post(self.refunds.clone()).json(&body)).await
    }

    async fn reach(&self) -> Result<(), String> {
        let response = self.client.get(self.live.clone()).send().await.map_err(|error| error.to_string())?;
        if response.status().is_success() { Ok(()) } else { Err(response.status().to_string()) }
    }
}
