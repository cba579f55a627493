//! The payment participant against the real provider, on a real broker, on SQLite and PostgreSQL.
//!
//! Invariant under test: whatever is killed, the provider's books have one charge per effect and at most
//! one whole refund, never more given back than taken, and the saga learns what really happened.

use amends_contract::{Address, Command, Direction, EffectId, Json, Outcome};
use amends_tests::{Client, Cluster, eventually};
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::server::Server;
use crate::stage::{Stage, again};

/// A provider and a participant that calls it.
struct World {
    provider: Server,
    stage: Stage,
}

impl World {
    async fn new(database_url: Option<String>) -> Self {
        let provider = Server::start().await;
        let config = json!({ "gateway": { "url": provider.url(), "timeout_ms": 700 } });
        Self { stage: Stage::start("payment", database_url, config).await, provider }
    }

    fn charge(&self, token: &str) -> Command {
        let data = json!({
            "amount": { "amount": 1_999, "currency": "EUR" }, "customer": "c-1", "token": token,
        });
        self.stage.command("charge-payment", data)
    }

    /// What the provider's books say of a charge: captured, refunded, and how many refunds.
    async fn books(&self, charge: &Command) -> (i64, i64, usize) {
        let books = self.provider.books().await;
        let key = json!(charge.effect);
        let keys = books["keys"]["items"].as_array().unwrap();
        let refunds = self.provider.list("refunds").await;
        let refunds = refunds.iter().filter(|refund| refund["charge_key"] == key).count();
        match keys.iter().find(|item| item["key"] == key) {
            Some(item) => (item["captured"].as_i64().unwrap(), item["refunded"].as_i64().unwrap(), refunds),
            None => (0, 0, refunds),
        }
    }

    /// Waits until the provider has taken the money.
    async fn captured(&self, charge: &Command) {
        let look = async || (self.books(charge).await.0 > 0).then_some(());
        eventually("the provider has captured", look, async || String::new()).await;
    }

    async fn payment(&self, charge: &Command) -> Value {
        let url = self.stage.url(&format!("/payments/{}", charge.effect.saga));
        Client::new().get(&url, &[]).await[0].take()
    }

    /// The refund of a part of an order's money, by a saga of its own.
    fn part(&self, charge: &Command, amount: i64) -> Command {
        let data = json!({
            "order": charge.effect.saga, "customer": "c-1", "amount": { "amount": amount, "currency": "EUR" },
        });
        self.stage.command("refund-order", data)
    }

    /// The code of a rejection.
    async fn refused(&mut self, command: Command) -> String {
        match self.stage.ask(&command, "rejected").await {
            Outcome::Rejected { code, .. } => code,
            other => panic!("{other:?}"),
        }
    }

    async fn refunds(&self, charge: &Command) -> Value {
        let url = self.stage.url(&format!("/payments/{}/refunds", charge.effect.saga));
        Client::new().get(&url, &[]).await
    }

    async fn payments(&self, query: &str) -> Value {
        Client::new().get(&self.stage.url(&format!("/payments{query}")), &[]).await
    }
}

/// The undo of a charge.
fn undo(action: &Command) -> Command {
    Command {
        effect: EffectId { direction: Direction::Backward, ..action.effect.clone() },
        send_no: 1,
        address: Address::new("payment", "refund-payment").unwrap(),
        undoes: Some(action.effect.clone()),
        ..action.clone()
    }
}

async fn charged_then_refunded(mut world: World) {
    let charge = world.charge("tok_visa");
    let Outcome::Succeeded { output } = world.stage.ask(&charge, "succeeded").await else { panic!() };
    let first = world.stage.answers(&charge.effect);
    world.stage.ask(&again(&charge), "succeeded").await;
    assert_eq!(world.books(&charge).await, (1_999, 0, 0));
    let event = world.stage.event("event.payment.charged").await;
    assert_eq!((&event["charge_id"], &event["amount"]["amount"]), (&output["charge_id"], &json!(1_999)));
    let payment = world.payment(&charge).await;
    assert_eq!((&payment["status"], &payment["charge_id"]), (&json!("charged"), &output["charge_id"]));
    assert_eq!(first, [Outcome::Succeeded { output }]);

    let refund = undo(&charge);
    let Outcome::Undone { output } = world.stage.ask(&refund, "undone").await else { panic!() };
    let second = world.stage.ask(&again(&refund), "undone").await;
    assert_eq!(second, Outcome::Undone { output: output.clone() });
    assert_eq!(world.books(&charge).await, (1_999, 1_999, 1));
    assert_eq!(world.stage.event("event.payment.refunded").await["refund_id"], output["refund_id"]);
    let payment = world.payment(&charge).await;
    assert_eq!((&payment["status"], &payment["refund_id"]), (&json!("refunded"), &output["refund_id"]));
}

