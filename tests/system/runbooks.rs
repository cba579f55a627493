//! docs/runbooks, tried: each condition is brought about on a real system, the page's own lines are run as they stand
//! there, and it has to be over afterwards.
//!
//! Invariant: a page is believed for what its lines show, never for what it says about itself.

mod books;
mod machine;
mod mail_server;
mod outages;
mod parked;
mod upkeep;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use amends_tests::{
    Answer, Cluster, Definitions, System, Wire, amends,
    audit::deals_settled,
    books::balanced,
    eventually,
    traffic::{Kind, Order, restock},
};
use serde_json::{Value, json};

use crate::operators::text;

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
    definitions: Definitions,
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
        Self::on(&definitions, cluster).await
    }

    /// Beside a system with definitions of the test's own.
    async fn on(definitions: &Definitions, cluster: Option<&Cluster>) -> Self {
        Self::beside(System::start_on(definitions, cluster).await, definitions.clone()).await
    }

    async fn beside(system: System, definitions: Definitions) -> Self {
        restock(&system).await;
        let bin = system.folder().join("bin");
        fs::create_dir_all(&bin).expect("a folder can be made");
        symlink(amends(), bin.join("amends")).expect("a link can be made");
        let wire = Wire::connect(&system.broker.url());
        Self { system, definitions, wire }
    }

    /// Starts a service again, with settings of its own.
    async fn restart(&mut self, service: &str, settings: &[(&str, &str)]) {
        for (name, value) in settings {
            self.system.set_for(service, name, Some(value));
        }
        self.system.kill(service);
        self.system.start_service(service);
        self.system.ready(service).await;
    }

    /// Types lines of a page.
    fn run(&self, lines: &str, variables: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.bin().display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-euc", lines]).current_dir(self.system.folder()).env("PATH", path);
        command.envs(self.system.env().iter().cloned()).envs(variables.iter().copied());
        command.env("AMENDS_ADMIN_URL", self.system.admin("")).env("AMENDS_API_KEY", self.key());
        command.env("NOTIFICATION_URL", self.system.url("notification", ""));
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

    async fn place(&self, number: u64) -> Answer {
        let placed =
            self.system.door().order(&number.to_string(), &Order::new(Kind::Good, number, 1).body()).await;
        placed.expect("an answer")
    }

    async fn order(&self, number: u64) -> String {
        self.place(number).await.ok()["id"].as_str().expect("an id").to_owned()
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
        self.says(page, block, (&[], &[page.shown()])).await
    }

    /// Waits until lines of a page, run now, say all of this.
    async fn says(&self, page: &Page, block: &str, (variables, parts): (&[(&str, &str)], &[&str])) -> String {
        let say = || text(&self.run(&page.lines(block), variables));
        let look = async || Some(say()).filter(|said| parts.iter().all(|part| said.contains(part)));
        eventually(&format!("{}: {block} says {parts:?}", page.name), look, async || say()).await
    }

    /// Every saga has ended, and all books agree.
    async fn is_well(&self) {
        deals_settled(&self.system, &[]).await;
        balanced(&self.system).await;
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
