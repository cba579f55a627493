//! Everything about the broker that can be set, with its default and the reason for it.
//!
//! Sizes and ages of the streams are wishes for their creation: an existing stream is never changed,
//! a difference is reported.
//!
//! Invariant: no secret is ever printed, neither by `Debug` nor by `Serialize`.

use std::{fmt, path::PathBuf, time::Duration};

use amends_contract::{DEFAULT_PREFIX, Stream};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// How to reach the broker, and how to use it. Section `nats` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where nats-server listens: `nats://host:port`, several separated by commas. Credentials in it
    /// (`nats://user:password@host`) are understood.
    pub url: Address,
    /// First token of all subjects; the streams derive from it. Groups that share a broker differ here.
    pub prefix: String,
    /// Who we are to the broker.
    pub auth: Auth,
    /// Encryption of the connection.
    pub tls: Tls,
    /// Limits of the four streams.
    pub streams: Streams,

    /// Longest attempt to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest pause between two attempts to connect, in milliseconds. It grows up to this from a few
    /// milliseconds; half of it is random, so that a restarted broker is not stormed.
    pub reconnect_delay_max_ms: u64,
    /// How often a silent connection is pinged, in milliseconds: a broker that vanished without closing
    /// the connection is noticed after two to three of these.
    pub ping_interval_ms: u64,
    /// Longest wait for an answer of the `JetStream` API, in milliseconds.
    pub request_timeout_ms: u64,
    /// Pause before a question that is not answered is asked again within `request_timeout_ms`, in milliseconds. In a
    /// cluster nobody answers what was asked while a leader was being elected.
    pub ask_again_ms: u64,

    /// Longest wait for the broker to store a message, in milliseconds. After that the message counts
    /// as refused although it may be stored later; whoever sent it sends it again.
    pub publish_timeout_ms: u64,
    /// Pause before messages that nobody took (no stream, no leader) are offered again within
    /// `publish_timeout_ms`, in milliseconds.
    pub publish_retry_ms: u64,
    /// Messages sent and not yet acknowledged by the broker, over all publishers of the process. 1,024
    /// is where more brings nothing.
    pub outstanding_max: usize,
    /// Commands and replies that one acknowledgement of the broker stands for, where so many are sent at once; 1 asks
    /// for one each. Timers send again what got lost unnoticed.
    pub publish_group_max: usize,
    /// Most commands or replies of one commit to the same subject that travel as one message, a CloudEvents batch; 1
    /// sends each alone. Every reader of ours takes batches; switch it on when all others do, too. It saves
    /// the broker about half of its work, and a redelivery brings the whole batch again.
    pub bundle_count_max: usize,
    /// Largest such message, in bytes; never more than the broker takes.
    pub bundle_bytes_max: usize,
    /// Whether commands and the orchestrator's events carry `Nats-Msg-Id`, as dead letters and participants' events do, so
    /// that the broker drops what is sent twice within `duplicate_window_s`. Off by default: it costs each message
    /// something, repetitions are rare, and every reader recognises them.
    pub message_ids: bool,

    /// Most messages in one delivered batch, and in one pull request. Small, since `ack_wait_ms` starts
    /// when a message arrives here, not when somebody looks at it.
    pub batch_count_max: usize,
    /// Time to acknowledge a delivery before the broker delivers it again, in milliseconds.
    pub ack_wait_ms: u64,
    /// Deliveries of one consumer that may wait for their acknowledgement, over all processes that share
    /// it; never less than four batches.
    pub ack_pending_max: usize,
    /// How often the broker says that it is still there while there is nothing to deliver, in
    /// milliseconds. Two missed ones reopen the consumer. In a cluster this is how a dead leader is noticed by
    /// whoever is connected to another server: less than an election takes (4 to 9 s).
    pub idle_heartbeat_ms: u64,
    /// How long one pull request waits at the broker, in milliseconds.
    pub pull_expires_ms: u64,
    /// Longest delay a delivery can be sent back with, in milliseconds. Longer waits belong into a
    /// database: a message that waits here holds a place among `ack_pending_max`.
    pub nak_delay_max_ms: u64,
    /// Acknowledgements waiting to be written to the connection. What exceeds it is dropped and counted,
    /// and its messages come again.
    pub ack_queue_max: usize,
    /// How far back a new consumer of commands or replies starts, in minutes. What is older and still
    /// wanted is sent again by a timer.
    pub start_back_max_min: u64,
    /// Longest pause before a consumer that failed is opened again, in milliseconds; the pause grows up
    /// to this and is jittered, since the broker's trouble hits every consumer at once.
    pub reopen_delay_max_ms: u64,

    /// How long a stream that was there, or a stream of a cluster, has to stay away until it is created
    /// again, in milliseconds: a change of leader looks like a deleted stream.
    pub stream_missing_patience_ms: u64,
    /// How often the streams are looked at without any reason, in milliseconds (plus up to a fifth).
    pub watch_interval_ms: u64,
    /// How long a problem that does not repeat is remembered by `health`, in milliseconds. Longer than
    /// the pauses between two attempts at anything.
    pub problem_memory_ms: u64,
    /// Longest wait for acknowledgements to be written when the process stops, in milliseconds.
    pub close_timeout_ms: u64,

    /// Whether processes show themselves as micro services (`nats micro ls`) and answer requests by
    /// subject. It needs the permission to subscribe to `$SRV.>` and to what is answered; where the
    /// account does not give it, switch this off.
    pub micro: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: Address::from("nats://127.0.0.1:4222"),
            prefix: DEFAULT_PREFIX.to_owned(),
            auth: Auth::default(),
            tls: Tls::default(),
            streams: Streams::default(),
            connect_timeout_ms: 5_000,
            reconnect_delay_max_ms: 2_000,
            ping_interval_ms: 10_000,
            request_timeout_ms: 5_000,
            ask_again_ms: 1_000,
            publish_timeout_ms: 5_000,
            publish_retry_ms: 250,
            outstanding_max: 1_024,
            publish_group_max: 32,
            bundle_count_max: 1,
            bundle_bytes_max: 256 * 1024,
            message_ids: false,
            batch_count_max: 256,
            ack_wait_ms: 60_000,
            ack_pending_max: 8_192,
            idle_heartbeat_ms: 1_500,
            pull_expires_ms: 30_000,
            nak_delay_max_ms: 5_000,
            ack_queue_max: 65_536,
            start_back_max_min: 10,
            reopen_delay_max_ms: 5_000,
            stream_missing_patience_ms: 10_000,
            watch_interval_ms: 30_000,
            problem_memory_ms: 60_000,
            close_timeout_ms: 2_000,
            micro: true,
        }
    }
}

