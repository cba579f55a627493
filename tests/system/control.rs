//! Stock NATS tools as a control plane: nats-py always, the `nats` CLI where there is one; and the same by
//! `amends message`. Whatever is sent again has no second effect.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use amends_tests::{
    Dice, System,
    audit::{audit, settled},
    eventually,
    traffic::{Kind, Order, Submission, mixed, restock},
};
use serde_json::{Value, json};

use crate::{
    alone,
    operators::{operate, text},
    python::client_library,
};

const CONTROL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/control.py");
const OPERATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATIONS.md");

/// What the script prints when it does this.
fn python(system: &System, deed: &str) -> Value {
    let output = Command::new("python3")
        .args([CONTROL, deed])
        .env("PYTHONPATH", client_library())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NATS_URL", system.broker.url())
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{deed}: {}", text(&output));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

async fn admin(system: &System, path: &str) -> Value {
    let authorization = system.authorization();
    system.client.get(&system.admin(path), &[("authorization", &authorization)]).await
}

async fn participant(system: &System, name: &str) -> Value {
    let list = admin(system, "/v1/participants").await;
    let mut found = list["participants"].as_array().expect("a list").iter();
    found.find(|it| it["name"] == name).expect("it is called by a definition").clone()
}

/// Waits until no participant has anything left to do.
async fn idle(system: &System) {
    let is_idle = |it: &Value| it["consumer"]["backlog"] == 0 && it["consumer"]["ack_pending"] == 0;
    let look = async || {
        let list = admin(system, "/v1/participants").await;
        list["participants"].as_array()?.iter().all(is_idle).then_some(())
    };
    eventually("all commands are done with", look, async || system.dump().await).await;
}

/// The order that the scripts place.
fn order_of_python(id: &Value) -> Order {
    let mut order = Order::new(Kind::Good, 0, 1);
    order.email = "python@shop.example".to_owned();
    order.id = id.as_str().expect("an id").to_owned();
    order
}

#[tokio::test]
async fn a_stock_client_starts_lists_and_acts_and_what_it_sends_again_changes_nothing() {
    let _turn = alone().await;
    let system = System::start(None).await;
    restock(&system).await;
    let mut orders = Submission::start(&system, mixed(30, &mut Dice::new("control"))).all().await;

    let seen = python(&system, "control");
    assert_eq!((&seen["error"], &seen["kind"]), (&Value::Null, &json!("application/json")), "{seen:#}");
    assert_eq!(seen["started"]["status"], "completed", "`wait_s` waits for the end: {seen:#}");
    let id = &seen["started"]["id"];
    assert_eq!((&seen["again"], &seen["listed"]), (id, &json!([id])));
    let shown = system.saga(id.as_str().expect("an id")).await;
    assert_eq!(seen["shown"], shown, "the same JSON as REST");
    assert_eq!((&seen["refusal"][0], &seen["refused"]["code"]), (&json!("409"), &json!("refused")));
    assert!(seen["refusal"][1].as_str().is_some_and(|text| text.starts_with("refused: ")), "{seen:#}");
    assert_eq!(seen["problem_kind"], "application/problem+json");
    assert_eq!((&seen["missing"][0], &seen["no_key"][0]), (&json!("409"), &json!("400")));
    assert_eq!(seen["too_late"][0], "400", "beyond the horizon");
    let mut services: Vec<&str> = seen["services"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|service| service["name"].as_str())
        .collect();
    services.sort_unstable();
    assert_eq!(
        services,
        ["amends-inventory", "amends-notification", "amends-orchestrator", "amends-payment"]
    );
    let endpoints = seen["stats"][0]["endpoints"].as_array().expect("endpoints");
    let counts = |name: &str| {
        let found = endpoints.iter().find(|endpoint| endpoint["name"] == name).expect("an endpoint");
        (found["num_requests"].as_u64(), found["num_errors"].as_u64())
    };
    assert_eq!((counts("start"), counts("get")), ((Some(4), Some(2)), (Some(1), Some(0))), "{seen:#}");
    assert_eq!(counts("action"), (Some(1), Some(1)));
    assert_eq!(seen["info"][0]["endpoints"].as_array().map(Vec::len), Some(5));

    orders.push(order_of_python(id));
    settled(&system, &orders).await;
    idle(&system).await;
    let before = admin(&system, "/v1/sagas?limit=200").await;
    let redriven = python(&system, "redrive");
    assert!(redriven["effects"].as_u64() > Some(60), "{redriven}");
    assert_eq!(redriven["different"], json!([]), "the recorded reply comes back");
    assert_eq!(redriven["identical"], redriven["effects"], "byte for byte");
    idle(&system).await;
    audit(&system, &orders).await;
    assert_eq!(admin(&system, "/v1/sagas?limit=200").await, before, "no saga has moved");
}

#[tokio::test]
async fn a_consumer_that_somebody_paused_is_seen_and_its_sagas_wait() {
    let _turn = alone().await;
    let system = System::start(None).await;
    restock(&system).await;
    let shows_itself = async || {
        let inventory = participant(&system, "inventory").await;
        (inventory["instances"].as_array().map(Vec::len) == Some(1)).then_some(())
    };
    eventually("its instance is seen", shows_itself, async || system.dump().await).await;
    assert_eq!(python(&system, "pause")["paused"], true);
    let mut order = Order::new(Kind::Good, 1, 1);
    let placed = system.door().order("1", &order.body()).await.expect("an answer").ok();
    order.id = placed["id"].as_str().expect("an id").to_owned();
    let look = async || {
        let inventory = participant(&system, "inventory").await;
        let consumer = &inventory["consumer"];
        (consumer["backlog"] == 1 && consumer["paused_ms"].as_u64() > Some(0)).then_some(())
    };
    eventually("a command waits at the paused consumer", look, async || system.dump().await).await;
    assert_eq!(python(&system, "resume")["paused"], false);
    settled(&system, std::slice::from_ref(&order)).await;
    audit(&system, &[order]).await;
    assert_eq!(participant(&system, "inventory").await["consumer"]["paused_ms"], 0);
}

#[tokio::test]
async fn messages_are_found_shown_and_sent_again() {
    let _turn = alone().await;
    let mut system = System::start(None).await;
    restock(&system).await;
    let orders = Submission::start(&system, mixed(10, &mut Dice::new("messages"))).all().await;
    settled(&system, &orders).await;
    let good = orders.iter().find(|order| order.kind == Kind::Good).expect("most are");

    let listed = admin(&system, &format!("/v1/sagas/{}/messages", good.id)).await;
    let messages = listed["messages"].as_array().expect("a list");
    assert_eq!(listed["complete"], true, "{listed:#}");
    let said = |message: &Value| {
        let step = message["step"].as_str().unwrap_or("-");
        format!("{} {step} {}", message["kind"].as_str().unwrap_or("-"), message["outcome"])
    };
    let kinds: Vec<String> = messages.iter().map(said).collect();
    let steps = ["charge-payment", "confirm-stock", "reserve-stock", "send-confirmation"];
    for step in steps {
        let wanted = [format!("command {step} null"), format!("reply {step} \"succeeded\"")];
        assert!(wanted.iter().all(|it| kinds.contains(it)), "{step}: {listed:#}");
    }
    let reserve = messages.iter().find(|it| said(it) == "command reserve-stock null").expect("it was sent");
    assert_eq!(reserve["deliveries"], 1, "{reserve:#}");
    let seq = reserve["stream_seq"].to_string();

    let lines = text(&operate(&system, &["message", "ls", "--saga", &good.id]));
    assert_eq!(lines.lines().count(), messages.len(), "{lines}");
    let lines = text(&operate(&system, &["message", "ls", "--stream", "cmd", "--limit", "2"]));
    assert!(lines.contains("more: --stream cmd --from "), "{lines}");
    let body = operate(&system, &["message", "show", "cmd", &seq, "--body"]).stdout;
    let command: Value = serde_json::from_slice(&body).expect("a command is JSON");
    assert_eq!(command["sagaid"], good.id.as_str());
    let shown = text(&operate(&system, &["message", "show", "AMENDS_CMD", &seq]));
    assert!(shown.contains("subject    amends.cmd.inventory.reserve-stock\n"), "{shown}");
    assert!(shown.contains("\"specversion\""), "{shown}");

    // All of them again, by our own tool, and one with its reply.
    let redriven = operate(&system, &["message", "redrive", "cmd", &seq, "--wait", "60", "--json"]);
    let redriven: Value =
        serde_json::from_slice(&redriven.stdout).unwrap_or_else(|_| panic!("{}", text(&redriven)));
    assert_eq!(redriven["reply"]["effectid"], command["effectid"], "{redriven:#}");
    assert_eq!(redriven["reply"]["data"]["outcome"], "succeeded");
    let again = operate(&system, &["message", "show", "cmd", &redriven["stream_seq"].to_string(), "--body"]);
    assert_eq!(again.stdout, body, "byte for byte");
    let file = system.folder().join("command.json");
    std::fs::write(&file, &body).expect("a file can be written");
    let subject = "amends.cmd.inventory.reserve-stock";
    let published = operate(&system, &["message", "publish", subject, "--file", &file.display().to_string()]);
    assert_eq!(published.status.code(), Some(0), "{}", text(&published));

    one_of_a_batch_is_sent_again(&system, &body);
    idle(&system).await;
    audit(&system, &orders).await;

    let gone = operate(&system, &["message", "show", "cmd", "999999"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone).contains("AMENDS_CMD holds no message 999999"), "{}", text(&gone));
    let nowhere =
        operate(&system, &["message", "publish", "amends.nowhere", "--file", &file.display().to_string()]);
    assert_eq!(nowhere.status.code(), Some(1), "{}", text(&nowhere));
    let wrong = operate(&system, &["message", "show", "dog", "1"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong));

    system.kill("orchestrator");
    system.set("AMENDS_ORCHESTRATOR__SERVICE_SUBJECTS", "false");
    system.start_service("orchestrator");
    system.ready("orchestrator").await;
    assert_eq!(python(&system, "silence")["silent"], true);
}

/// A batch of one command twice: the second is found, and sent again without its neighbour.
fn one_of_a_batch_is_sent_again(system: &System, command: &[u8]) {
    let file = system.folder().join("batch.json");
    std::fs::write(&file, [b"[", command, b", ", command, b"]"].concat()).expect("a file can be written");
    let (subject, file) = ("amends.cmd.inventory.reserve-stock", file.display().to_string());
    let published = text(&operate(system, &["message", "publish", subject, "--file", &file]));
    let seq = published.split_whitespace().last().expect("a sequence");
    let second = format!("{seq}#1");
    let lines = text(&operate(system, &["message", "ls", "--stream", "cmd", "--from", seq]));
    assert!(lines.contains(&format!("cmd\t{second}\t")), "{lines}");
    let redriven = operate(system, &["message", "redrive", "cmd", &second, "--wait", "60", "--json"]);
    let redriven: Value =
        serde_json::from_slice(&redriven.stdout).unwrap_or_else(|_| panic!("{}", text(&redriven)));
    assert_eq!(redriven["reply"]["data"]["outcome"], "succeeded", "{redriven:#}");
    let again = operate(system, &["message", "show", "cmd", &redriven["stream_seq"].to_string(), "--body"]);
    assert_eq!(again.stdout, command, "byte for byte");
    let missing = operate(system, &["message", "redrive", "cmd", &format!("{seq}#2")]);
    assert!(text(&missing).contains("is a batch of the elements #0 to #1"), "{}", text(&missing));
}

/// The `nats` CLI: `NATS_CLI`, or the one on PATH.
fn nats_cli() -> Option<PathBuf> {
    let on_path = || {
        env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("nats")).find(|file| file.is_file())
    };
    env::var_os("NATS_CLI").map(PathBuf::from).or_else(on_path)
}

