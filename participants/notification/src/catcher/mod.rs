//! A mail server that delivers nothing: it keeps what it is given and shows it.
//!
//! For the demonstration and for tests; it misbehaves on demand ([`Behaviour`]). The protocol's state
//! machine is mailin's, the sockets are ours. Invariant: a message is kept before its answer is sent, so
//! what a client believes delivered is always in the list.

mod http;
mod session;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use amends_contract::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Messages kept unless it is said otherwise; of more, the oldest are forgotten.
pub const MESSAGES_COUNT_MAX: usize = 10_000;

/// A message as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Caught {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The header `Message-ID`, with its angle brackets.
    pub message_id: Option<String>,
    /// The header `Subject` as it was sent.
    pub subject: Option<String>,
    /// When it came.
    pub at: Timestamp,
    /// All of it, headers and body, as it was sent.
    pub text: String,
}

/// What it does to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Behaviour {
    /// It keeps messages and says so.
    #[default]
    Accept,
    /// It refuses each recipient with this code, 400 to 599.
    RefuseRecipients {
        /// The SMTP reply code.
        code: u16,
    },
    /// It refuses each message after its end with this code, 400 to 599.
    RefuseMessages {
        /// The SMTP reply code.
        code: u16,
    },
    /// It takes a message to its end, then breaks the connection without an answer.
    DropAfterMessage {
        /// Whether it keeps the message all the same.
        keep: bool,
    },
    /// It takes a message to its end, then says nothing more.
    HangAfterMessage {
        /// Whether it keeps the message all the same.
        keep: bool,
    },
}

/// A running catcher. It ends when this is dropped.
pub struct Catcher {
    address: SocketAddr,
    shelf: Shelf,
    _stop: DropGuard,
}

/// What is shared by the connections: messages and behaviour. Cheap to clone.
#[derive(Clone)]
struct Shelf(Arc<Mutex<Contents>>);

struct Contents {
    messages: VecDeque<Caught>,
    count_max: usize,
    behaviour: Behaviour,
}

impl Catcher {
    /// Listens for SMTP there; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        Self::start_keeping(address, MESSAGES_COUNT_MAX).await
    }

    /// The same; it keeps so many messages, and of more forgets the oldest.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn start_keeping(address: SocketAddr, count_max: usize) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shelf = Shelf::keeping(count_max);
        let stop = CancellationToken::new();
        tokio::spawn(listen(listener, shelf.clone(), stop.clone()));
        Ok(Self { address, shelf, _stop: stop.drop_guard() })
    }

    /// Where it listens for SMTP.
    #[must_use]
    pub fn smtp_addr(&self) -> SocketAddr {
        self.address
    }

    /// The messages so far, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Caught> {
        self.shelf.messages()
    }

    /// Changes what it does from the next recipient or message on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shelf.behave(behaviour);
    }

    /// `GET /mails`, `GET` and `PUT /behaviour`, to be served wherever the caller likes.
    pub fn router(&self) -> axum::Router {
        http::router(self.shelf.clone())
    }
}

impl Shelf {
    fn keeping(count_max: usize) -> Self {
        let contents = Contents { messages: VecDeque::new(), count_max, behaviour: Behaviour::default() };
        Self(Arc::new(Mutex::new(contents)))
    }

    fn contents(&self) -> std::sync::MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn messages(&self) -> Vec<Caught> {
        self.contents().messages.iter().cloned().collect()
    }

    fn behaviour(&self) -> Behaviour {
        self.contents().behaviour
    }

    fn behave(&self, behaviour: Behaviour) {
        self.contents().behaviour = behaviour;
    }

    fn keep(&self, from: String, to: Vec<String>, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let caught = Caught {
            from,
            to,
            message_id: header(&text, "message-id"),
            subject: header(&text, "subject"),
            at: Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            text,
        };
        let mut contents = self.contents();
        if contents.messages.len() >= contents.count_max {
            contents.messages.pop_front();
        }
        contents.messages.push_back(caught);
    }
}

async fn listen(listener: TcpListener, shelf: Shelf, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely; a pause lets some be closed.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (shelf, stop) = (shelf.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                served = session::serve(stream, peer, shelf) => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "an SMTP connection broke");
                    }
                }
                () = stop.cancelled() => {}
            }
        });
    }
}

/// A header's value, unfolded; `name` in lower case.
fn header(text: &str, name: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for line in text.lines().take_while(|line| !line.is_empty()) {
        match &mut value {
            Some(value) if line.starts_with([' ', '\t']) => value.push_str(line),
            Some(_) => break,
            None => {
                let (found, rest) = line.split_once(':').unwrap_or((line, ""));
                if found.eq_ignore_ascii_case(name) {
                    value = Some(rest.trim_start().to_owned());
                }
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_and_unfolded() {
        let text = "From: a\r\nSubject: one\r\n two\r\nMessage-ID: <1@a>\r\n\r\nSubject: not this\r\n";
        assert_eq!(header(text, "subject").as_deref(), Some("one two"));
        assert_eq!(header(text, "message-id").as_deref(), Some("<1@a>"));
        assert_eq!(header(text, "date"), None);
    }
}
