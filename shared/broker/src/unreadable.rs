//! Messages with headers that the client library cannot read.
//!
//! The broker stores any bytes as headers. The client drops the connection over some of them, and would
//! do so again at every redelivery, taking all neighbours along. So after a connection was lost for no
//! reason of the server's, the deliveries of that time are looked up another way, and those with such
//! headers are handed over without them: headers only help.
//!
//! Invariant: only messages that the consumer has been delivered already are handed over from here.

use std::sync::{Arc, atomic::AtomicBool};

use amends_contract::Timestamp;
use async_nats::jetstream::{consumer, message::StreamMessage};
use metrics::counter;
use serde_json::json;

use crate::{
    ConsumerSpec, Delivery, Error,
    broker::Core,
    delivery::AckAddress,
    inspect::{RawMessage, without_headers},
    meter,
};

/// How many of the newest messages of the stream are looked at: more than one process can have been
/// delivered between two looks.
const LOOK_BACK: u64 = 4_096;

/// The unreadable ones among the unacknowledged deliveries of a consumer.
pub(crate) async fn unreadable(
    core: &Core,
    spec: &ConsumerSpec,
    info: &consumer::Info,
) -> Result<Vec<StreamMessage>, Error> {
    let mut found = Vec::new();
    if info.num_ack_pending == 0 {
        return Ok(found);
    }
    let last = info.delivered.stream_sequence;
    let mut seq = info.ack_floor.stream_sequence.max(last.saturating_sub(LOOK_BACK)) + 1;
    while seq <= last {
        let query = json!({ "seq": seq, "next_by_subj": spec.filter });
        let Some(raw) = core.raw_message(spec.stream, &query).await? else { break };
        if raw.sequence > last {
            break;
        }
        seq = raw.sequence + 1;
        if StreamMessage::try_from(RawMessage::clone(&raw)).is_err() {
            let message = without_headers(raw)?;
            tracing::warn!(
                stream = info.stream_name,
                seq = message.sequence,
                "this message has headers that cannot be read; it is handed over without them"
            );
            counter!(meter::UNREADABLE, "consumer" => spec.durable.clone()).increment(1);
            found.push(message);
        }
    }
    Ok(found)
}

impl Delivery {
    /// A delivery of a message that was looked up. It counts as a redelivery: the first try failed.
    pub(crate) fn looked_up(
        message: StreamMessage,
        core: &Core,
        info: &consumer::Info,
        gone: &Arc<AtomicBool>,
    ) -> Self {
        let address = AckAddress {
            stream_seq: message.sequence,
            delivered: 2,
            stored_at: Timestamp::from(message.time),
        };
        let reply = address.write(&info.stream_name, &info.name);
        Self::new(&message.subject, message.payload, &address, reply, &core.acks, gone)
    }
}
