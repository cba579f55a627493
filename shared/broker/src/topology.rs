//! The streams and consumers that must exist, as data, and how they differ from those that do.
//!
//! Pure: what is wanted is derived from the configuration, what is found comes in as an argument.
//!
//! Invariant: a difference is named, never repaired. Who changed a stream by hand meant it.

use std::fmt;

use amends_contract::{Names, Stream, Timestamp};
use async_nats::jetstream::{
    consumer::{self, AckPolicy, DeliverPolicy},
    stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
};
use serde::Serialize;

use crate::{
    Config, ConsumerSpec, Start,
    config::{StreamLimits, ms},
};

/// One property of a stream or consumer that is not as configured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// What differs: `stream AMENDS_CMD` or `consumer inventory on AMENDS_CMD`.
    pub object: String,
    /// The property, by the broker's own name for it.
    pub field: &'static str,
    /// What the configuration asks for.
    pub wanted: String,
    /// What the broker has.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is {}, wanted {}", self.object, self.field, self.found, self.wanted)
    }
}

/// The stream as it is created.
pub(crate) fn wanted_stream(config: &Config, names: &Names, stream: Stream) -> stream::Config {
    let StreamLimits { max_age_s, max_bytes } = config.streams.limits(stream);
    stream::Config {
        name: names.stream(stream),
        subjects: vec![names.all(stream)],
        // Kept after they were read, so that a command can be looked at and sent again.
        retention: RetentionPolicy::Limits,
        // An old message may be lost, a new one may not be refused.
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_age: ms(max_age_s.saturating_mul(1_000)),
        max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
        // The broker refuses a window longer than the age.
        duplicate_window: ms(config.streams.duplicate_window_s.min(max_age_s).saturating_mul(1_000)),
        num_replicas: config.streams.replicas,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: -1,
        allow_direct: true,
        ..stream::Config::default()
    }
}

/// What differs between the stream wanted and the one found.
pub(crate) fn stream_differences(wanted: &stream::Config, found: &stream::Config) -> Vec<Difference> {
    let mut list = Comparison::of(format!("stream {}", wanted.name));
    list.compare("subjects", &wanted.subjects, &found.subjects);
    list.compare("retention", &wanted.retention, &found.retention);
    list.compare("discard", &wanted.discard, &found.discard);
    list.compare("storage", &wanted.storage, &found.storage);
    list.compare("max_age", &wanted.max_age, &found.max_age);
    list.compare("max_bytes", &wanted.max_bytes, &found.max_bytes);
    list.compare("duplicate_window", &wanted.duplicate_window, &found.duplicate_window);
    list.compare("num_replicas", &wanted.num_replicas, &found.num_replicas);
    list.compare("max_msgs", &wanted.max_messages, &unlimited(found.max_messages));
    list.compare("max_msgs_per_subject", &-1, &unlimited(found.max_messages_per_subject));
    list.compare("max_msg_size", &-1, &unlimited(found.max_message_size.into()));
    list.compare("allow_direct", &wanted.allow_direct, &found.allow_direct);
    list.compare("sealed", &false, &found.sealed);
    list.found
}

/// The consumer as it is created at the moment `now`.
pub(crate) fn wanted_consumer(
    config: &Config,
    spec: &ConsumerSpec,
    now: Timestamp,
) -> consumer::pull::Config {
    let batches = spec.batch_count_max.saturating_mul(4);
    consumer::pull::Config {
        durable_name: Some(spec.durable.clone()),
        filter_subject: spec.filter.clone(),
        deliver_policy: match spec.start {
            Start::Beginning => DeliverPolicy::All,
            Start::MinutesBack(minutes) => DeliverPolicy::ByStartTime {
                start_time: now
                    .minus_ms(minutes.min(config.start_back_max_min).saturating_mul(60_000))
                    .to_datetime(),
            },
        },
        ack_policy: AckPolicy::Explicit,
        ack_wait: ms(config.ack_wait_ms),
        max_deliver: -1,
        max_ack_pending: i64::try_from(config.ack_pending_max.max(batches)).unwrap_or(i64::MAX),
        ..consumer::pull::Config::default()
    }
}

/// What differs between the consumer wanted and the one found. The start is compared by kind only:
/// every process creates with another time, and the first one's stays.
pub(crate) fn consumer_differences(
    stream: &str,
    wanted: &consumer::pull::Config,
    found: &consumer::Config,
) -> Vec<Difference> {
    let name = wanted.durable_name.as_deref().unwrap_or_default();
    let mut list = Comparison::of(format!("consumer {name} on {stream}"));
    let filter = if found.filter_subjects.is_empty() {
        &found.filter_subject
    } else {
        &found.filter_subjects.join(" ")
    };
    list.compare("filter_subject", &wanted.filter_subject, filter);
    list.compare("deliver_subject", &None, &found.deliver_subject);
    list.compare("deliver_policy", &start_kind(&wanted.deliver_policy), &start_kind(&found.deliver_policy));
    list.compare("ack_policy", &wanted.ack_policy, &found.ack_policy);
    list.compare("ack_wait", &wanted.ack_wait, &found.ack_wait);
    list.compare("max_deliver", &wanted.max_deliver, &unlimited(found.max_deliver));
    list.compare("max_ack_pending", &wanted.max_ack_pending, &found.max_ack_pending);
    list.compare("backoff", &wanted.backoff, &found.backoff);
    list.found
}

const fn start_kind(policy: &DeliverPolicy) -> &'static str {
    match policy {
        DeliverPolicy::All => "all",
        DeliverPolicy::Last => "last",
        DeliverPolicy::New => "new",
        DeliverPolicy::ByStartSequence { .. } => "by_start_sequence",
        DeliverPolicy::ByStartTime { .. } => "by_start_time",
        DeliverPolicy::LastPerSubject => "last_per_subject",
    }
}

/// The broker says "no limit" with -1 or with 0.
const fn unlimited(limit: i64) -> i64 {
    if limit == 0 { -1 } else { limit }
}

struct Comparison {
    object: String,
    found: Vec<Difference>,
}

impl Comparison {
    const fn of(object: String) -> Self {
        Self { object, found: Vec::new() }
    }

    fn compare<T: PartialEq + fmt::Debug>(&mut self, field: &'static str, wanted: &T, found: &T) {
        if wanted != found {
            self.found.push(Difference {
                object: self.object.clone(),
                field,
                wanted: format!("{wanted:?}"),
                found: format!("{found:?}"),
            });
        }
    }
}