/// The lines of docs/OPERATIONS.md that are to be run, by the name of their block.
fn lines_to_run() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(OPERATIONS).expect("the document");
    let mut lines = Vec::new();
    for block in text.split("<!-- run: ").skip(1) {
        let (name, rest) = block.split_once(" -->\n```sh\n").expect("a block of shell behind its name");
        let (code, _) = rest.split_once("\n```").expect("the block ends");
        lines.extend(code.lines().map(|line| (name.to_owned(), line.to_owned())));
    }
    lines
}

fn shell(system: &System, cli: &Path, line: &str, variables: &[(&str, &str)]) -> Output {
    let folder = system.folder().join("bin");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let nats = folder.join("nats");
    if !nats.exists() {
        std::os::unix::fs::symlink(cli, &nats).expect("a link can be made");
    }
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-euc", line]).env("PATH", path).env("NATS_URL", system.broker.url());
    command.envs(variables.iter().copied()).output().expect("sh runs")
}

#[test]
fn the_document_has_lines_to_run_and_they_name_what_there_is() {
    let lines = lines_to_run();
    for name in ["sagas", "messages", "pause", "lag"] {
        assert!(lines.iter().filter(|(block, _)| block == name).count() >= 3, "{name}: {lines:#?}");
    }
    assert!(lines.iter().all(|(_, line)| line.starts_with("nats ")), "{lines:#?}");
    // The one that would be typed wrong first: an example has to be what the definition takes.
    let start = &lines[0].1;
    let body = start.split('\'').nth(1).expect("a body in quotes");
    let body: Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(body["definition"], "order");
}

