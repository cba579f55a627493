//! `amends doctor` on real servers: it finds what is wrong with each, goes on when parts are down, and shows no
//! password.

use std::process::Output;

use amends_tests::{Cluster, System, Wire, eventually};
use serde_json::{Value, json};

use crate::{
    alone,
    operators::{operate, text},
};

/// What depends on the machine that tests.
const OF_THE_MACHINE: [&str; 3] = ["database-room", "memory", "open-files"];

/// Findings and exit code.
fn examined(system: &System, arguments: &[&str]) -> (Vec<Value>, Output) {
    let output = operate(system, &[&["doctor", "--json"], arguments].concat());
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let findings: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", text(&output))))
        .collect();
    (findings, output)
}

fn of_check<'f>(findings: &'f [Value], check: &str, level: &str) -> Vec<&'f str> {
    let wanted = findings.iter().filter(|finding| finding["check"] == check && finding["level"] == level);
    wanted.filter_map(|finding| finding["found"].as_str()).collect()
}

fn troubles(findings: &[Value]) -> Vec<&Value> {
    let is_trouble = |finding: &&Value| {
        ["unseen", "warning", "error"].iter().any(|level| finding["level"] == *level)
            && !OF_THE_MACHINE.iter().any(|check| finding["check"] == *check)
    };
    findings.iter().filter(is_trouble).collect()
}

/// Waits until the doctor finds this at this level.
async fn found(system: &System, check: &str, level: &str) -> Vec<Value> {
    let look = async || {
        let (findings, _) = examined(system, &[]);
        (!of_check(&findings, check, level).is_empty()).then_some(findings)
    };
    eventually(&format!("{check} is {level}"), look, async || text(&operate(system, &["doctor"]))).await
}

#[tokio::test]
async fn the_doctor_finds_a_sound_system_sound_and_names_what_goes_wrong() {
    let _turn = alone().await;
    let mut system = System::start(None).await;
    let sound = async || {
        let (findings, output) = examined(&system, &[]);
        (troubles(&findings).is_empty() && output.status.code() == Some(0)).then_some(findings)
    };
    let findings = eventually("it is sound", sound, async || text(&operate(&system, &["doctor"]))).await;
    for check in
        ["broker-version", "stream", "consumer", "participant", "orchestrator", "api-keys", "sqlite-journal"]
    {
        assert!(!of_check(&findings, check, "ok").is_empty(), "{check}: {findings:#?}");
    }
    let summary = &findings.last().expect("a summary")["summary"];
    assert!(summary["losses"].as_array().is_some_and(|losses| losses.len() > 5), "{summary:#}");
    let people = text(&operate(&system, &["doctor"]));
    assert!(people.contains("what would be lost") && people.contains("0 errors"), "{people}");

    // Somebody shortens a stream by hand.
    let mut wire = Wire::connect(&system.broker.url());
    let mut config = wire.api("STREAM.INFO.AMENDS_EVENT", &json!({}))["config"].clone();
    config["max_age"] = json!(3_600_000_000_000_u64);
    let updated = wire.api("STREAM.UPDATE.AMENDS_EVENT", &config);
    assert_eq!(updated["config"]["max_age"], config["max_age"], "{updated:#}");
    let findings = found(&system, "stream-differs", "warning").await;
    assert_eq!(
        of_check(&findings, "stream-differs", "warning"),
        ["stream AMENDS_EVENT: max_age is 3600s, wanted 2592000s"]
    );
    let (_, output) = examined(&system, &[]);
    assert_eq!(output.status.code(), Some(0), "a warning");
    let (_, output) = examined(&system, &["--strict"]);
    assert_eq!(output.status.code(), Some(1), "strictly judged it is too much");

    system.kill("inventory");
    let findings = found(&system, "participant", "error").await;
    assert_eq!(of_check(&findings, "participant", "error"), ["no inventory runs"]);

    system.broker.process().kill();
    let (findings, output) = examined(&system, &["--wait", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(of_check(&findings, "broker-reached", "error").len(), 1, "{findings:#?}");
    assert!(!of_check(&findings, "stream", "unseen").is_empty(), "it says what it could not look at");
    assert!(!of_check(&findings, "database-schema", "ok").is_empty(), "and goes on with the rest");
}

#[tokio::test]
async fn the_doctor_does_not_let_a_careless_database_pass() {
    let _turn = alone().await;
    // The tests' own cluster runs without fsync.
    let cluster = Cluster::start();
    let mut system = System::start(Some(&cluster)).await;
    let (findings, output) = examined(&system, &[]);
    assert_eq!(output.status.code(), Some(1));
    let careless = of_check(&findings, "postgres-fsync", "error");
    assert_eq!(careless, ["fsync is off (orchestrator, inventory, payment, notification)"]);
    assert!(!of_check(&findings, "postgres-connections", "ok").is_empty(), "{findings:#?}");
    let summary = findings.last().expect("a summary").to_string();
    assert!(summary.contains("fsync is off: the database may be unreadable"), "{summary}");

    // Where it is down, the rest is still looked at, and no password is shown.
    let url = "postgres://ada:s3cret@127.0.0.1:1/amends";
    system.set("AMENDS_PAYMENT__DATABASE__URL", url);
    let (findings, output) = examined(&system, &["--wait", "1"]);
    let away = of_check(&findings, "database", "error");
    assert!(away.len() == 1 && away[0].contains("the database of payment at "), "{findings:#?}");
    assert!(!text(&output).contains("s3cret"), "{}", text(&output));
    assert!(!of_check(&findings, "postgres-fsync", "error").is_empty());
}

#[test]
fn the_doctor_ends_with_the_usual_exit_codes() {
    let doctor = |arguments: &[&str]| {
        let mut command = std::process::Command::new(amends_tests::amends());
        command.arg("doctor").args(arguments).output().expect("the binary runs").status.code()
    };
    assert_eq!(doctor(&["--role", "dog"]), Some(2));
    assert_eq!(doctor(&["--set", "nats.url=http://nowhere"]), Some(78));
}
