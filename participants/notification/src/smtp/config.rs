//! How the mail server is reached.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// How the mail server is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where, and how encrypted: `smtp://host:port` (plain), `smtp://host:port?tls=required` (STARTTLS),
    /// `smtps://host:port` (TLS); `user:password@` before the host.
    pub url: SmtpUrl,
    /// The `From` of every mail.
    pub from: String,
    /// Longest wait for a connection, in milliseconds, encryption and greeting included.
    pub connect_timeout_ms: u64,
    /// Longest wait for the answer to one SMTP command, in milliseconds.
    pub command_timeout_ms: u64,
    /// Longest wait for the answer to a whole message, in milliseconds. Long: giving up here leaves a
    /// mail in doubt (RFC 5321, 4.5.3.2.6 asks for ten minutes).
    pub message_timeout_ms: u64,
    /// Idle connections that are kept, so that a mail does not cost a handshake.
    pub idle_count_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: SmtpUrl("smtp://127.0.0.1:1025".to_owned()),
            from: "Amends <orders@amends.example>".to_owned(),
            connect_timeout_ms: 5_000,
            command_timeout_ms: 30_000,
            message_timeout_ms: 60_000,
            idle_count_max: 16,
        }
    }
}

/// The mail server's URL, which may hold a password and so never shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SmtpUrl(pub(super) String);

impl From<String> for SmtpUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Display for SmtpUrl {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
            Some((scheme, Some((_, host)))) => write!(f, "{scheme}://***@{host}"),
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SmtpUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
