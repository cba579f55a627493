//! What operators do to sagas and definitions, typed as they type it, beside real services.

use amends_tests::{Definitions, System, eventually, traffic::restock};
use serde_json::{Value, json};

use crate::alone;
use crate::operators::{operate, text};

/// Waits for a signal; its last step names something that inventory does not know, and may not be rejected.
const TRIED: &str = "
saga: tried
version: 1
labels: { number: =input.number }
steps:
  - { name: go, await: go }
  - { name: first, kind: pivot, call: inventory.reserve-stock, with: { lines: =input.good } }
  - { name: take, kind: retriable, call: inventory.reserve-stock, with: { lines: =input.bad } }
output: \"=steps['take']\"
";

fn lines(sku: &str) -> Value {
    json!([{ "sku": sku, "quantity": 1, "unit_price": { "amount": 1, "currency": "EUR" } }])
}

struct Desk {
    system: System,
    /// A restarted orchestrator looks there again.
    _definitions: Definitions,
    input: String,
}

impl Desk {
    async fn new() -> Self {
        let definitions = Definitions::of(&["order.v1"]);
        definitions.write("tried.v1.yaml", TRIED);
        let system = System::start_on(&definitions, None).await;
        restock(&system).await;
        let input = json!({ "number": "7", "good": lines("TEA-1"), "bad": lines("UNICORN-1") });
        let input = file(&system, "input.json", &input);
        Self { system, _definitions: definitions, input }
    }

    /// Runs `amends` and expects that it works; what it prints.
    fn done(&self, arguments: &[&str]) -> String {
        let output = operate(&self.system, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs `amends` and expects that it is refused; what it says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = operate(&self.system, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn start(&self) -> String {
        self.done(&["saga", "start", "tried", "--input", &self.input])
    }

    /// A saga whose last step is stuck.
    async fn stuck(&self) -> String {
        let id = self.start();
        self.done(&["saga", "signal", &id, "go", "{\"by\": \"ada\"}"]);
        self.system.step_is(&id, "take", "stuck").await;
        id
    }

    /// Waits until each saga's flags have, or have not, this one.
    async fn flagged(&self, ids: &[String], flag: &str, set: bool) {
        let look = async || {
            for id in ids {
                let saga = self.system.saga(id).await;
                let flags = saga["flags"].as_array().expect("a saga has flags");
                if flags.iter().any(|found| found == flag) != set {
                    return None;
                }
            }
            Some(())
        };
        eventually(&format!("all are {flag}: {set}"), look, async || self.system.dump().await).await;
    }
}

fn file(system: &System, name: &str, content: &Value) -> String {
    let path = system.folder().join(name);
    std::fs::write(&path, content.to_string()).expect("a temporary file can be written");
    path.display().to_string()
}

#[tokio::test]
async fn a_stuck_saga_is_mended_settled_or_given_up() {
    let _turn = alone().await;
    let desk = Desk::new().await;
    let why = "a unicorn was ordered";

    let edited = desk.stuck().await;
    let data = file(&desk.system, "data.json", &json!({ "lines": lines("TEA-1") }));
    let shown = desk.done(&["saga", "show", &edited]);
    assert!(shown.contains("hangs      take: stuck: rejected"), "{shown}");
    desk.done(&["saga", "edit", &edited, "--step", "take", "--data", &data, "--reason", why]);
    desk.done(&["saga", "watch", &edited]);

    let settled = desk.stuck().await;
    let output = file(&desk.system, "output.json", &json!({ "by": "hand" }));
    let how = ["--step", "take", "--effect", "do", "--output", &output, "--reason", why];
    desk.done(&[&["saga", "settle", &settled], &how[..]].concat());
    desk.done(&["saga", "watch", &settled]);
    assert_eq!(desk.system.saga(&settled).await["output"], json!({ "by": "hand" }));

    let abandoned = desk.stuck().await;
    let said = desk.refused(&["saga", "abandon", &abandoned, "--reason", "nobody wants it"]);
    assert!(said.contains("cannot be taken back") && said.contains("--yes"), "{said}");
    desk.done(&["saga", "abandon", &abandoned, "--reason", "nobody wants it", "--yes"]);
    assert_eq!(desk.system.saga(&abandoned).await["status"], "abandoned");
    let said = desk.refused(&["saga", "retry", &abandoned, "--reason", "or not"]);
    assert!(said.contains("the saga is abandoned"), "{said}");
}

#[tokio::test]
async fn sagas_and_whole_definitions_pause_and_go_on() {
    let _turn = alone().await;
    let mut desk = Desk::new().await;
    let ids: Vec<String> = (0..12).map(|_| desk.start()).collect();
    let (alone, others) = ids.split_first().expect("a dozen");
    desk.done(&["saga", "pause", alone, "--reason", "this one only"]);
    let said = desk.refused(&["saga", "resume", &others[0], "--reason", "a slip"]);
    assert!(said.contains("not paused") && said.contains("allowed now"), "{said}");

    desk.done(&["definition", "pause", "tried", "--reason", "the shelf is moved"]);
    // Whoever was at it is killed; the next process ends what it began.
    desk.system.kill("orchestrator");
    desk.system.start_service("orchestrator");
    desk.system.ready("orchestrator").await;
    desk.flagged(&ids, "paused", true).await;
    let said = desk.refused(&["saga", "start", "tried", "--input", &desk.input]);
    assert!(said.contains("503") && said.contains("the shelf is moved"), "{said}");
    let listed = desk.done(&["definition", "ls"]);
    assert!(listed.contains("the shelf is moved"), "{listed}");

    // A signal counts while they pause, but nothing is sent.
    for id in &ids {
        desk.done(&["saga", "signal", id, "go"]);
    }
    desk.done(&["definition", "resume", "tried", "--reason", "it stands"]);
    desk.flagged(others, "paused", false).await;
    for id in others {
        desk.system.step_is(id, "take", "stuck").await;
    }
    assert_eq!(desk.system.saga(alone).await["paused"]["by"], "operator");
    desk.done(&["saga", "resume", alone, "--reason", "this one, too"]);
    desk.system.step_is(alone, "take", "stuck").await;
}

#[tokio::test]
async fn a_saga_begins_when_it_was_told_to() {
    let _turn = alone().await;
    let desk = Desk::new().await;
    let said = desk.refused(&[
        "saga",
        "start",
        "tried",
        "--input",
        &desk.input,
        "--start-at",
        "2020-01-01T00:00:00Z",
    ]);
    assert!(said.contains("has passed"), "{said}");
    let in_an_hour = std::time::SystemTime::now() + std::time::Duration::from_secs(3_600);
    let ms = in_an_hour.duration_since(std::time::UNIX_EPOCH).expect("a clock of this century").as_millis();
    let at = amends_contract::Timestamp::from_unix_ms(i64::try_from(ms).expect("of this millennium"));
    let id = desk.done(&["saga", "start", "tried", "--input", &desk.input, "--start-at", &at.to_string()]);
    let saga = desk.system.saga(&id).await;
    assert_eq!((&saga["start_at"], &saga["awaiting"]), (&json!(at), &json!([])));
    desk.done(&["saga", "skip-wait", &id, "--reason", "the shelf is free"]);
    assert_eq!(desk.system.saga(&id).await["awaiting"][0]["signal"], "go");
}
