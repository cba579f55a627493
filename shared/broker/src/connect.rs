//! From the configuration to a client that connects by itself, now or later, and stays connected.
//!
//! Invariant: no secret reaches the client's own logs: addresses are stripped of their credentials
//! before it sees them.

use std::sync::Arc;

use async_nats::{Client, ConnectOptions, ServerAddr};

use crate::{Config, Error, config::ms, health::Monitor, jitter};

/// Starts connecting. Fails only when the configuration is wrong; that the broker is down is no failure.
pub(crate) async fn connect(config: &Config, name: &str, monitor: &Arc<Monitor>) -> Result<Client, Error> {
    let (addresses, in_address) = addresses(config.url.expose())?;
    let options = options(config, name, monitor);
    let options = tls(config, options)?;
    let options = authenticate(config, in_address, options).await?;
    options
        .connect(addresses)
        .await
        .map_err(|error| Error::Config(format!("cannot start the client: {error}")))
}

fn options(config: &Config, name: &str, monitor: &Arc<Monitor>) -> ConnectOptions {
    let longest_ms = config.reconnect_delay_max_ms;
    let monitor = Arc::clone(monitor);
    ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(ms(config.connect_timeout_ms))
        .ping_interval(ms(config.ping_interval_ms))
        .request_timeout(Some(ms(config.request_timeout_ms)))
        .reconnect_delay_callback(move |attempt| {
            // The client counts from 1; its first attempt has nothing to wait for.
            let failures = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
            if failures == 0 { ms(0) } else { jitter::backoff(failures, longest_ms) }
        })
        .event_callback(move |event| {
            monitor.hear(&event);
            std::future::ready(())
        })
}

struct Credentials {
    user: String,
    password: String,
}

/// The servers' addresses, and the credentials found in the first one that has some.
fn addresses(urls: &str) -> Result<(Vec<ServerAddr>, Option<Credentials>), Error> {
    let mut credentials = None;
    let mut addresses = Vec::new();
    for url in urls.split(',').map(str::trim).filter(|url| !url.is_empty()) {
        // The parser's error may quote the text, and with it a password.
        let bad =
            || Error::Config("url is no list of addresses such as nats://host:4222,nats://other:4222".into());
        let address: ServerAddr = url.parse().map_err(|_| bad())?;
        if let Some(user) = address.username() {
            let password = address.password().unwrap_or_default();
            if user.contains('%') || password.contains('%') {
                return Err(Error::Config(
                    "url has credentials with special characters; put them into auth.user and auth.password"
                        .into(),
                ));
            }
            credentials.get_or_insert(Credentials { user: user.to_owned(), password: password.to_owned() });
        }
        let mut plain = address.into_inner();
        plain.set_username("").and_then(|()| plain.set_password(None)).map_err(|()| bad())?;
        addresses.push(ServerAddr::from_url(plain).map_err(|_| bad())?);
    }
    if addresses.is_empty() {
        return Err(Error::Config("url is empty; set it to an address such as nats://127.0.0.1:4222".into()));
    }
    Ok((addresses, credentials))
}

async fn authenticate(
    config: &Config,
    in_address: Option<Credentials>,
    options: ConnectOptions,
) -> Result<ConnectOptions, Error> {
    let auth = &config.auth;
    let ways = [
        ("url", in_address.is_some()),
        ("auth.user and auth.password", auth.user.is_some() || auth.password.is_some()),
        ("auth.token", auth.token.is_some()),
        ("auth.nkey_seed", auth.nkey_seed.is_some()),
        ("auth.credentials_file", auth.credentials_file.is_some()),
    ];
    let given: Vec<&str> = ways.into_iter().filter_map(|(way, given)| given.then_some(way)).collect();
    if given.len() > 1 {
        return Err(Error::Config(format!(
            "credentials are given twice, by {}; keep one",
            given.join(" and by ")
        )));
    }
    if let Some(Credentials { user, password }) = in_address {
        return Ok(options.user_and_password(user, password));
    }
    if let Some(token) = &auth.token {
        return Ok(options.token(token.expose().to_owned()));
    }
    if let Some(seed) = &auth.nkey_seed {
        return Ok(options.nkey(seed.expose().to_owned()));
    }
    if let Some(path) = &auth.credentials_file {
        return options.credentials_file(path).await.map_err(|error| {
            Error::Config(format!("auth.credentials_file {} cannot be read: {error}", path.display()))
        });
    }
    match (&auth.user, &auth.password) {
        (Some(user), Some(password)) => {
            Ok(options.user_and_password(user.clone(), password.expose().to_owned()))
        }
        (None, None) => Ok(options),
        _ => Err(Error::Config("auth.user and auth.password go together; one is missing".into())),
    }
}

