//! The names of the metrics, and what each counts.
//!
//! Invariant: labels have few values: stream, consumer and kind, never a subject, an id or a text.

/// Gauge: 1 while connected.
pub const CONNECTED: &str = "amends_broker_connected";
/// Counter: connections made, the first one included.
pub const CONNECTS: &str = "amends_broker_connects_total";
/// Counter by `kind`: troubles that the client or the broker reported.
pub const PROBLEMS: &str = "amends_broker_problems_total";
/// Counter by `stream`: messages the broker stored.
pub const PUBLISHED: &str = "amends_broker_published_total";
/// Counter by `stream`: messages the broker knew already by their id, and did not store again.
pub const PUBLISH_DUPLICATES: &str = "amends_broker_publish_duplicates_total";
/// Counter by `kind`: messages that were not, or are not known to be, stored.
pub const PUBLISH_ERRORS: &str = "amends_broker_publish_errors_total";
/// Counter by `consumer`: messages delivered, redeliveries included.
pub const DELIVERED: &str = "amends_broker_delivered_total";
/// Counter by `consumer`: messages that had been delivered before.
pub const REDELIVERED: &str = "amends_broker_redelivered_total";
/// Counter: deliveries acknowledged.
pub const ACKED: &str = "amends_broker_acked_total";
/// Counter: deliveries sent back.
pub const NAKED: &str = "amends_broker_naked_total";
/// Counter: acknowledgements that were not sent, since the queue was full or the consumer is gone.
pub const ACKS_DROPPED: &str = "amends_broker_acks_dropped_total";
/// Counter by `consumer`: times a consumer was opened, the first one included.
pub const OPENED: &str = "amends_broker_consumer_opened_total";
/// Counter: times a stream was found or made new, or went back.
pub const TOPOLOGY_CHANGES: &str = "amends_broker_topology_changes_total";
/// Counter by `consumer`: messages handed over without their headers, which cannot be read.
pub const UNREADABLE: &str = "amends_broker_unreadable_total";
