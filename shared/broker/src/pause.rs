//! Stopping a consumer from getting messages, and letting it go on (nats-server 2.11 and later).
//!
//! The broker itself keeps the pause and ends it at its time, whoever is there then. It lies with the consumer:
//! one that is created again is not paused.
//!
//! Invariant: nothing is lost by it; what is not delivered stays in the stream, what was delivered may be
//! acknowledged.

use amends_contract::{Stream, Timestamp};
use async_nats::jetstream::ErrorCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Broker, Error};

/// The broker's word that it did what it was asked to.
#[derive(Deserialize)]
struct Done {}

impl Broker {
    /// Nothing is delivered to a consumer before `until`; an earlier pause is forgotten. Whether there is such a
    /// consumer.
    ///
    /// # Errors
    /// When the broker is away, does not answer or refuses.
    pub async fn pause_consumer(
        &self,
        stream: Stream,
        durable: &str,
        until: Timestamp,
    ) -> Result<bool, Error> {
        self.set_pause(stream, durable, json!({ "pause_until": until })).await
    }

    /// Ends the pause of a consumer, whoever made it. Whether there is such a consumer.
    ///
    /// # Errors
    /// When the broker is away, does not answer or refuses.
    pub async fn resume_consumer(&self, stream: Stream, durable: &str) -> Result<bool, Error> {
        self.set_pause(stream, durable, json!({})).await
    }

    async fn set_pause(&self, stream: Stream, durable: &str, wish: Value) -> Result<bool, Error> {
        let missing = [ErrorCode::STREAM_NOT_FOUND, ErrorCode::CONSUMER_NOT_FOUND];
        let subject = format!("CONSUMER.PAUSE.{}.{durable}", self.names().stream(stream));
        match self.core.api::<Done>(subject, &wish).await {
            Ok(Done {}) => Ok(true),
            Err(error) if missing.iter().any(|code| error.is(*code)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
