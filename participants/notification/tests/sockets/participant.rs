//! The notification participant against a real mail server, on a real broker, on SQLite and PostgreSQL.
//!
//! Invariant under test: nobody gets two mails, what nobody can know is said so, and nothing else is.

use amends_contract::{Command, EffectId, Outcome};
use amends_notification::catcher::{Behaviour, Catcher};
use amends_tests::{Client, Cluster, eventually};
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::stage::{Stage, again};

/// A mail server and a participant that knows it.
struct World {
    catcher: Catcher,
    stage: Stage,
}

impl World {
    async fn new(database_url: Option<String>) -> Self {
        let catcher = Catcher::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let config = json!({
            "smtp": { "url": format!("smtp://{}", catcher.smtp_addr()) },
            "participant": { "call_timeout_ms": 110_000 },
        });
        Self { stage: Stage::start("notification", database_url, config).await, catcher }
    }

    fn confirmation(&self) -> Command {
        let lines = json!([{ "sku": "tea", "quantity": 2 }]);
        let data = json!({ "to": "ann@example.org", "order": "o-1", "lines": lines });
        self.stage.command("send-confirmation", data)
    }

    /// Asks and gives how the mail was delivered.
    async fn delivery(&mut self, command: &Command) -> Value {
        output(self.stage.ask(command, "succeeded").await)["delivery"].take()
    }

    async fn mails(&self, query: &str) -> Vec<Value> {
        let page = Client::new().get(&self.stage.url(&format!("/mails{query}")), &[]).await;
        page["items"].as_array().unwrap().clone()
    }

    async fn mail(&self, effect: &EffectId) -> Value {
        self.mails(&format!("?saga={}", effect.saga)).await[0].clone()
    }

    /// Kills the participant after the mail server took a mail and before anybody knows, and starts it
    /// again.
    async fn die_in_doubt(&mut self, command: &Command) {
        self.catcher.behave(Behaviour::HangAfterMessage { keep: true });
        self.stage.send(command);
        let look = async || (!self.catcher.messages().is_empty()).then_some(());
        eventually("the mail server has the mail", look, async || String::new()).await;
        self.stage.kill();
        self.catcher.behave(Behaviour::Accept);
        self.stage.resume(None).await;
    }
}

fn output(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Succeeded { output } => output.into(),
        other => panic!("{other:?}"),
    }
}

async fn sent_once_however_often_it_is_asked_for(mut world: World) {
    let command = world.confirmation();
    let first = world.stage.ask(&command, "succeeded").await;
    let second = world.stage.ask(&again(&command), "succeeded").await;
    assert_eq!(first, second);
    let messages = world.catcher.messages();
    assert_eq!(messages.len(), 1);
    let output = output(first);
    assert_eq!(
        (&output["delivery"], output["message_id"].as_str()),
        (&json!("sent"), messages[0].message_id.as_deref())
    );
    assert!(messages[0].text.contains("2 x tea"), "{}", messages[0].text);
    let mail = world.mail(&command.effect).await;
    assert_eq!(
        (&mail["status"], &mail["recipient"], &mail["order"]),
        (&json!("sent"), &json!("ann@example.org"), &json!("o-1"))
    );
    let event = world.stage.event("event.mail.sent").await;
    assert_eq!(event["message_id"], output["message_id"]);
    assert!(!event.to_string().contains("ann@"), "no address in events: {event}");

    let data = json!({ "to": "bob@example.org", "order": "o-2", "reason": "out-of-stock" });
    let rejection = world.stage.command("send-rejection", data);
    assert_eq!(world.delivery(&rejection).await, "sent");
    assert!(world.catcher.messages()[1].text.contains("out-of-stock"));
}

async fn no_doubt_about_what_was_not_taken(mut world: World) {
    for behaviour in [Behaviour::RefuseRecipients { code: 451 }, Behaviour::RefuseMessages { code: 452 }] {
        world.catcher.behave(behaviour);
        let command = world.confirmation();
        let Outcome::Failed { code, .. } = world.stage.ask(&command, "failed").await else { panic!() };
        assert_eq!(code, "smtp-refused");
        let mail = world.mail(&command.effect).await;
        assert_eq!((&mail["status"], &mail["reason"]), (&json!("queued"), &json!("smtp-refused")));
        world.catcher.behave(Behaviour::Accept);
        let before = world.catcher.messages().len();
        assert_eq!(world.delivery(&again(&command)).await, "sent");
        assert_eq!(world.catcher.messages().len(), before + 1);
        assert_eq!(world.mail(&command.effect).await["reason"], Value::Null);
    }
}

async fn a_mail_server_that_is_away_fails_the_sending_only(mut world: World) {
    let address = world.catcher.smtp_addr();
    drop(world.catcher);
    let command = world.stage.command("send-rejection", json!({ "to": "ann@example.org", "order": "o-1" }));
    let Outcome::Failed { code, .. } = world.stage.ask(&command, "failed").await else { panic!() };
    assert_eq!(code, "smtp-unreachable");
    let reach = Client::new().get(&world.stage.url("/mail-server"), &[]).await;
    assert_eq!(reach["reachable"], false);
    // The port may linger for a moment.
    let start = async || Catcher::start(address).await.ok();
    world.catcher = eventually("the mail server is back", start, async || String::new()).await;
    assert_eq!(world.delivery(&again(&command)).await, "sent");
    assert_eq!(world.catcher.messages().len(), 1);
}