async fn killed_between_intent_and_call(mut world: World) {
    world.stage.kill();
    world.stage.resume(Some("after_commit")).await;
    let charge = world.charge("tok_visa");
    world.stage.send(&charge);
    world.stage.died().await;
    assert_eq!(world.books(&charge).await, (0, 0, 0), "it died before the call");
    world.stage.resume(None).await;
    world.stage.answer(&charge, "succeeded").await;
    assert_eq!(world.books(&charge).await, (1_999, 0, 0));
}

async fn killed_between_call_and_outcome(mut world: World) {
    world.provider.switch(json!({ "timeout_after_charge": true })).await;
    let charge = world.charge("tok_visa");
    world.stage.send(&charge);
    world.captured(&charge).await;
    world.stage.kill();
    world.provider.switch(json!({})).await;
    world.stage.resume(None).await;
    world.stage.answer(&charge, "succeeded").await;
    assert_eq!(world.provider.list("charges").await.len(), 1);
}

async fn a_hang_is_pending_then_found_out(mut world: World) {
    let charge = world.charge("tok_timeout");
    world.stage.ask(&charge, "pending").await;
    world.stage.answer(&charge, "succeeded").await;
    assert_eq!(world.books(&charge).await, (1_999, 0, 0));
}

async fn undone_while_open(mut world: World) {
    world.provider.switch(json!({ "timeout_after_charge": true })).await;
    let charge = world.charge("tok_visa");
    world.stage.send(&charge);
    world.captured(&charge).await;
    // Down: the open charge cannot be found out about yet.
    world.provider.switch(json!({ "down": true })).await;
    let refund = undo(&charge);
    world.stage.ask(&refund, "pending").await;
    assert_eq!(
        world.books(&charge).await,
        (1_999, 0, 0),
        "nothing is refunded before it is known to be taken"
    );
    world.provider.switch(json!({})).await;
    world.stage.ask(&again(&refund), "undone").await;
    world.stage.ask(&again(&charge), "succeeded").await;
    assert_eq!(world.books(&charge).await, (1_999, 1_999, 1));
}

async fn a_hanging_refund_is_made_once(mut world: World) {
    let charge = world.charge("tok_visa");
    world.stage.ask(&charge, "succeeded").await;
    world.provider.switch(json!({ "timeout_after_refund": true })).await;
    let refund = undo(&charge);
    world.stage.send(&refund);
    let look = async || (world.books(&charge).await.2 > 0).then_some(());
    eventually("the provider has refunded", look, async || String::new()).await;
    world.stage.kill();
    world.stage.resume(None).await;
    world.stage.answer(&refund, "undone").await;
    assert_eq!(world.books(&charge).await, (1_999, 1_999, 1));
}

async fn a_refusal_is_final_and_needs_no_undo(mut world: World) {
    let charge = world.charge("tok_declined");
    let Outcome::Rejected { code, .. } = world.stage.ask(&charge, "rejected").await else { panic!() };
    assert_eq!(code, "card-declined");
    world.stage.ask(&undo(&charge), "nothing_to_undo").await;
    assert_eq!(world.books(&charge).await, (0, 0, 0));
    let listed = world.payments("?status=declined").await;
    assert_eq!(listed["items"][0]["code"], "card-declined");

    world.provider.switch(json!({ "store_500": true })).await;
    let charge = world.charge("tok_visa");
    let Outcome::Rejected { code, .. } = world.stage.ask(&charge, "rejected").await else { panic!() };
    assert_eq!(code, "processing-error");

    let charge = world.stage.command("charge-payment", json!({ "amount": "much" }));
    let Outcome::Rejected { code, .. } = world.stage.ask(&charge, "rejected").await else { panic!() };
    assert_eq!(code, "invalid-data");
}

