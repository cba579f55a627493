//! More is asked for than is done: nobody new is let in, with a word when to come back, and whoever was accepted is
//! served. An outage keeps nobody out.

use amends_tests::{
    Answer, Cluster, Dice, System, Wire,
    audit::{audit, settled},
    eventually_with_progress,
    traffic::{Kind, Order, Submission, mixed, restock},
};
use rustix::process::Signal;
use serde_json::json;

use crate::alone;

/// So many sagas may move in these tests.
const MOVING_MAX: usize = 20;

/// A system whose orchestrator lets few in.
async fn narrow(cluster: Option<&Cluster>) -> System {
    let mut system = System::start_without(cluster, &["orchestrator"]).await;
    let set = |system: &mut System, name: &str, value: &str| {
        let name = format!("AMENDS_ORCHESTRATOR__LOOPS__{name}");
        system.set_for("orchestrator", &name, Some(value));
    };
    set(&mut system, "MOVING_MAX", &MOVING_MAX.to_string());
    set(&mut system, "READER_ABSENT_MS", "500");
    system.start_service("orchestrator");
    system.ready("orchestrator").await;
    restock(&system).await;
    system
}

fn is_refused(answer: &Answer) {
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("overloaded")), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let seconds: u32 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!(seconds >= 1, "{answer:?}");
}

/// Places orders, one after the other, until one is refused; gives those that were accepted, with their answers, and
/// the refusal.
async fn until_refused(system: &System, numbers: std::ops::Range<u64>) -> (Vec<(Order, Answer)>, Answer) {
    let (door, mut accepted) = (system.door(), Vec::new());
    for number in numbers {
        let mut order = Order::new(Kind::Good, number, 1);
        let answer = door.order(&order.email, &order.body()).await.expect("the orchestrator answers");
        if answer.status != 202 {
            return (accepted, answer);
        }
        order.id = answer.body["id"].as_str().expect("an accepted order has an id").to_owned();
        accepted.push((order, answer));
    }
    panic!("nobody was refused, with {} orders that do not move on", accepted.len());
}

async fn beyond_the_limit_nobody_is_let_in_and_all_who_were_settle(cluster: Option<&Cluster>) {
    let _turn = alone().await;
    let mut system = narrow(cluster).await;
    // It does nothing any more, and nobody knows yet.
    system.process("inventory").signal(Signal::STOP);
    let (accepted, refused) = until_refused(&system, 0..500).await;
    is_refused(&refused);
    assert!((MOVING_MAX / 2..MOVING_MAX * 2).contains(&accepted.len()), "{}", accepted.len());

    let door = system.door();
    for (order, first) in &accepted {
        let again = door.order(&order.email, &order.body()).await.expect("the orchestrator answers");
        assert_eq!((again.status, &again.body), (202, &first.body));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    let saga = json!({ "definition": "order", "input": {} });
    let order = Order::new(Kind::Good, 900, 1);
    is_refused(&door.order(&order.email, &order.body()).await.expect("the orchestrator answers"));
    assert_eq!(door.saga("wrong", &saga).await.expect("an answer").status, 400, "what is wrong stays wrong");
    let mut wire = Wire::connect(&system.broker.url());
    let mut input = order.body();
    input["total"] = json!({ "amount": 850, "currency": "EUR" });
    let body = json!({ "definition": "order", "idempotency_key": "wire", "input": input }).to_string();
    assert_eq!(wire.request("amends.svc.saga.start", body.as_bytes())["code"], "overloaded");
    for header in ["Nats-Service-Error-Code: 503", "Retry-After: "] {
        assert!(wire.headers().contains(header), "{header}: {}", wire.headers());
    }
    system.ready("orchestrator").await;
    let url = system.admin("/metrics");
    let metrics = system.client.send("GET", &url, &[], None).await.expect("metrics").body.to_string();
    assert!(metrics.contains(r#"amends_starts_refused_total{reason=\"moving\"}"#), "{metrics}");

    system.process("inventory").signal(Signal::CONT);
    let mut orders: Vec<Order> = accepted.into_iter().map(|(order, _)| order).collect();
    // The door opens by itself.
    orders.extend(Submission::start(&system, vec![Order::new(Kind::Good, 901, 1)]).all().await);
    settled(&system, &orders).await;
    audit(&system, &orders).await;
}

#[tokio::test]
async fn at_overload_on_sqlite_whoever_was_let_in_settles() {
    beyond_the_limit_nobody_is_let_in_and_all_who_were_settle(None).await;
}

#[tokio::test]
async fn at_overload_on_postgres_whoever_was_let_in_settles() {
    let cluster = Cluster::start();
    beyond_the_limit_nobody_is_let_in_and_all_who_were_settle(Some(&cluster)).await;
}

#[tokio::test]
async fn an_outage_keeps_nobody_out() {
    let _turn = alone().await;
    let mut system = narrow(None).await;
    system.kill("inventory");
    let count = MOVING_MAX * 3;
    let submission = Submission::start(&system, mixed(count as u64, &mut Dice::new("overload")));
    eventually_with_progress(
        "all orders are accepted",
        async || {
            let accepted = submission.accepted();
            ((accepted == count).then_some(()), accepted)
        },
        async || system.dump().await,
    )
    .await;
    let orders = submission.all().await;
    system.start_service("inventory");
    system.ready("inventory").await;
    settled(&system, &orders).await;
    audit(&system, &orders).await;
}
