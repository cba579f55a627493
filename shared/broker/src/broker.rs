//! The connection to the broker, and the way to everything that goes through it.
//!
//! Invariant: connecting never fails because the broker is down; it goes on in the background for as
//! long as a clone of the [`Broker`] lives.

use std::sync::Arc;

use amends_contract::Names;
use async_nats::{
    Event,
    connection::State,
    jetstream::{context::RequestErrorKind, response::Response},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Config, Consumer, ConsumerSpec, Difference, Error, Health, ProblemKind, Publisher,
    config::ms,
    delivery::AckQueue,
    health::Monitor,
    ledger::Ledger,
    link::{CurrentLink, Link},
    reconcile::{Topology, watch},
};

/// The broker. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Broker {
    pub(crate) core: Arc<Core>,
    /// Stops the background tasks when the last clone, publisher and consumer are gone.
    _alive: Arc<DropGuard>,
}

/// What all parts of this crate share. It holds no [`Broker`], else the tasks that hold it never end.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) names: Names,
    name: String,
    link: CurrentLink,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) acks: AckQueue,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) topology: Topology,
    stop: CancellationToken,
}

impl Broker {
    /// Starts connecting under the client name `name`, which operators see in the broker's lists.
    /// Returns at once; [`Broker::health`] and [`Broker::connected`] tell how it goes.
    ///
    /// # Errors
    /// [`Error::Config`] when the configuration is wrong. That the broker is down is no error.
    pub async fn connect(config: &Config, name: &str) -> Result<Self, Error> {
        let broker = Self::observe(config, name).await?;
        tokio::spawn(watch(Arc::clone(&broker.core), broker.core.stop.clone()));
        Ok(broker)
    }

    /// The same for whoever only looks: no stream is created that is missing, and a client that died is not
    /// replaced.
    ///
    /// # Errors
    /// As of [`Broker::connect`].
    pub async fn observe(config: &Config, name: &str) -> Result<Self, Error> {
        config.check()?;
        let names = Names::new(&config.prefix).map_err(|error| Error::Config(format!("prefix: {error}")))?;
        let monitor = Arc::new(Monitor::new(config.problem_memory_ms));
        let link = CurrentLink::new(Link::start(config, name, &monitor).await?);
        let ledger = Ledger::new(&names, &link.get().client, config.outstanding_max);
        ledger.attach(&link.get().client).await?;
        let stop = CancellationToken::new();
        let core = Arc::new(Core {
            config: config.clone(),
            names,
            name: name.to_owned(),
            acks: AckQueue::start(link.clone(), config.ack_queue_max, config.nak_delay_max_ms),
            link,
            monitor,
            ledger,
            topology: Topology::new(),
            stop: stop.clone(),
        });
        Ok(Self { core, _alive: Arc::new(stop.drop_guard()) })
    }

    /// Subjects and streams under the configured prefix.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.core.names
    }

    /// Looks at all streams now, creates the missing ones, and lists what is not as configured. A stream
    /// that was there is awaited for `stream_missing_patience_ms` first. The same happens by itself
    /// after every connect; this is for whoever wants to know the result.
    ///
    /// # Errors
    /// When the broker is away, does not answer or refuses a creation.
    pub async fn reconcile(&self) -> Result<Vec<Difference>, Error> {
        self.core.reconcile().await
    }

    /// A publisher. All publishers share the limit of outstanding messages.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.clone())
    }

    /// A consumer; nothing happens before its first `next`.
    #[must_use]
    pub fn consumer(&self, spec: ConsumerSpec) -> Consumer {
        Consumer::new(self.clone(), spec)
    }

    /// The state of the connection and what went wrong lately. Asks nobody.
    #[must_use]
    pub fn health(&self) -> Health {
        let server = self.core.link().client.try_server_info();
        self.core.monitor.snapshot(
            self.core.is_connected(),
            server.map(|info| format!("{} {}", info.server_name, info.version)),
            self.core.topology.differences(),
        )
    }

    /// Waits for the connection.
    pub async fn connected(&self) {
        self.core.connected().await;
    }

    /// Counts the times a stream was found created anew, or gone back behind a number it had reached: its
    /// messages may be lost, and who keeps them elsewhere (an outbox) compares
    /// [`Broker::stream_position`] with what it published and publishes again.
    #[must_use]
    pub fn topology_changes(&self) -> watch::Receiver<u64> {
        self.core.topology.changes()
    }

    /// Hands over what is still to be written (acknowledgements above all), and closes the connection,
    /// for all clones. Waits `close_timeout_ms` at most: what is not written comes again.
    pub async fn close(self) {
        let connected = self.core.is_connected();
        self.core.stop.cancel();
        if !connected {
            return;
        }
        let goodbye = async {
            self.core.acks.flush().await;
            let link = self.core.link();
            let _ = link.client.flush().await;
            let _ = link.client.drain().await;
        };
        if timeout(ms(self.core.config.close_timeout_ms), goodbye).await.is_err() {
            tracing::warn!(
                "the broker does not take our last acknowledgements; their messages will come again"
            );
        }
    }
}