impl Config {
    /// What the broker would refuse anyway, only later and less clearly.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.pull_expires_ms < self.idle_heartbeat_ms.saturating_mul(2) {
            return Err(Error::Config("pull_expires_ms must be at least twice idle_heartbeat_ms".to_owned()));
        }
        if !(1..=5).contains(&self.streams.replicas) {
            return Err(Error::Config("streams.replicas must be 1 to 5 (1 on a single server)".to_owned()));
        }
        Ok(())
    }
}

/// Addresses of the broker. A type of its own because they may carry a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// The text as configured, secrets included: for the connection, not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.0.split(',').map(str::trim).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
            let mark = if scheme.is_empty() { "" } else { "://" };
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            write!(f, "{comma}{scheme}{mark}{host}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that must not be seen: passwords, tokens, seeds. Printed and serialized as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself: for the connection, not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Who we are to the broker. At most one way of: user and password, token, nkey, credentials file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// User name; goes with `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// Authentication token.
    pub token: Option<Secret>,
    /// Seed of an nkey (`SU...`).
    pub nkey_seed: Option<Secret>,
    /// File with a user's JWT and seed, as `nsc` writes it. Read once, when the process starts.
    pub credentials_file: Option<PathBuf>,
}

/// Encryption of the connection. An address `tls://...` turns it on as well.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Refuse a connection that is not encrypted.
    pub required: bool,
    /// Encrypt before the server's greeting (the server must be set to `handshake_first`).
    pub first: bool,
    /// Root certificates (PEM) besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM); goes with `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// Key of our certificate (PEM).
    pub key_file: Option<PathBuf>,
}

/// Limits of the four streams, used when one has to be created.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Streams {
    /// Copies of each stream: 1 on a single server, 3 in a cluster.
    pub replicas: usize,
    /// How long the broker remembers message ids, in seconds. It saves work; nothing rests on it.
    pub duplicate_window_s: u64,
    /// Commands. Kept for a while after they were read, so that one can be looked at and sent again.
    pub command: StreamLimits,
    /// Replies.
    pub reply: StreamLimits,
    /// Events.
    pub event: StreamLimits,
    /// Dead letters.
    pub dead: StreamLimits,
}

impl Default for Streams {
    fn default() -> Self {
        const HOUR: u64 = 3_600;
        // nats-server reserves max_bytes when it creates a stream, and refuses when three quarters of
        // the free disk do not suffice: together these must fit a laptop.
        const GIB: u64 = 1 << 30;
        Self {
            replicas: 1,
            duplicate_window_s: 120,
            command: StreamLimits { max_age_s: 72 * HOUR, max_bytes: GIB },
            reply: StreamLimits { max_age_s: 72 * HOUR, max_bytes: GIB },
            event: StreamLimits { max_age_s: 30 * 24 * HOUR, max_bytes: GIB },
            dead: StreamLimits { max_age_s: 30 * 24 * HOUR, max_bytes: GIB / 4 },
        }
    }
}

impl Streams {
    /// The limits of one stream.
    #[must_use]
    pub const fn limits(&self, stream: Stream) -> StreamLimits {
        match stream {
            Stream::Command => self.command,
            Stream::Reply => self.reply,
            Stream::Event => self.event,
            Stream::Dead => self.dead,
        }
    }
}

/// What makes the broker discard the oldest messages of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamLimits {
    /// Age of the oldest message, in seconds.
    pub max_age_s: u64,
    /// Size of all messages, in bytes.
    pub max_bytes: u64,
}

/// Milliseconds as the duration that tokio and async-nats take.
pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
