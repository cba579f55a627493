//! What the connection tells between the lines: lost connections, missing permissions, slow consumers.
//!
//! A permission violation looks like a timeout to whoever made the call; only the client's event
//! callback knows. So everything it says is kept here for `/readyz` and for people.
//!
//! Invariant: nothing here waits or blocks; the callback runs on the connection's own event task.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use amends_contract::Timestamp;
use async_nats::{ClientError, Event, ServerError};
use metrics::{counter, gauge};
use tokio::sync::watch;

use crate::{Difference, meter};

/// Most problems kept; the oldest go first. Each is one kind with one text.
const PROBLEMS_MAX: usize = 32;

/// State of the connection and of what it serves, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether the connection stands.
    pub connected: bool,
    /// Since when the connection has (not) been standing.
    pub since: Timestamp,
    /// Name and version of the server we are, or were last, connected to.
    pub server: Option<String>,
    /// The server has announced that it will stop; the client moves to another one when it does.
    pub lame_duck: bool,
    /// What went wrong lately (`problem_memory_ms`), latest last.
    pub problems: Vec<Problem>,
    /// Streams and consumers that are not as configured, as last seen.
    pub differences: Vec<Difference>,
}

impl Health {
    /// Why no work can be done at the moment; `None` when it can.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        let latest = self.problems.iter().rev().find(|problem| problem.kind.stops_work());
        match (self.connected, latest) {
            (true, None) => None,
            (true, Some(problem)) => Some(problem.text.clone()),
            (false, None) => Some("not connected to the broker".to_owned()),
            (false, Some(problem)) => Some(format!("not connected to the broker: {}", problem.text)),
        }
    }
}

/// One kind of trouble, counted while it repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is about.
    pub kind: ProblemKind,
    /// What was said.
    pub text: String,
    /// When it was first seen.
    pub first_at: Timestamp,
    /// When it was last seen.
    pub last_at: Timestamp,
    /// How often it was seen since `first_at`.
    pub count: u64,
}

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// Connecting fails: address, authentication, TLS.
    Connection,
    /// The broker forbids a subject to our user.
    Permission,
    /// We read more slowly than the broker delivers, and messages were dropped (they come again).
    SlowConsumer,
    /// The broker complains about something else.
    Server,
    /// The broker does not take our messages.
    Publish,
    /// A stream cannot be looked at or created.
    Topology,
    /// A consumer cannot be opened, or does not stay open.
    Consumer,
}

impl ProblemKind {
    /// Whether work stands still while this lasts.
    #[must_use]
    pub const fn stops_work(self) -> bool {
        match self {
            Self::Connection | Self::Permission | Self::Publish | Self::Topology | Self::Consumer => true,
            Self::SlowConsumer | Self::Server => false,
        }
    }

    /// One word, for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Permission => "permission",
            Self::SlowConsumer => "slow-consumer",
            Self::Server => "server",
            Self::Publish => "publish",
            Self::Topology => "topology",
            Self::Consumer => "consumer",
        }
    }
}

/// Collects what [`Health`] shows.
pub(crate) struct Monitor {
    connection: watch::Sender<Connection>,
    state: Mutex<State>,
    memory_ms: u64,
}

/// The connection as the client's events tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) connected: bool,
    /// How often it was lost: who looks too late still sees that it was.
    pub(crate) losses: u64,
}

struct State {
    since: Timestamp,
    /// The same moment on a clock that nobody sets.
    since_instant: Instant,
    lame_duck: bool,
    problems: Vec<Problem>,
}

impl Monitor {
    pub(crate) fn new(memory_ms: u64) -> Self {
        let state =
            State { since: now(), since_instant: Instant::now(), lame_duck: false, problems: Vec::new() };
        Self { connection: watch::Sender::default(), state: Mutex::new(state), memory_ms }
    }

    /// Changes when the connection comes or goes.
    pub(crate) fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.subscribe()
    }

    /// What the client's event callback says.
    pub(crate) fn hear(&self, event: &Event) {
        match event {
            Event::Connected => self.connection_changed(true),
            Event::Disconnected | Event::Closed => self.connection_changed(false),
            Event::LameDuckMode => self.lock().lame_duck = true,
            Event::Draining => {}
            Event::SlowConsumer(_) | Event::ServerError(ServerError::SlowConsumer(_)) => {
                self.note(ProblemKind::SlowConsumer, &event.to_string());
            }
            Event::ServerError(ServerError::AuthorizationViolation) => {
                self.note(ProblemKind::Connection, "the broker refuses our credentials");
            }
            Event::ServerError(ServerError::Other(text)) => {
                let permission = text.to_ascii_lowercase().starts_with("permissions violation");
                self.note(if permission { ProblemKind::Permission } else { ProblemKind::Server }, text);
            }
            Event::ClientError(ClientError::Other(text)) => self.note(ProblemKind::Connection, text),
            Event::ClientError(error) => self.note(ProblemKind::Connection, &error.to_string()),
        }
    }

    /// Keeps a problem, or counts it when it is known.
    pub(crate) fn note(&self, kind: ProblemKind, text: &str) {
        let at = now();
        let mut state = self.lock();
        let known = state.problems.iter().position(|problem| problem.kind == kind && problem.text == text);
        let problem = match known {
            Some(index) => {
                let known = state.problems.remove(index);
                Problem { last_at: at, count: known.count + 1, ..known }
            }
            None => Problem { kind, text: text.to_owned(), first_at: at, last_at: at, count: 1 },
        };
        if problem.count == 1 {
            tracing::warn!(kind = kind.as_str(), problem = text, "broker trouble");
        }
        if state.problems.len() == PROBLEMS_MAX {
            state.problems.remove(0);
        }
        state.problems.push(problem);
        drop(state);
        counter!(meter::PROBLEMS, "kind" => kind.as_str()).increment(1);
    }

    /// Forgets the problems of a kind whose text begins so: they are known to be over.
    pub(crate) fn over(&self, kind: ProblemKind, beginning: &str) {
        self.lock().problems.retain(|problem| problem.kind != kind || !problem.text.starts_with(beginning));
    }

    /// Milliseconds for which the connection has been missing by now, if it is.
    pub(crate) fn disconnected_ms(&self) -> u64 {
        u64::try_from(self.lock().since_instant.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn snapshot(
        &self,
        connected: bool,
        server: Option<String>,
        differences: Vec<Difference>,
    ) -> Health {
        let state = self.lock();
        let oldest = now().minus_ms(self.memory_ms);
        let problems = state.problems.iter().filter(|problem| problem.last_at >= oldest).cloned().collect();
        Health { connected, since: state.since, server, lame_duck: state.lame_duck, problems, differences }
    }

    fn connection_changed(&self, connected: bool) {
        let mut state = self.lock();
        state.since = now();
        state.since_instant = Instant::now();
        state.lame_duck = false;
        // A new connection may have new permissions; what still is a problem says so again.
        if connected {
            state.problems.clear();
        }
        drop(state);
        self.connection.send_modify(|connection| {
            connection.connected = connected;
            connection.losses += u64::from(!connected);
        });
        gauge!(meter::CONNECTED).set(if connected { 1.0 } else { 0.0 });
        if connected {
            counter!(meter::CONNECTS).increment(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under this lock cannot leave it half changed in a way that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock. The broker crate is the one that stamps what the broker does.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