impl Core {
    /// The client of the moment.
    pub(crate) fn link(&self) -> Arc<Link> {
        self.link.get()
    }

    /// Puts a new client in the place of a dead one.
    pub(crate) async fn revive(&self) -> Result<(), Error> {
        if !self.link().is_dead() {
            return Ok(());
        }
        self.monitor.hear(&Event::Disconnected);
        self.monitor
            .note(ProblemKind::Server, "the client died of something it received; a new one takes over");
        let link = Link::start(&self.config, &self.name, &self.monitor).await?;
        self.ledger.attach(&link.client).await?;
        self.link.replace(link);
        Ok(())
    }

    pub(crate) fn is_connected(&self) -> bool {
        // A client that was closed goes on calling itself connected.
        self.link().client.connection_state() == State::Connected && !self.stop.is_cancelled()
    }

    /// Waits for the connection.
    pub(crate) async fn connected(&self) {
        /// The client tells of a connection a moment before it counts as one, and drops events when too
        /// many come at once: its state is looked at, too.
        const LOOK_MS: u64 = 20;
        let mut connection = self.monitor.connection();
        while !self.is_connected() {
            tokio::select! {
                _ = connection.changed() => {}
                () = sleep(ms(LOOK_MS)) => {}
            }
        }
    }

    /// Waits for the connection, but not past `deadline`; whether it stands.
    pub(crate) async fn connected_by(&self, deadline: Instant) -> bool {
        timeout_at(deadline, self.connected()).await.is_ok()
    }

    /// Waits until everything that the server sent before this call has arrived, or until it is clear
    /// that it will not.
    pub(crate) async fn round_trip(&self) {
        if self.is_connected() {
            // Nobody listens there, and the server says so.
            let link = self.link();
            let nobody = link.client.new_inbox();
            let answer = link.client.request(nobody, Bytes::new());
            let _ = timeout(ms(self.config.close_timeout_ms), answer).await;
        }
    }

    /// A question to `JetStream`'s API that changes nothing, asked again and again until `request_timeout_ms` have
    /// passed: what is asked while a stream or consumer has no leader is never answered, however soon it has one.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        subject: String,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        let deadline = Instant::now() + ms(self.config.request_timeout_ms);
        while Instant::now() < deadline {
            let by = deadline.min(Instant::now() + ms(self.config.ask_again_ms.max(1)));
            if let Ok(answer) = timeout_at(by, self.api(subject.clone(), payload)).await {
                return answer;
            }
        }
        Err(Error::TimedOut(self.config.request_timeout_ms))
    }

    /// One request to `JetStream`'s API. Nothing is queued while the connection is down: an answer to a
    /// question that old would describe another broker.
    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        subject: String,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        if !self.is_connected() {
            return Err(Error::Unavailable("not connected".to_owned()));
        }
        match self.link().jetstream.request::<_, _, Response<T>>(subject, payload).await {
            Ok(Response::Ok(answer)) => Ok(answer),
            Ok(Response::Err { error }) => Err(Error::answered(&error)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::TimedOut => Error::TimedOut(self.config.request_timeout_ms),
                RequestErrorKind::NoResponders => {
                    Error::Unavailable("JetStream is switched off, or not ready yet".to_owned())
                }
                RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
                    Error::Answer(error.to_string())
                }
            }),
        }
    }
}
