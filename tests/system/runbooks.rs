//! docs/runbooks, tried: each condition is brought about on a real system, the page's own lines are run as they stand
//! there, and it has to be over afterwards.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use amends_tests::{
    Cluster, Definitions, System, Wire, amends, eventually,
    traffic::{Kind, Order, restock},
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{alone, operators::text};

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbooks");
const STEP_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../orchestrator/engine/src/step.rs");

/// The step that all of these sagas hang at.
const STEP: &str = "send-confirmation";

/// Sagas whose last command cannot be made, is too large, or breaks its schema.
const SPOILED: &str = "
saga: NAME
version: 1
steps:
  - { name: reserve, kind: pivot, call: inventory.reserve-stock, with: { lines: =input.lines } }
  - { name: send-confirmation, kind: retriable, call: notification.send-confirmation, SCHEMA
      with: { to: TO, order: =saga.id, lines: =input.lines } }
";

struct Page {
    name: String,
    text: String,
}

impl Page {
    fn named(name: &str) -> Self {
        let path = Path::new(PAGES).join(format!("{name}.md"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: name.to_owned(), text }
    }

    fn all() -> Vec<Self> {
        let mut names: Vec<String> = fs::read_dir(PAGES)
            .expect("the pages")
            .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
            .filter(|name| name != "README")
            .collect();
        names.sort();
        names.iter().map(|name| Self::named(name)).collect()
    }

    /// The lines of a block that are to be run.
    fn lines(&self, block: &str) -> String {
        let mark = format!("<!-- run: {block} -->\n```sh\n");
        let (_, rest) =
            self.text.split_once(&mark).unwrap_or_else(|| panic!("{}: no block {block}", self.name));
        rest.split_once("\n```").expect("the block ends").0.to_owned()
    }

    /// What it says that is to be seen.
    fn shown(&self) -> &str {
        let (_, rest) =
            self.text.split_once("```text\n").unwrap_or_else(|| panic!("{}: it shows nothing", self.name));
        rest.split_once("\n```").expect("the block ends").0
    }
}

/// A system with somebody who types what a page says.
struct Desk {
    system: System,
    _definitions: Definitions,
    wire: Wire,
}

impl Desk {
    async fn new(cluster: Option<&Cluster>) -> Self {
        let definitions = Definitions::of(&["order.v1"]);
        let call = "call: notification.send-confirmation";
        definitions.derive(
            "order.v1.yaml",
            "order.v1.yaml",
            &[(call, &format!("{call}\n    pending_max: 1s"))],
        );
        for (name, to, schema) in [
            ("expression", "=input.nothing", ""),
            ("too_large", "=input.essay + input.essay + input.essay", ""),
            ("schema", "=input.to", "schemas: { command: schemas/narrow.json },"),
        ] {
            let saga = name.replace('_', "-");
            let text =
                SPOILED.replace("NAME", &saga).replace("TO", &format!("\"{to}\"")).replace("SCHEMA", schema);
            definitions.write(&format!("{saga}.v1.yaml"), &text);
        }
        let narrow = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": { "to": { "pattern": "@" } },
        });
        definitions.write("schemas/narrow.json", &narrow.to_string());
        let system = System::start_on(&definitions, cluster).await;
        restock(&system).await;
        let bin = system.folder().join("bin");
        fs::create_dir_all(&bin).expect("a folder can be made");
        symlink(amends(), bin.join("amends")).expect("a link can be made");
        let wire = Wire::connect(&system.broker.url());
        Self { system, _definitions: definitions, wire }
    }

    /// Types lines of a page.
    fn run(&self, lines: &str, variables: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.bin().display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-euc", lines]).current_dir(self.system.folder()).env("PATH", path);
        command.envs(self.system.env().iter().cloned()).envs(variables.iter().copied());
        command.env("AMENDS_ADMIN_URL", self.system.admin("")).env("AMENDS_API_KEY", self.key());
        command.output().expect("sh runs")
    }

    fn bin(&self) -> PathBuf {
        self.system.folder().join("bin")
    }

    fn key(&self) -> String {
        self.system.authorization().trim_start_matches("Bearer ").to_owned()
    }

    /// Runs a page's block, which has to work; what it says.
    fn done(&self, page: &Page, block: &str, variables: &[(&str, &str)]) -> String {
        let lines = page.lines(block);
        let output = self.run(&lines, variables);
        assert!(output.status.success(), "{}: {lines}\n{}", page.name, text(&output));
        text(&output)
    }

    async fn order(&self, number: u64) -> String {
        let placed =
            self.system.door().order(&number.to_string(), &Order::new(Kind::Good, number, 1).body()).await;
        placed.expect("an answer").ok()["id"].as_str().expect("an id").to_owned()
    }

    /// Says something in notification's name.
    fn forge(&mut self, saga: &str, data: &Value) {
        let effect = format!("{saga}/{STEP}/do/1");
        let reply = json!({
            "specversion": "1.0", "id": format!("{effect}/1/reply"), "source": "notification", "type": "reply.notification",
            "time": "2026-11-21T08:02:49.123Z", "datacontenttype": "application/json", "sagaid": saga, "sagastep": STEP,
            "sagadefinition": "order.v1", "effectid": effect, "sendno": "1", "data": data,
        });
        self.wire.publish("amends.reply.notification", reply.to_string().as_bytes());
    }

    async fn status_is(&self, saga: &str, status: &str) {
        let look = async || (self.system.saga(saga).await["status"] == status).then_some(());
        eventually(&format!("{saga} is {status}"), look, async || self.system.dump().await).await;
    }

    /// Waits until a page's line is seen when this is run.
    async fn seen(&self, page: &Page, block: &str) -> String {
        let look = async || {
            let said = text(&self.run(&page.lines(block), &[]));
            said.contains(page.shown()).then_some(said)
        };
        eventually(&format!("{}: {}", page.name, page.shown()), look, async || {
            text(&self.run(&page.lines(block), &[]))
        })
        .await
    }

    /// Waits until it is not any more.
    async fn gone(&self, page: &Page) {
        let look = async || (!text(&self.run(&page.lines("over"), &[])).contains(page.shown())).then_some(());
        eventually(&format!("{} is over", page.name), look, async || {
            text(&self.run(&page.lines("over"), &[]))
        })
        .await;
    }
}

