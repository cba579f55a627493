//! How a deployment's broker stands, as plain facts for whoever judges it: server, account, streams,
//! consumers, what our user may do.
//!
//! Invariant: nothing here changes anything at the broker, and nothing here judges.

use amends_contract::{Stream, Timestamp};
use async_nats::jetstream::{
    ErrorCode,
    account::Account,
    consumer, stream,
    stream::{ClusterInfo, StorageType},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    Broker, ConsumerSpec, Difference, Error,
    broker::Core,
    config::ms,
    health::now,
    topology::{consumer_differences, stream_differences, wanted_consumer, wanted_stream},
};

/// Answered for the account of whoever asks, where its user may ask (nats-server 2.9).
const WHO_AM_I: &str = "$SYS.REQ.USER.INFO";

/// The server that we are connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerFacts {
    /// Its name.
    pub name: String,
    /// Its version, such as `2.15.1`.
    pub version: String,
    /// The cluster it belongs to, if it belongs to one.
    pub cluster: Option<String>,
    /// Largest message that it takes, in bytes, headers included.
    pub max_payload: usize,
    /// Whether it wants to know who we are.
    pub auth_required: bool,
    /// Whether it refuses connections that are not encrypted.
    pub tls_required: bool,
}

/// What JetStream keeps for our account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountFacts {
    /// Bytes of messages stored.
    pub stored_bytes: u64,
    /// Bytes set aside by the streams' `max_bytes`.
    pub reserved_bytes: u64,
    /// Bytes it may store, where that is limited.
    pub bytes_max: Option<u64>,
}

/// Another copy of a stream or consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// The server that keeps it.
    pub name: String,
    /// Whether it has all that the leader has.
    pub current: bool,
    /// Whether nobody has heard of it.
    pub offline: bool,
}

/// A stream as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamFacts {
    /// Its name.
    pub name: String,
    /// Copies it is configured to have.
    pub replicas: usize,
    /// Who leads it; `None` outside of a cluster, or while nobody does.
    pub leader: Option<String>,
    /// Its other copies.
    pub peers: Vec<Peer>,
    /// Whether it lies on disk.
    pub on_disk: bool,
    /// Age of the oldest message, in seconds; 0 without a limit.
    pub max_age_s: u64,
    /// Size of all messages, in bytes; `None` without a limit.
    pub bytes_max: Option<u64>,
    /// How long message ids are remembered, in seconds.
    pub duplicate_window_s: u64,
    /// Bytes stored now.
    pub bytes: u64,
    /// Messages stored now.
    pub messages: u64,
    /// How it is not as configured.
    pub differences: Vec<Difference>,
}

/// A consumer as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerFacts {
    /// Its other copies.
    pub peers: Vec<Peer>,
    /// Pull requests that wait at the broker: 0 means that nobody is reading.
    pub waiting: usize,
    /// Messages not delivered yet.
    pub pending: u64,
    /// For how long somebody has paused it, in milliseconds; 0 when nobody has.
    pub paused_ms: u64,
    /// How it is not as configured.
    pub differences: Vec<Difference>,
}

/// What our user may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Permissions {
    /// Who we are; empty where nobody asks.
    pub user: String,
    /// In which account.
    pub account: String,
    /// Where it may publish.
    pub publish: Subjects,
    /// What it may subscribe to.
    pub subscribe: Subjects,
}

/// Subjects with wildcards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subjects {
    /// Only these; all when there are none.
    pub allow: Vec<String>,
    /// Not these, whatever is allowed.
    pub deny: Vec<String>,
}

impl Subjects {
    /// Whether all of `wanted`, which may have wildcards, is open.
    #[must_use]
    pub fn open(&self, wanted: &str) -> bool {
        let allowed = self.allow.is_empty() || self.allow.iter().any(|allow| covers(allow, wanted));
        allowed && !self.deny.iter().any(|deny| overlaps(deny, wanted))
    }
}

