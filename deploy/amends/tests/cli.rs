//! The command line as a user meets it: what it prints where, and with which exit code it ends.
//!
//! Everything runs in a folder of its own and without a broker.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// Runs `amends` in this folder, without any setting of ours.
fn amends(folder: &Path, arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    for (name, _) in std::env::vars_os() {
        if name == "DATABASE_URL" || name.to_string_lossy().starts_with("AMENDS_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).args(arguments).envs(env.iter().copied()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const SAGA: &str = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["key", "create", "--name", "x"],
        &["key", "create", "--name", "x", "--scope", "everything"],
        &["saga", "show", "not-an-id"],
        &["saga", "pause", SAGA],
        &["saga", "settle", SAGA, "--step", "take", "--reason", "it was done"],
        &["saga", "settle", SAGA, "--step", "take", "--effect", "both", "--reason", "it was done"],
        &["saga", "edit", SAGA, "--step", "Take it", "--data", "x.json", "--reason", "a slip"],
        &["saga", "start", "order", "--start-at", "tomorrow"],
        &["definition", "pause", "order"],
        &["inventory", "--set", "novalue"],
    ] {
        let output = amends(folder.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn wrong_configuration_ends_with_78_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("amends.toml"), "[inventory]\ndatabse = 1\n").unwrap();
    let ends = |arguments: &[&str], env: &[(&str, &str)]| {
        let output = amends(folder.path(), arguments, env);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {}", stderr(&output));
        stderr(&output)
    };
    let misspelt = ends(&["config", "show"], &[("AMENDS_INVENTORY__DATABSE__URL", "sqlite://x.db")]);
    assert!(misspelt.contains("do you mean AMENDS_INVENTORY__DATABASE"), "{misspelt}");
    let in_file = ends(&["inventory", "--config", "amends.toml"], &[]);
    assert!(in_file.contains("amends.toml") && in_file.contains("inventory.databse"), "{in_file}");
    let flag = ends(&["orchestrator", "--set", "orchestrator.loops.batch_count_max=many"], &[]);
    assert!(flag.contains("orchestrator.loops.batch_count_max"), "{flag}");
    let absent = ends(&["config", "show"], &[("AMENDS_CONFIG", "absent.toml")]);
    assert!(absent.contains("absent.toml"), "{absent}");
}

#[test]
fn a_configuration_shows_where_each_value_came_from() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("amends.toml"), "[log]\nformat = \"json\"\n").unwrap();
    let env = [
        ("AMENDS_NATS__URL", "nats://me:s3cret@broker:4222"),
        ("DATABASE_URL", "postgres://me:s3cret@db/amends"),
        ("AMENDS_API_KEY", "amk_of_somebody"),
    ];
    let arguments =
        ["config", "show", "--json", "--config", "amends.toml", "--set", "payment.http.listen=[::1]:1"];
    let shown = stdout(&amends(folder.path(), &arguments, &env));
    assert!(!shown.contains("s3cret") && !shown.contains("amk_of_somebody"), "{shown}");
    let settings: Vec<Value> = serde_json::from_str(&shown).unwrap();
    let source = |key: &str| {
        let setting = settings.iter().find(|setting| setting["key"] == key).unwrap();
        setting["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(source("nats.url"), "env AMENDS_NATS__URL");
    assert_eq!(source("orchestrator.database.url"), "env DATABASE_URL");
    assert_eq!(source("log.format"), "file amends.toml");
    assert_eq!(source("payment.http.listen"), "flag --set");
    assert_eq!(source("inventory.http.listen"), "default");

    let plain = stdout(&amends(folder.path(), &["config", "show"], &[]));
    assert!(plain.contains("inventory.http.listen\t\"127.0.0.1:8082\"\tdefault\n"), "{plain}");
}

#[test]
fn definitions_are_validated() {
    let folder = tempfile::tempdir().unwrap();
    let order = concat!(env!("CARGO_MANIFEST_DIR"), "/../../saga-definitions/order.v1.yaml");
    let good = stdout(&amends(folder.path(), &["definition", "validate", order], &[]));
    assert!(good.contains("order.v1 is good"), "{good}");

    std::fs::write(folder.path().join("bad.v1.yaml"), "saga: bad\nversion: 1\nsteps: []\ncolour: blue\n")
        .unwrap();
    let output = amends(folder.path(), &["definition", "validate", order, "bad.v1.yaml"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("order.v1 is good") && text.contains("bad.v1.yaml:"), "{text}");

    let output = amends(folder.path(), &["definition", "validate", "--json", "bad.v1.yaml"], &[]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["file"], "bad.v1.yaml");
    assert_eq!(found["errors"][0]["rule"], "missing-key", "{found}");
    assert!(found["errors"][0]["line"].as_u64().is_some_and(|line| line > 0), "{found}");
}

#[test]
fn definitions_are_held_against_what_only_an_orchestrator_knows() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    let saga = |name: &str, rest: &str, step: &str| {
        format!("saga: {name}\nversion: 1\n{rest}steps:\n- {{ name: only, kind: pivot, {step} }}\n")
    };
    write("r.json", r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "strin" }"#);
    write("schema.v1.yaml", &saga("schema", "", "call: a.b, schemas: { reply: r.json }"));
    write("late.v1.yaml", &saga("late", "deadline: 40d\n", "call: a.b"));
    write("child.v1.yaml", &saga("child", "", "call: a.b"));
    write("parent.v1.yaml", &saga("parent", "", "call: { saga: child }"));
    write("lost.v1.yaml", &saga("lost", "", "call: { saga: chidl }"));
    let validate = |file: &str| {
        let output = amends(folder.path(), &["definition", "validate", file], &[]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, text, _) = validate("schema.v1.yaml");
    assert!(code == Some(1) && text.contains("schema.v1: step only: "), "{text}");
    let (code, text, _) = validate("late.v1.yaml");
    assert!(code == Some(1) && text.contains("a deadline of 3456000 s is too long"), "{text}");
    let (code, _, notes) = validate("parent.v1.yaml");
    assert_eq!((code, notes.as_str()), (Some(0), ""));
    let (code, _, notes) = validate("lost.v1.yaml");
    assert!(
        code == Some(0) && notes.starts_with("note: lost.v1: the step only calls the saga chidl"),
        "{notes}"
    );
}

#[test]
fn the_schema_for_editors_is_printed_as_it_lies_beside_the_definitions() {
    let folder = tempfile::tempdir().unwrap();
    let printed = stdout(&amends(folder.path(), &["definition", "schema"], &[]));
    assert_eq!(printed, include_str!("../../../saga-definitions/definition.schema.json"));
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| stdout(&amends(folder.path(), arguments, &[]));
    let key = run(&["key", "create", "--name", "shop", "--scope", "order,operate"]);
    assert_eq!(key.lines().count(), 1, "the key alone: {key}");
    let prefix = key.rsplit_once('_').unwrap().0.to_owned();

    let listed: Vec<Value> = serde_json::from_str(&run(&["key", "ls", "--json"])).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["prefix"], &listed[0]["revoked_at"]),
        (&Value::from(prefix.as_str()), &Value::Null)
    );
    assert!(!run(&["key", "ls"]).contains(key.trim()), "the secret part is shown once");

    run(&["key", "revoke", &prefix]);
    let listed: Vec<Value> = serde_json::from_str(&run(&["key", "ls", "--json"])).unwrap();
    assert!(listed[0]["revoked_at"].is_string(), "{listed:?}");
    let output = amends(folder.path(), &["key", "revoke", "amk_000000000000"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

#[test]
fn databases_are_migrated_each_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let said = stdout(&amends(folder.path(), &["migrate"], &[]));
    for owner in ["orchestrator", "inventory", "payment", "notification"] {
        assert!(said.contains(&format!("{owner}: up to date")), "{said}");
        assert!(folder.path().join("amends-data").join(owner).with_extension("db").is_file(), "{owner}");
    }
    let again = stdout(&amends(folder.path(), &["migrate", "payment"], &[]));
    assert_eq!(again, "payment: up to date\n");
}

#[test]
fn an_empty_database_is_verified_and_planned_against() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| amends(folder.path(), arguments, &[]);
    let missing = run(&["verify"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("orchestrator.db"), "{}", stderr(&missing));
    stdout(&run(&["migrate", "orchestrator"]));
    assert!(stdout(&run(&["verify", "--since", "24h"])).starts_with("0 sagas: "));
    let json: Value = serde_json::from_str(&stdout(&run(&["verify", "--json"]))).unwrap();
    assert_eq!(json["summary"]["findings"], 0);
    let unknown = run(&["verify", "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stdout).contains("there is no such saga"));

    let order = concat!(env!("CARGO_MANIFEST_DIR"), "/../../saga-definitions/order.v1.yaml");
    let plan = stdout(&run(&["definition", "plan", order]));
    assert!(plan.contains("order.v1 against 0 sagas") && plan.contains("stay on the version"), "{plan}");
    std::fs::write(folder.path().join("bad.v2.yaml"), "saga: bad\nversion: 2\n").unwrap();
    let bad = run(&["definition", "plan", "bad.v2.yaml"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(stderr(&bad).contains("bad.v2.yaml"), "{}", stderr(&bad));
}

#[test]
fn definitions_that_cannot_be_loaded_end_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("parcel.v1.yaml");
    let text = "saga: parcel\nversion: 1\nsteps:\n  - name: book\n    kind: compensatable\n    \
                call: carrier.book\n    with: {}\n    undo: carrier.unbook\n";
    let serve = || {
        let run =
            ["orchestrator", "--set", "orchestrator.definitions=.", "--set", "orchestrator.horizon_s=1"];
        amends(folder.path(), &run, &[])
    };
    // The horizon is too short for any definition: that, too, is a wrong configuration.
    std::fs::write(&file, text).unwrap();
    let short = serve();
    assert_eq!(short.status.code(), Some(78), "{}", stderr(&short));
    assert!(stderr(&short).contains("orchestrator.horizon_s"), "{}", stderr(&short));
}

#[test]
fn what_cannot_be_taken_back_says_what_it_means() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["saga", "abandon", SAGA, "--reason", "the shop is sold", "--url", "http://127.0.0.1:1"];
    let output = amends(folder.path(), &arguments, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("cannot be taken back") && said.contains("say --yes; nothing was done"), "{said}");
    let sure = [&arguments[..], &["--yes"]].concat();
    assert!(stderr(&amends(folder.path(), &sure, &[])).contains("does not answer"));
}

#[test]
fn json_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.json"), "{").unwrap();
    let away = ["--url", "http://127.0.0.1:1"];
    let said = |arguments: &[&str]| stderr(&amends(folder.path(), &[arguments, &away[..]].concat(), &[]));
    let start = said(&["saga", "start", "order", "--input", "broken.json"]);
    assert!(start.contains("broken.json is no JSON"), "{start}");
    let signal = said(&["saga", "signal", SAGA, "approval", "yes"]);
    assert!(signal.contains("DATA is no JSON"), "{signal}");
}

#[test]
fn an_orchestrator_that_is_away_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens on port 1.
    let output = amends(folder.path(), &["saga", "ls", "--url", "http://127.0.0.1:1"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not answer: is it running"), "{}", stderr(&output));
}

#[test]
fn definitions_are_rehearsed() {
    let folder = tempfile::tempdir().unwrap();
    let saga_definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/../../saga-definitions");
    let order = format!("{saga_definitions}/order.v1.yaml");
    let good = stdout(&amends(folder.path(), &["definition", "dry-run", &order], &[]));
    assert!(
        good.contains("confirm-stock\tis rejected\tcompensated (rejected)\treserve-stock, charge-payment"),
        "{good}"
    );
    assert!(good.ends_with("cases, nothing found\n"), "{good}");

    let source = std::fs::read_to_string(&order).unwrap();
    let undo = "undo: { call: payment.refund-payment, retry: { attempts: 50, cap: 30s } }";
    let flawed = source.replace(undo, "undo: none\n    because: we never refund");
    let schema = "schemas/order-input.v1.json";
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::copy(format!("{saga_definitions}/{schema}"), folder.path().join(schema)).unwrap();
    std::fs::write(folder.path().join("order.v1.yaml"), flawed).unwrap();
    let output = amends(folder.path(), &["definition", "dry-run", "order.v1.yaml"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("finding: charge-payment would be left behind"), "{text}");
    assert!(text.contains("such as: confirm-stock is rejected"), "{text}");
    let allowed = ["definition", "dry-run", "order.v1.yaml", "--json", "--allow-left", "charge-payment"];
    let report: Value = serde_json::from_str(&stdout(&amends(folder.path(), &allowed, &[]))).unwrap();
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(report["rows"][0]["ending"], "completed");
}
