//! Configuration: whatever stands in a file or in the environment.

use std::io::Write;

use amends_fuzz::{Edited, Text, target};
use amends_service::config::{Sources, redact_url};
use amends_service::{DatabaseConfig, HttpConfig, LogConfig};
use serde::{Deserialize, Serialize};

/// What must not be seen again.
const SECRET: &str = "s3cr3t-5d41402abc4b";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    log: LogConfig,
    service: Service,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Service {
    http: HttpConfig,
    database: DatabaseConfig,
    smtp_password: String,
    note: Option<String>,
    count: Option<u32>,
}

const FILE: &str = "# A file.\n[log]\nfilter = \"info\"\n[service.http]\nlisten = '127.0.0.1:0'\n\
                    body_bytes_max = 65536\n[service]\nnote = \"\"\"a\nb\"\"\"\ncount = 7\n";

#[test]
fn an_edited_file() {
    target!(Edited, |edited: &Edited| {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(&edited.bytes(FILE)).unwrap();
        load(&Sources::new(Some(file.path()), Vec::new()));
    });
}

#[test]
fn values_of_the_environment() {
    const NAMES: [&str; 8] = [
        "AMENDS_LOG__FILTER",
        "AMENDS_SERVICE__HTTP__LISTEN",
        "AMENDS_SERVICE__HTTP__BODY_BYTES_MAX",
        "AMENDS_SERVICE__NOTE",
        "AMENDS_SERVICE__COUNT",
        "AMENDS_SERVICE__DATABASE__URL",
        "AMENDS_SERVICE",
        "AMENDS_LOG",
    ];
    target!((u8, Text, Text), |(which, value, name): &(u8, Text, Text)| {
        let known = NAMES[usize::from(*which) % NAMES.len()].to_owned();
        let odd = format!("AMENDS_{}", name.get());
        load(&Sources::new(None, vec![(known, value.get()), (odd, "1".to_owned())]));
    });
}

#[test]
fn a_secret_is_never_shown() {
    target!((Text, Text), |(before, after): &(Text, Text)| {
        let secret = format!("{}{SECRET}{}", before.get(), after.get());
        let sources = Sources::new(
            None,
            vec![
                ("AMENDS_SERVICE__SMTP_PASSWORD".to_owned(), secret),
                ("AMENDS_SERVICE__DATABASE__URL".to_owned(), format!("postgres://user:{SECRET}@host/db")),
            ],
        );
        match sources.load::<Config>() {
            Ok(loaded) => {
                for setting in loaded.settings {
                    assert!(!setting.value.contains(SECRET), "{setting:?}");
                }
            }
            Err(error) => assert!(!error.to_string().contains(SECRET), "{error}"),
        }
    });
}

/// A password with a sign in it that should have been escaped is one all the same.
#[test]
fn a_secret_in_a_url_is_never_shown() {
    target!((Text, Text), |(before, after): &(Text, Text)| {
        let (before, after) = (before.get(), after.get());
        // Two URLs in one are anybody's guess.
        if format!("{before}{SECRET}{after}").contains("://") {
            return;
        }
        let url = format!("postgres://user:{before}{SECRET}{after}@host:5432/db");
        assert!(!redact_url(&url).contains(SECRET), "{url:?} is shown as {:?}", redact_url(&url));
    });
}

fn load(sources: &Sources) {
    match sources.load::<Config>() {
        Ok(loaded) => assert!(loaded.settings.iter().all(|setting| !setting.source.is_empty())),
        Err(error) => {
            let error = error.to_string();
            assert!(!error.is_empty());
        }
    }
}