async fn no_answer_after_the_end_is_reported_not_sent_again(mut world: World) {
    world.catcher.behave(Behaviour::DropAfterMessage { keep: true });
    let command = world.confirmation();
    assert_eq!(world.delivery(&command).await, "uncertain");
    world.catcher.behave(Behaviour::Accept);
    assert_eq!(world.delivery(&again(&command)).await, "uncertain");
    assert_eq!(world.catcher.messages().len(), 1);
    let listed = world.mails("?status=uncertain").await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &json!(command.effect)));
    assert_eq!(listed[0]["message_id"].as_str(), world.catcher.messages()[0].message_id.as_deref());
    let metrics = Client::new().get(&world.stage.url("/metrics"), &[]).await;
    let counted = r#"amends_mails_total{occasion="confirmation",delivery="uncertain"} 1"#;
    assert!(metrics.as_str().unwrap().contains(counted), "{metrics}");
}

async fn killed_before_the_mail_server_was_asked(mut world: World) {
    world.stage.kill();
    world.stage.resume(Some("after_commit")).await;
    let command = world.confirmation();
    world.stage.send(&command);
    world.stage.died().await;
    assert_eq!(world.catcher.messages(), []);
    world.stage.resume(None).await;
    // It was queued, and nobody had begun to send it: there is no doubt.
    let outcome = world.stage.answer(&command, "succeeded").await;
    assert_eq!(output(outcome)["delivery"], "sent");
    assert_eq!(world.catcher.messages().len(), 1);
}

async fn killed_while_sending(mut world: World) {
    let command = world.confirmation();
    world.die_in_doubt(&command).await;
    let outcome = world.stage.answer(&command, "succeeded").await;
    assert_eq!(output(outcome)["delivery"], "uncertain");
    assert_eq!(world.catcher.messages().len(), 1);
    let listed = world.mails("?status=uncertain").await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &json!(command.effect)));
}

async fn killed_while_sending_with_the_other_setting(mut world: World) {
    world.stage.kill();
    world.stage.config["on_uncertain"] = json!("resend");
    world.stage.resume(None).await;
    let command = world.confirmation();
    world.die_in_doubt(&command).await;
    let outcome = world.stage.answer(&command, "succeeded").await;
    assert_eq!(output(outcome)["delivery"], "sent");
    let messages = world.catcher.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].text, messages[1].text, "the same mail, byte for byte");
}

async fn who_cannot_be_reached_is_listed(mut world: World) {
    world.catcher.behave(Behaviour::RefuseRecipients { code: 550 });
    let refused = world.confirmation();
    let outcome = world.stage.ask(&refused, "succeeded").await;
    assert_eq!(output(outcome)["reason"], "550 no such mailbox today");
    world.catcher.behave(Behaviour::Accept);
    let nonsense = world.stage.command("send-rejection", json!({ "to": "nobody", "order": "o-2" }));
    assert_eq!(world.delivery(&nonsense).await, "undeliverable");
    let listed = world.mails("?status=undeliverable").await;
    let reasons: Vec<_> = listed.iter().map(|mail| mail["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["it is not a mail address", "550 no such mailbox today"], "newest first");
    assert_eq!(world.catcher.messages(), []);

    let unreadable = world.stage.command("send-rejection", json!({ "order": "o-3" }));
    let Outcome::Rejected { code, .. } = world.stage.ask(&unreadable, "rejected").await else { panic!() };
    assert_eq!(code, "invalid-data");
}

type Scenario = fn(World) -> LocalBoxFuture<'static, ()>;

const SCENARIOS: [(&str, Scenario); 8] = [
    ("sent_once", |world| Box::pin(sent_once_however_often_it_is_asked_for(world))),
    ("not_taken", |world| Box::pin(no_doubt_about_what_was_not_taken(world))),
    ("away", |world| Box::pin(a_mail_server_that_is_away_fails_the_sending_only(world))),
    ("no_answer", |world| Box::pin(no_answer_after_the_end_is_reported_not_sent_again(world))),
    ("killed_before", |world| Box::pin(killed_before_the_mail_server_was_asked(world))),
    ("killed_while_sending", |world| Box::pin(killed_while_sending(world))),
    ("resend", |world| Box::pin(killed_while_sending_with_the_other_setting(world))),
    ("unreachable", |world| Box::pin(who_cannot_be_reached_is_listed(world))),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    for (name, scenario) in SCENARIOS {
        eprintln!("{name}");
        scenario(World::new(None).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql() {
    let cluster = Cluster::start();
    for (name, scenario) in SCENARIOS {
        eprintln!("{name}");
        scenario(World::new(Some(cluster.create(name))).await).await;
    }
}