#[test]
fn every_parked_reason_has_its_page_and_every_page_its_parts_and_its_place_in_the_index() {
    let source = fs::read_to_string(STEP_SOURCE).expect("the engine's source");
    let (_, names) = source.split_once("impl StuckWhy {").expect("the reasons");
    let (names, _) = names.split_once("\n}").expect("the end of it");
    let reasons: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    assert!(reasons.len() >= 10 && reasons.contains("pending_max"), "{reasons:?}");
    let index = fs::read_to_string(Path::new(PAGES).join("README.md")).expect("the index");
    for reason in reasons {
        let page = Page::named(&format!("parked-{}", reason.replace('_', "-")));
        assert!(page.shown().contains(&format!("stuck: {reason}")), "{}: {}", page.name, page.shown());
        assert!(index.contains(&format!("| `{reason}` |")), "{reason}");
    }
    for page in Page::all() {
        for part in ["How it shows", "What it means", "Check", "Do", "Do not", "It is over when"] {
            assert!(page.text.contains(&format!("\n## {part}\n")), "{}: {part}", page.name);
        }
        assert!(index.contains(&format!("({}.md)", page.name)), "{} is not in the index", page.name);
    }
}

#[tokio::test]
async fn what_a_participants_word_has_parked_goes_on_by_the_lines_of_its_page() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    // Alive to the broker, and silent: the test answers in its place.
    desk.system.process("notification").signal(Signal::STOP);
    let replies = [
        ("pending-max", json!({ "outcome": "pending" })),
        ("conflict", json!({ "outcome": "conflict" })),
        ("expired", json!({ "outcome": "expired" })),
        (
            "rejected",
            json!({ "outcome": "rejected", "code": "no-such-address", "message": "nobody lives there" }),
        ),
        ("cancelled", json!({ "outcome": "cancelled" })),
        ("reply", json!({ "outcome": "undone" })),
    ];
    let mut parked = Vec::new();
    for (number, (name, reply)) in (0..).zip(replies) {
        let saga = desk.order(number).await;
        desk.system.step_is(&saga, STEP, "sent").await;
        desk.forge(&saga, &reply);
        desk.system.step_is(&saga, STEP, "stuck").await;
        parked.push((Page::named(&format!("parked-{name}")), saga));
    }
    for (page, saga) in &parked {
        let said = desk.done(page, "check", &[("SAGA", saga)]);
        assert!(said.contains(page.shown()), "{}: {said}", page.name);
        data(&desk, saga);
        desk.done(page, "do", &[("SAGA", saga)]);
    }
    desk.system.process("notification").signal(Signal::CONT);
    for (page, saga) in &parked {
        desk.status_is(saga, "completed").await;
        let said = desk.done(page, "over", &[("SAGA", saga)]);
        assert!(!said.contains("hangs"), "{}: {said}", page.name);
    }
}