async fn a_provider_that_is_away_fails_the_sending_only(mut world: World) {
    world.provider.stop().await;
    let charge = world.charge("tok_visa");
    let Outcome::Failed { code, .. } = world.stage.ask(&charge, "failed").await else { panic!() };
    assert_eq!(code, "provider-unreachable");
    assert_eq!(world.payment(&charge).await["status"], "not-made");
    world.provider.restart().await;
    world.stage.ask(&again(&charge), "succeeded").await;
    let payment = world.payment(&charge).await;
    assert_eq!((&payment["status"], &payment["code"]), (&json!("charged"), &Value::Null));
    assert_eq!(world.books(&charge).await, (1_999, 0, 0));
}

async fn parts_of_an_order_are_given_back(mut world: World) {
    let charge = world.charge("tok_visa");
    world.stage.ask(&charge, "succeeded").await;
    let first = world.part(&charge, 1_500);
    let Outcome::Succeeded { output } = world.stage.ask(&first, "succeeded").await else { panic!() };
    world.stage.ask(&again(&first), "succeeded").await;
    assert_eq!(world.books(&charge).await, (1_999, 1_500, 1));
    let event = world.stage.event("event.payment.refunded").await;
    assert_eq!((&event["refund_id"], &event["amount"]["amount"]), (&output["refund_id"], &json!(1_500)));

    assert_eq!(world.refused(world.part(&charge, 500)).await, "more-than-paid");
    world.stage.ask(&world.part(&charge, 499), "succeeded").await;
    assert_eq!(world.books(&charge).await, (1_999, 1_999, 2));
    assert_eq!(world.refused(world.part(&charge, 1)).await, "already-refunded");
    let listed = world.refunds(&charge).await;
    assert_eq!((&listed[0]["status"], &listed[1]["amount"]["amount"]), (&json!("refunded"), &json!(499)));
    // Nothing is left for the undo of the charge: that is as good as done.
    world.stage.ask(&undo(&charge), "undone").await;
    assert_eq!(world.books(&charge).await, (1_999, 1_999, 2));
}

async fn what_was_not_taken_is_not_given_back(mut world: World) {
    let never = world.charge("tok_visa");
    assert_eq!(world.refused(world.part(&never, 1)).await, "unknown-order");
    let declined = world.charge("tok_declined");
    world.stage.ask(&declined, "rejected").await;
    assert_eq!(world.refused(world.part(&declined, 1)).await, "not-captured");
    let undone = world.charge("tok_visa");
    world.stage.ask(&undone, "succeeded").await;
    world.stage.ask(&undo(&undone), "undone").await;
    assert_eq!(world.refused(world.part(&undone, 1)).await, "already-refunded");
    let charge = world.charge("tok_visa");
    world.stage.ask(&charge, "succeeded").await;
    let mut stranger = world.part(&charge, 1);
    stranger.data = with(stranger.data, "/customer", json!("c-2"));
    assert_eq!(world.refused(stranger).await, "other-customer");
    let mut yen = world.part(&charge, 1);
    yen.data = with(yen.data, "/amount/currency", json!("JPY"));
    assert_eq!(world.refused(yen).await, "other-currency");
    assert_eq!(world.books(&charge).await, (1_999, 0, 0));

    world.provider.stop().await;
    let part = world.part(&charge, 1_999);
    let Outcome::Failed { code, .. } = world.stage.ask(&part, "failed").await else { panic!() };
    assert_eq!(code, "provider-unreachable");
    assert_eq!(world.refunds(&charge).await[0]["status"], "not-made");
    world.provider.restart().await;
    world.stage.ask(&again(&part), "succeeded").await;
    assert_eq!(world.books(&charge).await, (1_999, 1_999, 1));
}

async fn a_hanging_part_is_given_back_once(mut world: World) {
    let charge = world.charge("tok_visa");
    world.stage.ask(&charge, "succeeded").await;
    world.provider.switch(json!({ "timeout_after_refund": true })).await;
    let part = world.part(&charge, 1_000);
    world.stage.send(&part);
    let look = async || (world.books(&charge).await.2 > 0).then_some(());
    eventually("the provider has refunded", look, async || String::new()).await;
    // Nobody knows yet, and it counts: no second return gets the same money.
    assert_eq!(world.refused(world.part(&charge, 1_000)).await, "more-than-paid");
    world.stage.kill();
    world.provider.switch(json!({})).await;
    world.stage.resume(None).await;
    world.stage.answer(&part, "succeeded").await;
    assert_eq!(world.books(&charge).await, (1_999, 1_000, 1));
}

