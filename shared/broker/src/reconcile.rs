//! Streams that must exist are made to exist, again and again: topology is a state to be restored, not
//! a step of installation.
//!
//! A watchdog does it whenever the connection comes back, when somebody hints that a stream is missing,
//! and now and then without any reason.
//!
//! Invariant: an existing stream is never changed or deleted, and one that was there is created again
//! only after it stayed away for `stream_missing_patience_ms`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use amends_contract::{Stream, Timestamp};
use async_nats::jetstream::{ErrorCode, stream};
use metrics::counter;
use serde_json::json;
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Difference, Error, ProblemKind,
    broker::Core,
    config::ms,
    jitter, meter,
    topology::{stream_differences, wanted_stream},
};

/// What is known about the streams and consumers.
pub(crate) struct Topology {
    /// Locked for the whole of one reconciliation, its patience included: others wait for its result
    /// instead of asking the same.
    seen: AsyncMutex<BTreeMap<Stream, Seen>>,
    /// By object, as last seen.
    differences: Mutex<BTreeMap<String, Vec<Difference>>>,
    changes: watch::Sender<u64>,
    hint: Notify,
}

/// What identifies a stream's content.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    created_at: Timestamp,
    last_seq: u64,
}

impl Topology {
    pub(crate) fn new() -> Self {
        Self {
            seen: AsyncMutex::default(),
            differences: Mutex::default(),
            changes: watch::Sender::new(0),
            hint: Notify::new(),
        }
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Asks the watchdog to look soon.
    pub(crate) fn hint(&self) {
        self.hint.notify_one();
    }

    pub(crate) fn differences(&self) -> Vec<Difference> {
        let differences = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        differences.values().flatten().cloned().collect()
    }

    /// Keeps how an object differs, and says so once.
    pub(crate) fn note_differences(&self, object: &str, found: Vec<Difference>) {
        let mut differences = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        let known = differences.get(object);
        for difference in
            found.iter().filter(|difference| !known.is_some_and(|known| known.contains(difference)))
        {
            tracing::warn!(%difference, "not as configured; nothing is changed");
        }
        differences.insert(object.to_owned(), found);
    }

    /// Keeps what was found, and tells others when it is not the stream, or not the content, they knew.
    fn note_seen(&self, seen: &mut BTreeMap<Stream, Seen>, stream: Stream, info: &stream::Info) {
        let found = Seen { created_at: info.created.into(), last_seq: info.state.last_sequence };
        let Some(before) = seen.insert(stream, found) else { return };
        if before.created_at != found.created_at || found.last_seq < before.last_seq {
            tracing::warn!(
                stream = info.config.name,
                seq_before = before.last_seq,
                seq_found = found.last_seq,
                "the stream was created again or went back"
            );
            counter!(meter::TOPOLOGY_CHANGES).increment(1);
            self.changes.send_modify(|count| *count += 1);
        }
    }
}

impl Core {
    /// Looks at all streams, creates the missing ones, and lists what differs.
    pub(crate) async fn reconcile(&self) -> Result<Vec<Difference>, Error> {
        let mut seen = self.topology.seen.lock().await;
        let mut missing = Vec::new();
        for stream in Stream::ALL {
            if !self.look_at(&mut seen, stream).await? {
                missing.push(stream);
            }
        }
        if missing.iter().any(|stream| self.may_come_back(&seen, *stream)) {
            let patience_ms = self.config.stream_missing_patience_ms;
            tracing::warn!(
                ?missing,
                patience_ms,
                "streams are missing; asking again before they are created"
            );
            sleep(ms(patience_ms)).await;
        }
        for stream in missing {
            if !self.look_at(&mut seen, stream).await? {
                self.create(stream).await?;
                self.look_at(&mut seen, stream).await?;
            }
        }
        Ok(self.topology.differences())
    }

    /// Whether the stream exists; if so, what it is like is kept.
    async fn look_at(&self, seen: &mut BTreeMap<Stream, Seen>, stream: Stream) -> Result<bool, Error> {
        let Some(info) = self.stream_info(stream).await? else { return Ok(false) };
        let wanted = wanted_stream(&self.config, &self.names, stream);
        self.topology.note_differences(&wanted.name, stream_differences(&wanted, &info.config));
        self.topology.note_seen(seen, stream, &info);
        Ok(true)
    }

    /// A stream that we have seen, or that others of a cluster may see, is perhaps only without a leader.
    fn may_come_back(&self, seen: &BTreeMap<Stream, Seen>, stream: Stream) -> bool {
        seen.contains_key(&stream) || self.link().client.server_info().cluster.is_some()
    }

    async fn create(&self, stream: Stream) -> Result<(), Error> {
        let wanted = wanted_stream(&self.config, &self.names, stream);
        let answer: Result<stream::Info, Error> =
            self.api(format!("STREAM.CREATE.{}", wanted.name), &wanted).await;
        match answer {
            Ok(_) => tracing::info!(stream = wanted.name, "stream created"),
            // Another process was faster, with another configuration: that is a difference, no failure.
            Err(error) if error.is(ErrorCode::STREAM_NAME_EXIST) => {}
            Err(Error::Refused { code, text }) => {
                return Err(Error::Refused {
                    code,
                    text: format!("{} cannot be created: {text}", wanted.name),
                });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The stream as the broker describes it; `None` when it does not exist.
    pub(crate) async fn stream_info(&self, stream: Stream) -> Result<Option<stream::Info>, Error> {
        match self.ask(format!("STREAM.INFO.{}", self.names.stream(stream)), &json!({})).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.is(ErrorCode::STREAM_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reconciles until `stop`: on every connect, on a hint, and every `watch_interval_ms`. Revives the
/// client on the way.
pub(crate) async fn watch(core: Arc<Core>, stop: CancellationToken) {
    let mut connection = core.monitor.connection();
    // It may have come before we looked.
    connection.mark_changed();
    let mut failures = 0_u32;
    loop {
        let pause = match failures {
            0 => ms(jitter::spread(core.config.watch_interval_ms)),
            _ => jitter::backoff(failures, core.config.reopen_delay_max_ms),
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
            // Whoever woke us woke every other process, too.
            () = core.topology.hint.notified() => sleep(ms(jitter::spread(0))).await,
            _ = connection.changed() => sleep(ms(jitter::spread(0))).await,
        }
        if let Err(error) = core.revive().await {
            core.monitor.note(ProblemKind::Connection, &error.to_string());
        }
        if !core.is_connected() {
            continue;
        }
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = core.reconcile() => outcome,
        };
        match outcome {
            Ok(_) => {
                failures = 0;
                core.monitor.over(ProblemKind::Topology, "");
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                core.monitor.note(ProblemKind::Topology, &error.to_string());
            }
        }
    }
}
