//! Hands messages to a mail server, and knows how far each came.
//!
//! lettre speaks SMTP; the steps are driven here, one by one, because the difference between "certainly
//! not taken" and "nobody knows" is the step at which it went wrong. Invariant: the caller's `before_end`
//! has said yes before the message goes out.

mod config;
mod handover;
mod target;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use config::{Config, SmtpUrl};
pub use handover::Handover;
pub use target::InvalidSmtpUrl;

use handover::{About, Trouble, after_the_end, before_connected, before_the_end};
use target::{Security, Target};

/// A mail server, with some connections to it.
pub struct Smtp {
    target: Target,
    config: Config,
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
    connections: Semaphore,
}

impl Smtp {
    /// Reads the configuration; connects to nobody yet.
    ///
    /// # Errors
    /// [`InvalidSmtpUrl`] says what to write instead.
    pub fn new(config: &Config) -> Result<Self, InvalidSmtpUrl> {
        Ok(Self {
            target: Target::parse(&config.url)?,
            config: config.clone(),
            idle: Mutex::default(),
            connections: Semaphore::new(config.connections_max.max(1)),
        })
    }

    /// Hands one message over.
    ///
    /// `before_end` is asked once the server is ready to take the text; nothing of it has been sent. It
    /// notes that the message is on its way; if it says no, the message is not sent.
    pub async fn send<F>(&self, envelope: &Envelope, text: &[u8], before_end: F) -> Handover
    where
        F: Future<Output = Result<(), &'static str>> + Send,
    {
        // Never closed.
        let _permit = self.connections.acquire().await;
        let mut connection = match self.ready(envelope, text).await {
            Ok(connection) => connection,
            Err(handover) => return handover,
        };
        if let Err(code) = before_end.await {
            return Handover::NotTaken { code, detail: "it was not to be sent".to_owned() };
        }
        let handover = self.hand_over(&mut connection, text).await;
        if handover == Handover::Accepted {
            self.idle().push((Instant::now(), connection));
        }
        // A connection on which something went wrong is dropped, not said good-bye to: it may be stuck.
        handover
    }

    /// Whether the server can be reached; for `/readyz` only.
    ///
    /// # Errors
    /// Why not, for people.
    pub async fn reach(&self) -> Result<(), String> {
        let mut connection = match self.idle_connection() {
            Some(connection) => connection,
            None => self.connect().await.map_err(|trouble| trouble.to_string())?,
        };
        self.step(connection.command(Noop)).await.map_err(|trouble| trouble.to_string())?;
        self.idle().push((Instant::now(), connection));
        Ok(())
    }

    /// A connection on which the server waits for the text.
    async fn ready(&self, envelope: &Envelope, text: &[u8]) -> Result<AsyncSmtpConnection, Handover> {
        let mut connection = loop {
            let (mut connection, used) = match self.idle_connection() {
                Some(connection) => (connection, true),
                None => (self.connect().await.map_err(before_connected)?, false),
            };
            let mail = Mail::new(envelope.from().cloned(), options(&connection, envelope, text)?);
            match self.step(connection.command(mail)).await {
                Ok(_) => break connection,
                // The server closed it while it lay idle, perhaps with a 421: that says nothing.
                Err(Trouble::Broken(_) | Trouble::Answer { code: 421, .. }) if used => {}
                Err(trouble) => return Err(before_the_end(trouble, About::Us)),
            }
        };
        for recipient in envelope.to() {
            self.step(connection.command(Rcpt::new(recipient.clone(), Vec::new())))
                .await
                .map_err(|trouble| before_the_end(trouble, About::Mail))?;
        }
        self.step(connection.command(Data)).await.map_err(|trouble| before_the_end(trouble, About::Mail))?;
        Ok(connection)
    }

    async fn hand_over(&self, connection: &mut AsyncSmtpConnection, text: &[u8]) -> Handover {
        // lettre asks for the next part when the one before is written; when there is none, it writes
        // the end of the message. So this is false as long as the end was certainly not written.
        let ending = AtomicBool::new(false);
        let mut parts = Some(text).into_iter();
        let parts = std::iter::from_fn(|| {
            let part = parts.next();
            ending.store(part.is_none(), Ordering::Relaxed);
            part
        });
        let limit = Duration::from_millis(self.config.message_timeout_ms);
        let answer = match timeout(limit, connection.message_iter(parts)).await {
            Ok(answer) => answer.map_err(Trouble::from),
            Err(_) => Err(Trouble::Timeout),
        };
        match answer {
            Err(trouble) if !ending.load(Ordering::Relaxed) => before_the_end(trouble, About::Us),
            answer => after_the_end(answer),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Trouble> {
        let limit = Duration::from_millis(self.config.connect_timeout_ms);
        let Target { host, port, security, credentials, hello } = &self.target;
        let connect = async {
            let server = (host.as_str(), *port);
            let mut connection = match security {
                Security::Tls(parameters) => {
                    let tls = Some(parameters.clone());
                    AsyncSmtpConnection::connect_tokio1(server, Some(limit), hello, tls, None).await?
                }
                Security::Plain | Security::StartTls(_) => {
                    let stream = TcpStream::connect(server).await?;
                    // lettre writes a message and its end apart; the end must not wait for the other
                    // side's delayed acknowledgement (40 ms for every mail).
                    stream.set_nodelay(true)?;
                    AsyncSmtpConnection::connect_with_transport(Box::new(stream), hello).await?
                }
            };
            if let Security::StartTls(parameters) = security {
                connection.starttls(parameters.clone(), hello).await?;
            }
            if let Some(credentials) = credentials {
                let mechanisms = lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
                connection.auth(mechanisms, credentials).await?;
            }
            Ok(connection)
        };
        timeout(limit, connect).await.unwrap_or(Err(Trouble::Timeout))
    }

    async fn step(
        &self,
        answer: impl Future<Output = Result<Response, lettre::transport::smtp::Error>>,
    ) -> Result<Response, Trouble> {
        let limit = Duration::from_millis(self.config.command_timeout_ms);
        match timeout(limit, answer).await {
            Ok(answer) => answer.map_err(Trouble::from),
            Err(_) => Err(Trouble::Timeout),
        }
    }

    fn idle_connection(&self) -> Option<AsyncSmtpConnection> {
        let keep = Duration::from_millis(self.config.idle_max_ms);
        let mut idle = self.idle();
        idle.retain(|(since, _)| since.elapsed() < keep);
        idle.pop().map(|(_, connection)| connection)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, AsyncSmtpConnection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What MAIL has to announce. A server that cannot take an address beyond ASCII never will.
fn options(
    connection: &AsyncSmtpConnection,
    envelope: &Envelope,
    text: &[u8],
) -> Result<Vec<MailParameter>, Handover> {
    let mut options = Vec::new();
    let server = connection.server_info();
    if envelope.to().iter().any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            let reason = "the address is not ASCII, and the mail server takes no other".to_owned();
            return Err(Handover::Refused { reason });
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !text.is_ascii() && server.supports_feature(Extension::EightBitMime) {
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(options)
}