#[tokio::test]
async fn the_lines_of_the_document_work_with_the_stock_cli() {
    let _turn = alone().await;
    let Some(cli) = nats_cli() else {
        // Not by a macro: that would be kept from everybody when the test passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: docs/OPERATIONS.md was not run, for there is no `nats` CLI; put it on PATH or name it in NATS_CLI \
             (https://github.com/nats-io/natscli/releases). The same through nats-py was run."
        );
        return;
    };
    let system = System::start(None).await;
    restock(&system).await;
    let mut order = Order::new(Kind::Good, 1, 1);
    let placed = system.door().order("1", &order.body()).await.expect("an answer").ok();
    order.id = placed["id"].as_str().expect("an id").to_owned();
    settled(&system, std::slice::from_ref(&order)).await;
    let messages = admin(&system, &format!("/v1/sagas/{}/messages", order.id)).await;
    let mut found = messages["messages"].as_array().expect("a list").iter();
    let seq = found.find(|it| it["step"] == "reserve-stock").expect("it was sent")["stream_seq"].to_string();
    for (block, line) in lines_to_run() {
        let output = shell(&system, &cli, &line, &[("SAGA", &order.id), ("SEQ", &seq)]);
        let said = text(&output);
        assert!(output.status.success(), "{line}\n{said}");
        // An ended saga takes neither action nor signal: that is said, and the line was understood.
        let wanted = match block.as_str() {
            "sagas" if line.contains(".action ") || line.contains(".signal ") => "refused",
            "sagas" if line.contains(".start ") => "running",
            "sagas" => "completed",
            "messages" => "",
            "pause" | "lag" => "",
            other => panic!("nobody knows what {other} has to say"),
        };
        assert!(said.contains(wanted), "{line}\n{said}");
    }
    idle(&system).await;
    let started = admin(&system, "/v1/sagas?label=customer:c-1").await;
    assert_eq!(started["sagas"].as_array().map(Vec::len), Some(1), "{started:#}");
}