async fn returns_at_once_share_what_was_taken(mut world: World) {
    let charge = world.charge("tok_visa");
    world.stage.ask(&charge, "succeeded").await;
    let parts: Vec<_> = (0..6).map(|_| world.part(&charge, 600)).collect();
    for part in &parts {
        world.stage.send(part);
    }
    let mut done = 0;
    for part in &parts {
        let effect = part.effect.clone();
        let mut look = async || world.stage.answers(&effect).into_iter().find(Outcome::is_final);
        let outcome = eventually("a part is settled", &mut look, async || String::new()).await;
        done += usize::from(matches!(outcome, Outcome::Succeeded { .. }));
    }
    assert_eq!(done, 3);
    assert_eq!(world.books(&charge).await, (1_999, 1_800, 3));
}

async fn lists_go_page_by_page(mut world: World) {
    let mut sagas = Vec::new();
    for _ in 0..3 {
        let charge = world.charge("tok_visa");
        world.stage.ask(&charge, "succeeded").await;
        sagas.insert(0, charge.effect.saga.to_string());
    }
    let first = world.payments("?limit=2&customer=c-1").await;
    let rest = world.payments(&format!("?limit=2&cursor={}", first["next"].as_str().unwrap())).await;
    let items = first["items"].as_array().unwrap().iter().chain(rest["items"].as_array().unwrap());
    assert_eq!(items.map(|item| item["saga"].as_str().unwrap()).collect::<Vec<_>>(), sagas, "newest first");
    assert_eq!(rest["next"], Value::Null);

    let client = Client::new();
    let status =
        async |path: &str| client.send("GET", &world.stage.url(path), &[], None).await.unwrap().status;
    assert_eq!(status("/payments?colour=red").await, 400);
    assert_eq!(status("/payments?cursor=nonsense").await, 400);
    assert_eq!(status("/payments/0193f6a0-0000-7000-8000-000000000001").await, 404);
    assert_eq!(status("/payments/nonsense").await, 400);
    assert_eq!(status("/readyz").await, 200);
    assert_eq!(client.get(&world.stage.url("/provider"), &[]).await["reachable"], true);
}

type Scenario = fn(World) -> LocalBoxFuture<'static, ()>;

const SCENARIOS: [(&str, Scenario); 13] = [
    ("charged_then_refunded", |world| Box::pin(charged_then_refunded(world))),
    ("killed_between_intent_and_call", |world| Box::pin(killed_between_intent_and_call(world))),
    ("killed_between_call_and_outcome", |world| Box::pin(killed_between_call_and_outcome(world))),
    ("a_hang_is_pending_then_found_out", |world| Box::pin(a_hang_is_pending_then_found_out(world))),
    ("undone_while_open", |world| Box::pin(undone_while_open(world))),
    ("a_hanging_refund_is_made_once", |world| Box::pin(a_hanging_refund_is_made_once(world))),
    ("a_refusal_is_final_and_needs_no_undo", |world| Box::pin(a_refusal_is_final_and_needs_no_undo(world))),
    ("a_provider_that_is_away_fails_the_sending_only", |world| {
        Box::pin(a_provider_that_is_away_fails_the_sending_only(world))
    }),
    ("parts_of_an_order_are_given_back", |world| Box::pin(parts_of_an_order_are_given_back(world))),
    ("what_was_not_taken_is_not_given_back", |world| Box::pin(what_was_not_taken_is_not_given_back(world))),
    ("a_hanging_part_is_given_back_once", |world| Box::pin(a_hanging_part_is_given_back_once(world))),
    ("returns_at_once_share_what_was_taken", |world| Box::pin(returns_at_once_share_what_was_taken(world))),
    ("lists_go_page_by_page", |world| Box::pin(lists_go_page_by_page(world))),
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

/// The same data with another value at one place.
fn with(data: Json, pointer: &str, value: Value) -> Json {
    let mut data = data.into_value();
    *data.pointer_mut(pointer).expect("there is such a place") = value;
    data.into()
}