/// What a person would write into `data.json`.
fn data(desk: &Desk, saga: &str) {
    let lines =
        json!([{ "sku": "TEA-1", "quantity": 1, "unit_price": { "amount": 499, "currency": "EUR" } }]);
    let data = json!({ "to": "ada@example.org", "order": saga, "lines": lines });
    fs::write(desk.system.folder().join("data.json"), data.to_string()).expect("a file can be written");
}

#[tokio::test]
async fn commands_that_cannot_be_sent_are_given_by_hand() {
    let _turn = alone().await;
    let desk = Desk::new(None).await;
    let lines =
        json!([{ "sku": "TEA-1", "quantity": 1, "unit_price": { "amount": 499, "currency": "EUR" } }]);
    let input = json!({ "lines": lines, "essay": "x".repeat(200_000), "to": "nowhere" });
    fs::write(desk.system.folder().join("input.json"), input.to_string()).expect("a file can be written");
    for name in ["expression", "too-large", "schema"] {
        let page = Page::named(&format!("parked-{name}"));
        let started = desk.run(&format!("amends saga start {name} --input input.json"), &[]);
        assert!(started.status.success(), "{}", text(&started));
        let saga = String::from_utf8_lossy(&started.stdout).trim().to_owned();
        desk.system.step_is(&saga, STEP, "stuck").await;
        let said = desk.done(&page, "check", &[("SAGA", &saga)]);
        assert!(said.contains(page.shown()), "{}: {said}", page.name);
        data(&desk, &saga);
        desk.done(&page, "do", &[("SAGA", &saga)]);
        desk.status_is(&saga, "completed").await;
        assert!(!desk.done(&page, "over", &[("SAGA", &saga)]).contains("hangs"));
    }
}

#[tokio::test]
async fn what_was_settled_by_hand_is_undone_by_hand() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("parked-by-hand");
    desk.system.kill("inventory");
    let saga = desk.order(1).await;
    desk.system.step_is(&saga, "reserve-stock", "sent").await;
    // The command is lost, and somebody says that he did it himself.
    desk.wire.api("STREAM.PURGE.AMENDS_CMD", &json!({}));
    fs::write(desk.system.folder().join("output.json"), r#"{"reservation_id":"by-hand"}"#).expect("a file");
    let settled = desk.run(
        "amends saga settle \"$SAGA\" --step reserve-stock --effect do --output output.json --reason 'put aside by hand'",
        &[("SAGA", &saga)],
    );
    assert!(settled.status.success(), "{}", text(&settled));
    desk.system.start_service("inventory");
    desk.system.ready("inventory").await;
    // Nobody knows that reservation: the saga turns, and its first step can be undone by nobody.
    desk.status_is(&saga, "parked").await;
    let said = desk.done(&page, "check", &[("SAGA", &saga)]);
    assert!(said.contains(page.shown()), "{said}");
    desk.done(&page, "do", &[("SAGA", &saga)]);
    desk.status_is(&saga, "compensated").await;
    assert!(!desk.done(&page, "over", &[("SAGA", &saga)]).contains("hangs"));
}

