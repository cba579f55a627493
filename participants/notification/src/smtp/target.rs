//! Reads the mail server's URL.
//!
//! lettre reads the same form, but keeps what it read to itself; and we drive the connection ourselves,
//! because only then is it known how far a message came.

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use url::{Host, Url};

use super::SmtpUrl;

/// A mail server.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<Credentials>,
    pub(super) hello: ClientId,
}

/// How the connection is encrypted.
pub(super) enum Security {
    Plain,
    StartTls(TlsParameters),
    Tls(TlsParameters),
}

/// The URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "notification.smtp.url {url}: {why}; write smtp://host:port, smtp://host:port?tls=required or \
     smtps://host:port, with user:password@ before the host if the server asks for it"
)]
pub struct InvalidSmtpUrl {
    url: String,
    why: String,
}

impl Target {
    pub(super) fn parse(text: &SmtpUrl) -> Result<Self, InvalidSmtpUrl> {
        let invalid = |why: &str| InvalidSmtpUrl { url: text.to_string(), why: why.to_owned() };
        let url = Url::parse(text.expose()).map_err(|error| invalid(&error.to_string()))?;
        // Hosts of schemes that `url` does not know are opaque to it, also when they are addresses.
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(invalid("it has no host")),
        };
        let mut tls = None;
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("tls", "required") => tls = Some(()),
                _ => return Err(invalid("the only query it may have is tls=required")),
            }
        }
        let parameters = || TlsParameters::new(host.clone()).map_err(|error| invalid(&error.to_string()));
        let (security, port) = match (url.scheme(), tls) {
            ("smtp", None) => (Security::Plain, 25),
            ("smtp", Some(())) => (Security::StartTls(parameters()?), 587),
            ("smtps", _) => (Security::Tls(parameters()?), 465),
            _ => return Err(invalid("its scheme is neither smtp nor smtps")),
        };
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| invalid("user and password must be UTF-8"))
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decode(url.username())?, decode(password)?)),
            None => None,
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        Ok(Self { host, port: url.port().unwrap_or(port), security, credentials, hello })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> String {
        match Target::parse(&url.into()) {
            Err(error) => error.why,
            Ok(target) => {
                let security = match target.security {
                    Security::Plain => "plain",
                    Security::StartTls(_) => "starttls",
                    Security::Tls(_) => "tls",
                };
                let credentials = if target.credentials.is_some() { " log-in" } else { "" };
                format!("{} {} {security}{credentials}", target.host, target.port)
            }
        }
    }

    #[test]
    fn the_forms_are_read() {
        assert_eq!(read("smtp://127.0.0.1:1025"), "127.0.0.1 1025 plain");
        assert_eq!(read("smtp://[::1]:1025"), "::1 1025 plain");
        assert_eq!(read("smtp://mail.example"), "mail.example 25 plain");
        assert_eq!(read("smtp://mail.example?tls=required"), "mail.example 587 starttls");
        assert_eq!(read("smtps://u:p%40ss@mail.example/shop.example"), "mail.example 465 tls log-in");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(read("mail.example:25"), "it has no host");
        assert_eq!(read("http://mail.example"), "its scheme is neither smtp nor smtps");
        assert_eq!(read("smtp://mail.example?tls=perhaps"), "the only query it may have is tls=required");
        assert!(Target::parse(&"smtp://u:s3cret@".into()).is_err_and(|e| !e.to_string().contains("s3cret")));
    }
}