impl Broker {
    /// The server that we are connected to; `None` before the first connection.
    #[must_use]
    pub fn server(&self) -> Option<ServerFacts> {
        self.core.link().client.try_server_info().map(|info| ServerFacts {
            name: info.server_name,
            version: info.version,
            cluster: info.cluster.filter(|name| !name.is_empty()),
            max_payload: info.max_payload,
            auth_required: info.auth_required,
            tls_required: info.tls_required,
        })
    }

    /// What JetStream keeps for our account.
    ///
    /// # Errors
    /// When the broker is away, does not answer, or has no JetStream.
    pub async fn account(&self) -> Result<AccountFacts, Error> {
        let account: Account = self.core.ask("INFO".to_owned(), &json!({})).await?;
        Ok(AccountFacts {
            stored_bytes: account.storage,
            reserved_bytes: account.reserved_storage,
            bytes_max: account.limits.max_storage.and_then(|bytes| u64::try_from(bytes).ok()),
        })
    }

    /// A stream, and by how many milliseconds the broker's clock is ahead of this machine's, as far as the answer
    /// tells; `None` when there is no such stream.
    ///
    /// # Errors
    /// When the broker is away or does not answer.
    pub async fn stream_facts(&self, stream: Stream) -> Result<Option<(StreamFacts, Option<i64>)>, Error> {
        let asked = now();
        let subject = format!("STREAM.INFO.{}", self.names().stream(stream));
        let Some(answer) = self.core.described(subject, ErrorCode::STREAM_NOT_FOUND).await? else {
            return Ok(None);
        };
        let ahead_ms = ahead_ms(&answer, asked, now());
        let info: stream::Info = read(answer)?;
        let wanted = wanted_stream(&self.core.config, self.names(), stream);
        let (leader, peers) = copies(info.cluster.as_ref());
        let facts = StreamFacts {
            name: wanted.name.clone(),
            replicas: info.config.num_replicas,
            leader,
            peers,
            on_disk: info.config.storage == StorageType::File,
            max_age_s: info.config.max_age.as_secs(),
            bytes_max: u64::try_from(info.config.max_bytes).ok(),
            duplicate_window_s: info.config.duplicate_window.as_secs(),
            bytes: info.state.bytes,
            messages: info.state.messages,
            differences: stream_differences(&wanted, &info.config),
        };
        Ok(Some((facts, ahead_ms)))
    }

    /// A consumer, held against what it would be created as; `None` when there is none.
    ///
    /// # Errors
    /// When the broker is away or does not answer.
    pub async fn consumer_facts(&self, spec: &ConsumerSpec) -> Result<Option<ConsumerFacts>, Error> {
        let subject = format!("CONSUMER.INFO.{}.{}", self.names().stream(spec.stream), spec.durable);
        let answer = match self.core.described(subject, ErrorCode::CONSUMER_NOT_FOUND).await {
            Err(error) if error.is(ErrorCode::STREAM_NOT_FOUND) => return Ok(None),
            answer => answer?,
        };
        let Some(answer) = answer else { return Ok(None) };
        let info: consumer::Info = read(answer)?;
        let wanted = wanted_consumer(&self.core.config, spec, now());
        let paused = info.pause_remaining.filter(|_| info.paused);
        Ok(Some(ConsumerFacts {
            peers: copies(info.cluster.as_ref()).1,
            waiting: info.num_waiting,
            pending: info.num_pending,
            paused_ms: paused.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)),
            differences: consumer_differences(&info.stream_name, &wanted, &info.config),
        }))
    }

    /// What our user may do; `None` when the server does not say, because it may not ask or nobody answers.
    ///
    /// # Errors
    /// When the broker is away, or its answer cannot be read.
    pub async fn permissions(&self) -> Result<Option<Permissions>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            data: Data,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Data {
            user: String,
            account: String,
            permissions: Option<Both>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Both {
            publish: Option<Subjects>,
            subscribe: Option<Subjects>,
        }
        if !self.core.is_connected() {
            return Err(Error::Unavailable("not connected".to_owned()));
        }
        let client = self.core.link().client.clone();
        let asked = timeout(
            ms(self.core.config.request_timeout_ms),
            client.request(WHO_AM_I, Bytes::from_static(b"{}")),
        );
        let Ok(Ok(answer)) = asked.await else { return Ok(None) };
        let answer: Answer =
            serde_json::from_slice(&answer.payload).map_err(|error| Error::Answer(error.to_string()))?;
        let Data { user, account, permissions } = answer.data;
        let Both { publish, subscribe } = permissions.unwrap_or_default();
        let (publish, subscribe) = (publish.unwrap_or_default(), subscribe.unwrap_or_default());
        Ok(Some(Permissions { user, account, publish, subscribe }))
    }
}

