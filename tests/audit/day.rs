//! A day of a shop, on real services, in which everything happens that the auditor has to know: orders that
//! are confirmed, rejected, and undone after they were paid; a company's order, approved; a return; and one
//! order that still waits.

use amends_tests::{
    Cluster, Definitions, System,
    audit::{deals_settled, settled},
    deals::{Deal, Fate, Starts},
    traffic::{Kind, Order, Submission, restock},
};
use serde_json::json;

/// Somebody has to approve so many pieces.
const MUCH: u64 = 200;

/// The sagas of a day, by what became of them.
pub(crate) struct Day {
    pub(crate) system: System,
    /// Completed.
    pub(crate) order: String,
    /// Rejected because the card was declined: the reservation was released.
    pub(crate) declined: String,
    /// Reserved, charged, never released: refunded, then let go, in that order.
    pub(crate) undone: String,
    /// A company's, approved by a signal.
    pub(crate) approved: String,
    /// A company's, which waits for its approval.
    pub(crate) waiting: String,
    /// A return of a part of `order`.
    pub(crate) back: String,
}

/// The order saga with a wait between the charge and the point of no return, so that both are undone.
const HELD: (&str, &str) = (
    "  # The point of no return: the reservation becomes a deduction.",
    "  - name: release\n    await: { signal: release, timeout: 1s, on_timeout: compensate }\n",
);

impl Day {
    pub(crate) async fn live(cluster: Option<&Cluster>) -> Self {
        let definitions = Definitions::of(&["order.v1", "b2b-order.v1", "return-order.v1"]);
        definitions.derive(
            "order.v1.yaml",
            "held-order.v1.yaml",
            &[("saga: order", "saga: held-order"), HELD],
        );
        let system = System::start_on(&definitions, cluster).await;
        restock(&system).await;
        let kinds = [Kind::Good, Kind::Declined, Kind::Good, Kind::OutOfStock, Kind::Timeout];
        let orders = (1..).zip(kinds).map(|(number, kind)| Order::new(kind, number, 3)).collect();
        let mut orders = Submission::start(&system, orders).all().await;
        settled(&system, &orders).await;
        orders.sort_by(|a, b| a.email.cmp(&b.email));

        let mut held = Deal::of_company(7, 2, "tok_visa", Fate::Compensated(Some("release"), "timeout"));
        held.definition = "held-order";
        let total = held.money;
        held.input = json!({
            "customer_id": "held", "email": "held@shop.example", "payment_token": "tok_visa",
            "lines": held.input["lines"], "total": { "amount": total, "currency": "EUR" },
        });
        let back = Deal::giving_back(&orders[0], 1, 1, 850, Fate::Completed);
        let much = |number| Deal::of_company(number, MUCH, "tok_visa", Fate::Completed);
        let mut deals = Starts::of(&system, vec![held, back, much(1)]).all().await;
        deals.sort_by(|a, b| a.key.cmp(&b.key));
        let id = |key: &str| deals.iter().find(|deal| deal.key == key).expect("it was started").id.clone();
        system.step_is(&id("company-1"), "approval", "awaiting").await;
        system.signal(&id("company-1"), "approval", &json!({ "by": "the chief" })).await;
        deals_settled(&system, &deals).await;
        let waiting = Starts::of(&system, vec![much(2)]).all().await.remove(0).id;
        system.step_is(&waiting, "approval", "awaiting").await;
        Self {
            order: orders[0].id.clone(),
            declined: orders[1].id.clone(),
            undone: id("company-7"),
            approved: id("company-1"),
            back: id("return-1"),
            waiting,
            system,
        }
    }
}
