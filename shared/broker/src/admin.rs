//! Destruction, for tests and for an operator who means it. No service calls this.
//!
//! Invariant: every function here loses messages or a consumer's position.

use amends_contract::Stream;
use async_nats::jetstream::ErrorCode;
use serde::Deserialize;
use serde_json::json;

use crate::{Broker, Error};

/// The broker's word that it did what it was asked to.
#[derive(Deserialize)]
struct Done {}

/// Deletes a stream with all its messages and consumers; whether it existed.
///
/// # Errors
/// When the broker is away, does not answer or refuses.
pub async fn delete_stream(broker: &Broker, stream: Stream) -> Result<bool, Error> {
    perform(broker, format!("STREAM.DELETE.{}", broker.names().stream(stream))).await
}

/// Deletes a consumer, and with it how far it was; whether it existed.
///
/// # Errors
/// When the broker is away, does not answer or refuses.
pub async fn delete_consumer(broker: &Broker, stream: Stream, durable: &str) -> Result<bool, Error> {
    perform(broker, format!("CONSUMER.DELETE.{}.{durable}", broker.names().stream(stream))).await
}

/// Deletes all messages of a stream; whether the stream existed. Its numbering goes on.
///
/// # Errors
/// When the broker is away, does not answer or refuses.
pub async fn purge_stream(broker: &Broker, stream: Stream) -> Result<bool, Error> {
    perform(broker, format!("STREAM.PURGE.{}", broker.names().stream(stream))).await
}

async fn perform(broker: &Broker, subject: String) -> Result<bool, Error> {
    let missing = [ErrorCode::STREAM_NOT_FOUND, ErrorCode::CONSUMER_NOT_FOUND];
    match broker.core.api::<Done>(subject, &json!({})).await {
        Ok(Done {}) => Ok(true),
        Err(error) if missing.iter().any(|code| error.is(*code)) => Ok(false),
        Err(error) => Err(error),
    }
}
