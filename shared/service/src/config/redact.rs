//! Keeps secrets out of what is shown.
//!
//! Invariant: hidden by the key's name or by the form of the value; in doubt, hidden.

use figment::value::Value;

/// What stands in place of a secret.
const HIDDEN: &str = "***";

/// Words in the last part of a key that make its value a secret.
const SECRET_WORDS: [&str; 8] =
    ["password", "passwd", "secret", "token", "credentials", "passphrase", "private_key", "seed"];

/// Parameters of URLs that are secrets.
const SECRET_PARAMETERS: [&str; 3] = ["password=", "sslpassword=", "token="];

/// Whether the key's name says that its value is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key);
    SECRET_WORDS.iter().any(|word| name.contains(word))
        // A file that holds the secret is not the secret.
        && !name.ends_with("_file")
}

/// The value as JSON, fit to be shown.
pub(super) fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::Empty(..) => "null".to_owned(),
        Value::String(_, text) if is_secret(key) && text.is_empty() => "\"\"".to_owned(),
        _ if is_secret(key) => format!("\"{HIDDEN}\""),
        Value::String(_, text) => json(redact_url(text)),
        Value::Array(_, items) => {
            let items: Vec<String> = items.iter().map(|item| shown(key, item)).collect();
            format!("[{}]", items.join(","))
        }
        other => json(other),
    }
}

fn json(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_else(|_| HIDDEN.to_owned())
}

/// The text with passwords in URLs hidden; several URLs may stand there, separated by commas. Anything
/// else comes back as it was.
#[must_use]
pub fn redact_url(text: &str) -> String {
    if !text.contains("://") {
        return text.to_owned();
    }
    let mut urls: Vec<String> = Vec::new();
    for part in text.split(',') {
        match urls.last_mut() {
            // A list of hosts, or a password with a comma in it.
            Some(url) if !part.contains("://") => *url += &format!(",{part}"),
            _ => urls.push(part.to_owned()),
        }
    }
    urls.iter().map(|url| redact_one(url)).collect::<Vec<_>>().join(",")
}

fn redact_one(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return redact_parameters(url) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let end = match rest.rfind('@') {
        // Somebody did not escape a sign of the password. Files have no users.
        Some(at) if at > end && scheme != "sqlite" => {
            at + rest[at..].find(['/', '?', '#']).unwrap_or(rest.len() - at)
        }
        _ => end,
    };
    let (authority, path) = rest.split_at(end);
    let path = redact_parameters(path);
    let Some((user, host)) = authority.rsplit_once('@') else {
        return format!("{scheme}://{authority}{path}");
    };
    let user = match user.split_once(':') {
        Some((name, _)) => format!("{name}:{HIDDEN}"),
        // PostgreSQL knows users without password; elsewhere what stands alone is a token.
        None if scheme.starts_with("postgres") => user.to_owned(),
        None => HIDDEN.to_owned(),
    };
    format!("{scheme}://{user}@{host}{path}")
}

fn redact_parameters(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| {
            let secret = SECRET_PARAMETERS.iter().find(|name| parameter.starts_with(**name));
            secret.map_or_else(|| parameter.to_owned(), |name| format!("{name}{HIDDEN}"))
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
}
