//! One open line to a consumer at the broker: asks for messages ahead of need, and tells when the line
//! is dead.
//!
//! It is ours because the client library's own stream asks for more while it is being emptied, and
//! would take a stored message with a status line for a word of the server.
//!
//! Invariant: after any [`Trouble`] the line is only good for what has already arrived.

use std::{fmt, time::Duration};

use async_nats::{
    Message, StatusCode, Subject, Subscriber,
    jetstream::consumer::{PullConsumer, pull::BatchConfig},
};
use futures::{FutureExt as _, StreamExt as _};
use tokio::{
    sync::watch,
    task::unconstrained,
    time::{Instant, sleep_until},
};

use crate::{Error, broker::Core, config::ms, delivery::AckAddress, health::Connection};

/// Why a line is given up.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection is gone.
    Connection,
    /// The consumer, or the stream, or the broker as such.
    Consumer(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("the connection was lost"),
            Self::Consumer(text) => f.write_str(text),
        }
    }
}

pub(crate) struct Pull {
    consumer: PullConsumer,
    inbox: Subject,
    arrivals: Subscriber,
    request: BatchConfig,
    /// Messages asked for and not received.
    asked: usize,
    silence_max: Duration,
    /// When the silence becomes trouble, counted from the moment nothing more had arrived: what is
    /// buffered proves that the broker lives, however late it is looked at.
    silent_until: Option<Instant>,
    connection: watch::Receiver<Connection>,
    /// The connection's losses when the line was opened.
    losses: u64,
}

impl Pull {
    /// Opens a line. `losses` were counted before anything was asked about the consumer: a connection
    /// lost since then is noticed.
    pub(crate) async fn open(
        core: &Core,
        consumer: PullConsumer,
        batch_count_max: usize,
        connection: watch::Receiver<Connection>,
        losses: u64,
    ) -> Result<Self, Error> {
        let link = core.link();
        let inbox = Subject::from(link.client.new_inbox());
        let arrivals = link
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| Error::Unavailable(format!("cannot subscribe: {error}")))?;
        let heartbeat = ms(core.config.idle_heartbeat_ms);
        let request = BatchConfig {
            batch: batch_count_max.max(1),
            expires: Some(ms(core.config.pull_expires_ms)),
            idle_heartbeat: heartbeat,
            ..BatchConfig::default()
        };
        let silence_max = heartbeat.saturating_mul(2);
        Ok(Self {
            consumer,
            inbox,
            arrivals,
            request,
            asked: 0,
            silence_max,
            silent_until: None,
            connection,
            losses,
        })
    }

    /// Waits for a message. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Message, Trouble> {
        loop {
            // Asking at half keeps messages coming while the last ones are worked on.
            if self.asked <= self.request.batch / 2 {
                let request = self.consumer.request_batch(self.request.clone(), self.inbox.clone());
                request.await.map_err(|_| Trouble::Connection)?;
                self.asked += self.request.batch;
            }
            if let Some(arrival) = self.arrived() {
                return arrival;
            }
            let silent_until = *self.silent_until.get_or_insert_with(|| Instant::now() + self.silence_max);
            tokio::select! {
                biased;
                arrival = self.arrivals.next() => {
                    let message = arrival.ok_or(Trouble::Connection)?;
                    if let Some(message) = self.sort(message)? {
                        return Ok(message);
                    }
                }
                _ = self.connection.changed() => {
                    if self.connection.borrow().losses != self.losses {
                        return Err(Trouble::Connection);
                    }
                }
                () = sleep_until(silent_until) => {
                    return Err(Trouble::Consumer("the broker is silent".to_owned()));
                }
            }
        }
    }

    /// The next thing that has already arrived, without waiting and without asking for more.
    pub(crate) fn arrived(&mut self) -> Option<Result<Message, Trouble>> {
        loop {
            // Else tokio says "nothing there" after 128 messages, to give others their turn.
            let message = unconstrained(self.arrivals.next()).now_or_never()??;
            match self.sort(message) {
                Ok(Some(message)) => return Some(Ok(message)),
                Ok(None) => {}
                Err(trouble) => return Some(Err(trouble)),
            }
        }
    }

    /// Keeps the books about one arrival; `Some` for a message of the stream.
    fn sort(&mut self, message: Message) -> Result<Option<Message>, Trouble> {
        self.silent_until = None;
        match Arrival::of(&message) {
            Arrival::Stored => {
                self.asked = self.asked.saturating_sub(1);
                Ok(Some(message))
            }
            Arrival::Heartbeat => Ok(None),
            Arrival::RequestOver { unserved } => {
                self.asked = self.asked.saturating_sub(unserved.unwrap_or(self.asked));
                Ok(None)
            }
            Arrival::Trouble(text) => Err(Trouble::Consumer(text)),
        }
    }
}

/// What can arrive on a line.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    /// A message of the stream.
    Stored,
    /// The server lives and has nothing for us.
    Heartbeat,
    /// A request is over, and so many messages of it were not served (all, if it does not say).
    RequestOver { unserved: Option<usize> },
    /// The server says that there is no more to come.
    Trouble(String),
}

impl Arrival {
    /// Only what can be acknowledged is a message of the stream, and that whatever else it looks like.
    fn of(message: &Message) -> Self {
        if message.reply.as_ref().is_some_and(|reply| AckAddress::is_one(reply)) {
            return Self::Stored;
        }
        match message.status {
            None | Some(StatusCode::IDLE_HEARTBEAT) => Self::Heartbeat,
            Some(StatusCode::TIMEOUT) => Self::RequestOver {
                unserved: message
                    .headers
                    .as_ref()
                    .and_then(|headers| headers.get("Nats-Pending-Messages")?.as_str().parse().ok()),
            },
            Some(StatusCode::NO_RESPONDERS) => Self::Trouble("there is no such consumer".to_owned()),
            Some(status) => {
                let reason = message.description.as_deref().unwrap_or("without a reason");
                Self::Trouble(format!("{status} {reason}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use bytes::Bytes;

    use super::*;

    fn word(status: u16, description: &str) -> Message {
        Message {
            subject: Subject::from("_INBOX.x"),
            reply: None,
            payload: Bytes::new(),
            headers: None,
            status: Some(StatusCode::from_u16(status).unwrap()),
            description: Some(description.to_owned()),
            length: 0,
        }
    }

    #[test]
    fn words_of_the_server_are_understood() {
        assert_eq!(Arrival::of(&word(100, "Idle Heartbeat")), Arrival::Heartbeat);
        assert_eq!(Arrival::of(&word(408, "Request Timeout")), Arrival::RequestOver { unserved: None });
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Pending-Messages", "7");
        let partly = Message { headers: Some(headers), ..word(408, "Request Timeout") };
        assert_eq!(Arrival::of(&partly), Arrival::RequestOver { unserved: Some(7) });
        let trouble = |text: &str| Arrival::Trouble(text.to_owned());
        assert_eq!(Arrival::of(&word(409, "Consumer Deleted")), trouble("409 Consumer Deleted"));
        assert_eq!(Arrival::of(&word(503, "")), trouble("there is no such consumer"));
    }

    #[test]
    fn a_stored_message_is_one_even_if_it_speaks_like_the_server() {
        let reply = Some(Subject::from("$JS.ACK.S.c.1.2.3.4.5"));
        assert_eq!(Arrival::of(&Message { reply, ..word(409, "Consumer Deleted") }), Arrival::Stored);
    }
}