impl Core {
    /// What the API says of something; `None` when it says that there is no such thing.
    async fn described(&self, subject: String, missing: ErrorCode) -> Result<Option<Value>, Error> {
        match self.ask(subject, &json!({})).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is(missing) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Error> {
    serde_json::from_value(answer).map_err(|error| Error::Answer(error.to_string()))
}

/// The answer says when it was given: somewhere between the asking and its arrival.
fn ahead_ms(answer: &Value, asked: Timestamp, answered: Timestamp) -> Option<i64> {
    let theirs: Timestamp = answer["ts"].as_str()?.parse().ok()?;
    let middle = asked.unix_ms().midpoint(answered.unix_ms());
    Some(theirs.unix_ms() - middle)
}

fn copies(cluster: Option<&ClusterInfo>) -> (Option<String>, Vec<Peer>) {
    let Some(cluster) = cluster else { return (None, Vec::new()) };
    let peer = |peer: &stream::PeerInfo| Peer {
        name: peer.name.clone(),
        current: peer.current,
        offline: peer.offline,
    };
    let leader = cluster.leader.clone().filter(|name| !name.is_empty());
    (leader, cluster.replicas.iter().map(peer).collect())
}

/// Whether every subject of `wanted` is one of `pattern`.
fn covers(pattern: &str, wanted: &str) -> bool {
    let (mut pattern, mut wanted) = (pattern.split('.'), wanted.split('.'));
    loop {
        match (pattern.next(), wanted.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(mine), Some(theirs)) if mine == theirs && mine != ">" => {}
            _ => return false,
        }
    }
}

/// Whether some subject is in both.
fn overlaps(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(allow: &[&str], deny: &[&str]) -> Subjects {
        let owned = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
        Subjects { allow: owned(allow), deny: owned(deny) }
    }

    #[test]
    fn who_is_told_nothing_may_do_all() {
        assert!(subjects(&[], &[]).open("a.>"));
        assert!(!subjects(&[], &["a.b"]).open("a.>"), "a part of it is closed");
        assert!(subjects(&[], &["a.b"]).open("a.c"));
    }

    #[test]
    fn what_is_allowed_has_to_cover_all_that_is_wanted() {
        let allowed = subjects(&["a.cmd.>", "a.reply.*", "b"], &["a.cmd.secret.>"]);
        for wanted in ["a.cmd.stock.take", "a.reply.*", "a.reply.stock", "b"] {
            assert!(allowed.open(wanted), "{wanted}");
        }
        for wanted in ["a.cmd", "a.>", "a.reply.>", "a.reply.x.y", "a.cmd.secret.x", "a.cmd.>", "b.c"] {
            assert!(!allowed.open(wanted), "{wanted}");
        }
    }

    #[test]
    fn the_brokers_clock_is_read_in_the_middle_of_the_question() {
        let at = Timestamp::from_unix_ms;
        let answer = json!({ "ts": "1970-01-01T00:00:12.000Z" });
        assert_eq!(ahead_ms(&answer, at(1_000), at(3_000)), Some(10_000));
        assert_eq!(ahead_ms(&json!({}), at(1_000), at(3_000)), None);
    }
}