#[tokio::test]
async fn outages_and_dead_letters_are_handled_by_the_lines_of_their_pages() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;

    let away = Page::named("participant-away");
    desk.system.kill("inventory");
    let saga = desk.order(1).await;
    desk.seen(&away, "check").await;
    desk.system.start_service("inventory");
    desk.gone(&away).await;
    desk.status_is(&saga, "completed").await;

    let letters = Page::named("dead-letters");
    desk.wire.publish("amends.cmd.inventory.reserve-stock", b"nobody can read this");
    let look = async || {
        let said = text(&desk.run(&letters.lines("show"), &[]));
        said.contains("not-json").then(|| said.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let letter = eventually("a letter is listed", look, async || desk.system.dump().await).await;
    assert!(desk.done(&letters, "check", &[("LETTER", &letter)]).contains("nobody can read this"));
    desk.done(&letters, "do", &[("LETTER", &letter)]);
    let open = desk.done(&letters, "over", &[]);
    assert!(!open.lines().any(|line| line.split_whitespace().next() == Some(letter.as_str())), "{open}");

    let broker = Page::named("broker-lost");
    desk.system.broker.kill_and_wipe();
    let saga = desk.order(2).await;
    desk.seen(&broker, "check").await;
    desk.system.broker.start_again();
    desk.gone(&broker).await;
    desk.status_is(&saga, "completed").await;

    // What the others ask for can be typed.
    for page in Page::all().iter().filter(|page| page.text.contains("<!-- run: check -->")) {
        let variables = [("SAGA", saga.as_str()), ("LETTER", letter.as_str())];
        desk.done(page, "check", &variables);
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_named_and_found_again() {
    let _turn = alone().await;
    let mut cluster = Cluster::start();
    let desk = Desk::new(Some(&cluster)).await;
    let page = Page::named("database-lost");
    cluster.process().kill();
    desk.seen(&page, "check").await;
    cluster.start_again();
    desk.gone(&page).await;
    let saga = desk.order(1).await;
    desk.status_is(&saga, "completed").await;
}

#[tokio::test]
async fn a_saga_that_has_used_up_its_attempts_is_listed_and_goes_on_when_asked() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("needs-attention");
    desk.system.kill("mail-catcher");
    let saga = desk.order(1).await;
    let listed = async |desk: &Desk| text(&desk.run(&page.lines("check"), &[])).contains(&saga);
    let look = async || listed(&desk).await.then_some(());
    eventually("it is listed", look, async || desk.system.dump().await).await;
    desk.system.start_service("mail-catcher");
    desk.system.ready("mail-catcher").await;
    desk.done(&page, "do", &[("SAGA", &saga)]);
    desk.status_is(&saga, "completed").await;
    assert!(!listed(&desk).await, "it has ended");
}

#[tokio::test]
async fn a_participant_that_was_restored_is_found_out_before_it_starts() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("database-restored");
    let database =
        desk.system.setting("AMENDS_PAYMENT__DATABASE__URL").trim_start_matches("sqlite://").to_owned();
    let files: Vec<String> = ["", "-wal", "-shm"].iter().map(|end| format!("{database}{end}")).collect();
    let backup = |file: &str| format!("{file}.backup");
    desk.system.kill("payment");
    for file in files.iter().filter(|file| Path::new(file).exists()) {
        fs::copy(file, backup(file)).expect("a file can be copied");
    }
    desk.system.start_service("payment");
    desk.system.ready("payment").await;
    let saga = desk.order(1).await;
    desk.status_is(&saga, "completed").await;
    assert!(!desk.done(&page, "check", &[]).contains(&saga), "its books agree");
    desk.system.kill("payment");
    for file in &files {
        let _ = fs::remove_file(file);
        if Path::new(&backup(file)).exists() {
            fs::copy(backup(file), file).expect("a file can be copied");
        }
    }
    let said = desk.done(&page, "check", &[]);
    assert!(said.contains("I10") && said.contains(&saga), "{said}");
}
