//! How the mail server is reached.

use std::fmt;

use amends_service::config::redact_url;
use serde::{Deserialize, Serialize, Serializer};

/// How the mail server is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where, and how encrypted: `smtp://host:port` (plain), `smtp://host:port?tls=required` (STARTTLS),
    /// `smtps://host:port` (TLS from the start); `user:password@` before the host.
    pub url: SmtpUrl,
    /// The `From` of every mail.
    pub from: String,
    /// Longest wait for a connection, greeting, encryption and log-in included, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for the answer to one SMTP command, in milliseconds. Giving up here costs nothing:
    /// the message was not handed over.
    pub command_timeout_ms: u64,
    /// Longest wait for the answer to a whole message, in milliseconds. Long, since giving up here
    /// leaves a mail in doubt (RFC 5321, 4.5.3.2.6, asks for ten minutes; people wait less).
    pub message_timeout_ms: u64,
    /// Most connections at the same time: what a mail server allows one client.
    pub connections_max: usize,
    /// How long an unused connection is kept, in milliseconds: shorter than servers do (RFC 5321,
    /// 4.5.3.2.7: five minutes).
    pub idle_max_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: SmtpUrl("smtp://127.0.0.1:1025".to_owned()),
            from: "Amends <orders@amends.example>".to_owned(),
            connect_timeout_ms: 10_000,
            command_timeout_ms: 10_000,
            message_timeout_ms: 60_000,
            connections_max: 16,
            idle_max_ms: 30_000,
        }
    }
}

impl Config {
    /// The longest that handing one message over may take once a connection is to be had: connecting,
    /// three commands (MAIL, RCPT, DATA), the message.
    #[must_use]
    pub fn longest_ms(&self) -> u64 {
        let commands = self.command_timeout_ms.saturating_mul(3);
        self.connect_timeout_ms.saturating_add(commands).saturating_add(self.message_timeout_ms)
    }
}

/// The mail server's URL. It may hold a password, so it never shows whole.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SmtpUrl(String);

impl SmtpUrl {
    /// The URL as configured, secrets included: for the connection, not for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SmtpUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl From<&str> for SmtpUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Display for SmtpUrl {
    /// Without its password; what is no URL may be anything, and does not show at all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains("://") { f.write_str(&redact_url(&self.0)) } else { f.write_str("***") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show() {
        let shown = |url: &str| {
            let url = SmtpUrl::from(url);
            format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap())
        };
        for secret in ["smtps://me:s3cret@mail.example:465", "me:s3cret@mail.example"] {
            assert!(!shown(secret).contains("s3cret"), "{}", shown(secret));
        }
        assert!(shown("smtp://127.0.0.1:1025").starts_with("smtp://127.0.0.1:1025 "));
    }
}
