//! Configuration from sources given as text: what is loaded, where it came from, what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Write;

use amends_service::config::{ConfigError, Loaded, Sources, redact_url};
use amends_service::{DatabaseConfig, HttpConfig, LogConfig};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    log: LogConfig,
    orchestrator: Orchestrator,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Orchestrator {
    http: HttpConfig,
    database: DatabaseConfig,
    smtp_password: String,
    note: Option<String>,
    count: Option<u32>,
    limits: BTreeMap<String, u32>,
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn sources(toml: &str, environment: &[(&str, &str)]) -> (Sources, tempfile::NamedTempFile) {
    let file = file(toml);
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (Sources::new(Some(file.path()), pairs.collect()), file)
}

fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Loaded<Config>, ConfigError> {
    sources(toml, environment).0.load()
}

/// The error without the temporary file's name.
fn refused(toml: &str, environment: &[(&str, &str)]) -> String {
    let (sources, file) = sources(toml, environment);
    let error = sources.load::<Config>().unwrap_err().to_string();
    error.replace(&file.path().display().to_string(), "amends.toml")
}

#[test]
fn later_sources_win_and_each_value_knows_its_own() {
    let toml = "[orchestrator]\nnote = 'file'\n[orchestrator.http]\nbody_bytes_max = 7\nlisten = 'file:1'\n";
    let environment = [
        ("AMENDS_ORCHESTRATOR__HTTP__LISTEN", "env:1"),
        ("AMENDS_ORCHESTRATOR__LIMITS__SMALL", "3"),
        ("DATABASE_URL", "postgres://u:s3cret@db/x"),
        ("HOME", "/root"),
    ];
    let (sources, file) = sources(toml, &environment);
    let sources = sources
        .fallback("orchestrator.database.url", "DATABASE_URL")
        .fallback("orchestrator.note", "UNSET")
        .flag("orchestrator.http.drain_timeout_ms", "9", "--set");
    let Loaded { value, settings } = sources.load::<Config>().unwrap();
    assert_eq!(value.orchestrator.http.listen, "env:1");
    assert_eq!(value.orchestrator.http.body_bytes_max, 7);
    assert_eq!(value.orchestrator.http.drain_timeout_ms, 9);
    assert_eq!(value.orchestrator.database.url, "postgres://u:s3cret@db/x");
    assert_eq!(value.orchestrator.note.as_deref(), Some("file"));
    assert_eq!(value.orchestrator.limits["small"], 3);

    let setting = |key: &str| {
        let found = settings.iter().find(|setting| setting.key == key).unwrap();
        format!("{} ({})", found.value, found.source)
    };
    assert_eq!(setting("orchestrator.http.listen"), "\"env:1\" (env AMENDS_ORCHESTRATOR__HTTP__LISTEN)");
    assert_eq!(setting("orchestrator.http.body_bytes_max"), format!("7 (file {})", file.path().display()));
    assert_eq!(setting("orchestrator.http.drain_timeout_ms"), "9 (flag --set)");
    assert_eq!(setting("orchestrator.http.body_timeout_ms"), "10000 (default)");
    assert_eq!(setting("orchestrator.database.url"), "\"postgres://u:***@db/x\" (env DATABASE_URL)");
    assert_eq!(setting("orchestrator.count"), "null (default)");
}

#[test]
fn a_fallback_is_below_the_file() {
    let toml = "[orchestrator.database]\nurl = 'sqlite://file.db'\n";
    let (sources, _file) = sources(toml, &[("DATABASE_URL", "sqlite://fallback.db")]);
    let loaded = sources.fallback("orchestrator.database.url", "DATABASE_URL").load::<Config>().unwrap();
    assert_eq!(loaded.value.orchestrator.database.url, "sqlite://file.db");
}

#[test]
fn the_environment_names_the_file_unless_a_flag_does() {
    let (one, other) = (file("[log]\nfilter = 'one'\n"), file("[log]\nfilter = 'other'\n"));
    let environment = vec![("AMENDS_CONFIG".to_owned(), one.path().display().to_string())];
    let filter = |file: Option<&std::path::Path>| {
        Sources::new(file, environment.clone()).load::<Config>().unwrap().value.log.filter
    };
    assert_eq!(filter(None), "one");
    assert_eq!(filter(Some(other.path())), "other");
}

#[test]
fn text_stays_text_whatever_it_looks_like() {
    let environment = [
        ("AMENDS_ORCHESTRATOR__SMTP_PASSWORD", "0123"),
        ("AMENDS_ORCHESTRATOR__NOTE", "true"),
        ("AMENDS_ORCHESTRATOR__COUNT", "12"),
        ("AMENDS_LOG__FILTER", "info,a=b"),
    ];
    // A number and a text, both without a default that would tell: each is read as what it is.
    let note = load("", &environment[..2]).unwrap().value.orchestrator;
    assert_eq!((note.smtp_password.as_str(), note.note.as_deref()), ("0123", Some("true")));
    let count = load("", &environment[2..]).unwrap().value;
    assert_eq!((count.orchestrator.count, count.log.filter.as_str()), (Some(12), "info,a=b"));
    let both = load("", &environment).unwrap().value.orchestrator;
    assert_eq!((both.count, both.note.as_deref()), (Some(12), Some("true")));
}

#[test]
fn keys_that_nothing_reads_are_named_with_the_nearest_known_one() {
    let toml =
        "[orchestrator.http]\nlissten = 'x'\nbody_bytes_max = 1\n[orchestartor]\nx = 1\n[log]\nzzz = 1\n";
    assert_eq!(
        refused(toml, &[("AMENDS_ORCHESTRATOR_HTTP_LISTEN", "x"), ("AMENDS_LOG__FORMAT_", "json")]),
        "file amends.toml: there is no setting log.zzz; `config show` lists all there are\n\
         file amends.toml: there is no setting orchestartor; do you mean orchestrator?\n\
         file amends.toml: there is no setting orchestrator.http.lissten; do you mean orchestrator.http.listen?\n\
         env AMENDS_ORCHESTRATOR_HTTP_LISTEN: there is no setting AMENDS_ORCHESTRATOR_HTTP_LISTEN; do you mean \
         AMENDS_ORCHESTRATOR__HTTP__LISTEN?\n\
         env AMENDS_LOG__FORMAT_: there is no setting AMENDS_LOG__FORMAT_; do you mean AMENDS_LOG__FORMAT?"
    );
}

#[test]
fn variables_of_others_may_be_reserved() {
    let environment = vec![("AMENDS_BIN".to_owned(), "/bin/true".to_owned())];
    assert!(Sources::new(None, environment.clone()).load::<Config>().is_err());
    assert!(Sources::new(None, environment).reserve(&["AMENDS_BIN"]).load::<Config>().is_ok());
}

#[test]
fn values_that_cannot_be_used_are_named_without_their_secrets() {
    assert_eq!(
        refused("", &[("AMENDS_ORCHESTRATOR__HTTP__BODY_BYTES_MAX", "many")]),
        "env AMENDS_ORCHESTRATOR__HTTP__BODY_BYTES_MAX: orchestrator.http.body_bytes_max: invalid type: found \
         string \"many\", expected usize"
    );
    assert_eq!(
        refused("[orchestrator]\nsmtp_password = 4711\n", &[]),
        "file amends.toml: orchestrator.smtp_password: is not of the right type"
    );
    assert_eq!(
        refused("[orchestrator]\nhttp = 1\n", &[]),
        "file amends.toml: orchestrator.http: invalid type: found signed int `1`, expected struct HttpConfig"
    );
    assert!(refused("[log]\nformat = 'xml'\n", &[]).contains("log.format"));
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_an_error() {
    let missing = Sources::new(Some("/nowhere/amends.toml".as_ref()), Vec::new()).load::<Config>();
    assert!(matches!(missing, Err(ConfigError::File { .. })), "{missing:?}");
    let broken = load("[log\n", &[]).unwrap_err();
    assert!(matches!(broken, ConfigError::Syntax { .. }), "{broken:?}");
    assert!(broken.to_string().contains("line 1"), "{broken}");
}

#[test]
fn secrets_are_hidden_wherever_they_stand() {
    let toml = "[orchestrator]\nsmtp_password = 'hunter2'\nnote = 'nats://hunter2@a:1,nats://u:hunter2@b:2'\n\
                database.url = 'postgres:///db?host=/run&password=hunter2&user=u'\n";
    let loaded = load(toml, &[]).unwrap();
    let shown = format!("{:?} {:?}", loaded.settings, loaded.value.orchestrator.database);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("postgres:///db?host=/run&password=***&user=u"), "{shown}");

    for (url, expected) in [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://token@a", "nats://***@a"),
        ("nats://u:p@a,nats://u:p@b", "nats://u:***@a,nats://u:***@b"),
        ("postgres://shop@db/x", "postgres://shop@db/x"),
        ("postgres://shop:p@ss@db/x?a=b", "postgres://shop:***@db/x?a=b"),
        ("postgres://shop:p/s?s#s@db/x", "postgres://shop:***@db/x"),
        ("postgres://shop:p,s@db,other/x", "postgres://shop:***@db,other/x"),
        ("nats://to/ken@a:1,b:2", "nats://***@a:1,b:2"),
        ("sqlite://a/b@c.db", "sqlite://a/b@c.db"),
        ("no url, but a text", "no url, but a text"),
    ] {
        assert_eq!(redact_url(url), expected);
    }
}