fn tls(config: &Config, mut options: ConnectOptions) -> Result<ConnectOptions, Error> {
    let tls = &config.tls;
    options = options.require_tls(tls.required);
    if tls.first {
        options = options.tls_first();
    }
    if let Some(path) = &tls.ca_file {
        options = options.add_root_certificates(path.clone());
    }
    match (&tls.certificate_file, &tls.key_file) {
        (Some(certificate), Some(key)) => {
            Ok(options.add_client_certificate(certificate.clone(), key.clone()))
        }
        (None, None) => Ok(options),
        _ => Err(Error::Config("tls.certificate_file and tls.key_file go together; one is missing".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, Auth, Broker, Streams};

    async fn outcome(url: &str, auth: Auth) -> String {
        let config = Config { url: Address::from(url), auth, ..Config::default() };
        match connect(&config, "test", &Arc::new(Monitor::new(1_000))).await {
            Ok(_) => "connects".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_broker_that_is_down_is_no_error() {
        assert_eq!(outcome("nats://127.0.0.1:1", Auth::default()).await, "connects");
        assert_eq!(outcome(" nats://a:1 , nats://u:p@b:2 ", Auth::default()).await, "connects");
    }

    #[tokio::test]
    async fn wrong_configuration_is_named() {
        assert_eq!(
            outcome("", Auth::default()).await,
            "nats: url is empty; set it to an address such as nats://127.0.0.1:4222"
        );
        assert_eq!(
            outcome("http://u:secret@h", Auth::default()).await,
            "nats: url is no list of addresses such as nats://host:4222,nats://other:4222"
        );
        let user = || Auth { user: Some("u".into()), ..Auth::default() };
        assert_eq!(
            outcome("nats://h", user()).await,
            "nats: auth.user and auth.password go together; one is missing"
        );
        assert_eq!(
            outcome("nats://a:b@h", user()).await,
            "nats: credentials are given twice, by url and by auth.user and auth.password; keep one"
        );
        let file = Auth { credentials_file: Some("/nowhere/x.creds".into()), ..Auth::default() };
        assert!(
            outcome("nats://h", file).await.contains("auth.credentials_file /nowhere/x.creds cannot be read")
        );
    }

    #[tokio::test]
    async fn limits_that_cannot_work_are_named() {
        let heartbeat = Config { idle_heartbeat_ms: 20_000, ..Config::default() };
        let replicas = Config { streams: Streams { replicas: 0, ..Streams::default() }, ..Config::default() };
        let prefix = Config { prefix: "two.tokens".to_owned(), ..Config::default() };
        let mut errors = Vec::new();
        for config in [heartbeat, replicas, prefix] {
            errors.push(Broker::connect(&config, "test").await.err().unwrap().to_string());
        }
        assert_eq!(
            errors,
            [
                "nats: pull_expires_ms must be at least twice idle_heartbeat_ms",
                "nats: streams.replicas must be 1 to 5 (1 on a single server)",
                "nats: prefix: \"two.tokens\" is not a name: use 1 to 64 characters of a-z, 0-9 and '-'",
            ]
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = Config {
            url: Address::from("nats://bob:hunter2@h:4222, h2:4223"),
            auth: Auth { token: Some("hunter2".into()), ..Auth::default() },
            ..Config::default()
        };
        let debug = format!("{config:?}");
        assert!(!debug.contains("hunter2") && debug.contains("nats://h:4222,h2:4223"), "{debug}");
        let (servers, credentials) = addresses(config.url.expose()).unwrap();
        assert!(!format!("{servers:?}").contains("hunter2"));
        assert_eq!(credentials.unwrap().password, "hunter2");
    }
}
