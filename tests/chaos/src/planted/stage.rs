//! The system of one play, with a bug or without, and what can be done to it from outside.
//!
//! Invariant: whatever is waited for, it is waited for so long at most: a bug may keep it from ever being.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use amends_audit::{Expectations, Injected, Report};
use amends_planted::Bug;
use amends_tests::{
    Definitions, SERVICES, System, books, call,
    traffic::{self, Kind, Order},
};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};

use super::{
    messages::Messages,
    play::Played,
    scenery::{QUICK, SAGA, Scenery},
};

/// Where a process reads which bug is planted in it.
const VARIABLE: &str = "AMENDS_PLANTED_BUG";
/// So long a play waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long it waits for the end: that a machine is slow is no finding.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);
/// The same with a bug, which may keep a saga from ever ending.
const SETTLES_WITH_A_BUG_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The participants, each of which carries a bug of theirs.
const PARTICIPANTS: [&str; 3] = ["inventory", "payment", "notification"];
/// What has ended, or waits for a person.
const ENDS: [&str; 4] = ["completed", "compensated", "abandoned", "parked"];

/// A running system.
pub(super) struct Stage {
    pub(super) system: System,
    /// A restarted orchestrator looks there again.
    _definitions: Definitions,
    scenery: Scenery,
    settles_within: Duration,
    accepted: Vec<String>,
}

/// Why plays cannot be made here.
pub(super) fn impossible() -> Option<&'static str> {
    let asked = call()
        .args(["config", "show", "--json"])
        .env(VARIABLE, Bug::ALL[0].name())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // A program without bugs refuses the variable, as it refuses every one that it does not know.
    let has_bugs = asked.is_ok_and(|status| status.success());
    (!has_bugs).then_some(
        "amends is built without its feature `planted`: cargo build --package amends --features planted",
    )
}

/// Who carries it.
fn carriers(bug: Bug) -> &'static [&'static str] {
    match bug {
        Bug::DuplicateReply
        | Bug::ForwardCompensation
        | Bug::ForgetsBackingOff
        | Bug::ReusesSendNo
        | Bug::GuessesPivot
        | Bug::OwnEpochUndone
        | Bug::EpochWithoutFence
        | Bug::SettledWithoutFence
        | Bug::UndoRenderedAnew
        | Bug::AcksRepliesEarly
        | Bug::EchoesDuplicates => &["orchestrator"],
        Bug::NoTombstone
        | Bug::TombstoneOverOpen
        | Bug::RunsDuplicates
        | Bug::PurgesEarly
        | Bug::NeverExpires
        | Bug::AcksCommandsEarly => &PARTICIPANTS,
    }
}

impl Stage {
    /// Starts all of it, with the bug where it belongs, and fills the shelves.
    pub(super) async fn start(scenery: Scenery, bug: Option<Bug>) -> Self {
        let definitions = Definitions::of(&["order.v1"]);
        definitions.write(&format!("{SAGA}.v1.yaml"), &scenery.definition());
        let mut system = System::prepared(None, &std::env::temp_dir());
        system.set("AMENDS_ORCHESTRATOR__DEFINITIONS", &definitions.path().display().to_string());
        for (name, value) in QUICK.iter().chain(scenery.settings) {
            system.set(name, value);
        }
        for (service, bug) in bug.iter().flat_map(|bug| carriers(*bug).iter().map(move |who| (who, bug))) {
            system.set_for(service, VARIABLE, Some(bug.name()));
        }
        for name in SERVICES {
            system.start_service(name);
        }
        for name in SERVICES {
            system.ready(name).await;
        }
        traffic::restock(&system).await;
        let settles_within = if bug.is_some() { SETTLES_WITH_A_BUG_WITHIN } else { SETTLES_WITHIN };
        Self { system, _definitions: definitions, scenery, settles_within, accepted: Vec::new() }
    }

    /// Places an order; its saga.
    pub(super) async fn place(&mut self) -> Result<String, String> {
        let body = json!({ "definition": SAGA, "input": Self::input() });
        let answer = self.system.door().saga("planted", &body).await.map_err(|error| error.to_string())?;
        let id = answer.body["id"].as_str().ok_or_else(|| format!("{answer:?}"))?.to_owned();
        self.accepted.push(id.clone());
        Ok(id)
    }

    /// What is ordered.
    pub(super) fn input() -> Value {
        let order = Order::new(Kind::Good, 1, 2);
        let mut input = order.body();
        input["total"] = json!({ "amount": order.total, "currency": "EUR" });
        input
    }

    /// Waits until it is so.
    pub(super) async fn until(&self, what: &str, look: impl AsyncFnMut() -> bool) -> Played {
        self.within(PATIENCE, what, look).await
    }

    async fn within(&self, patience: Duration, what: &str, mut look: impl AsyncFnMut() -> bool) -> Played {
        let begun = Instant::now();
        while !look().await {
            if begun.elapsed() > patience {
                return Err(format!("within {patience:?} it was never so: {what}"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until the action of a saga's step stands so.
    pub(super) async fn step_is(&self, id: &str, step: &str, state: &str) -> Played {
        let look = async || {
            let saga = self.saga(id).await;
            let steps = saga["steps"].as_array().cloned().unwrap_or_default();
            steps.iter().any(|found| found["name"] == step && found["action"]["state"] == state)
        };
        if let Err(why) = self.until(&format!("{step} is {state}"), look).await {
            let saga = self.saga(id).await;
            return Err(format!("{why}; the saga is {} ({})", saga["status"], saga["failure"]));
        }
        Ok(())
    }

    async fn saga(&self, id: &str) -> Value {
        let authorization = self.system.authorization();
        let url = self.system.admin(&format!("/v1/sagas/{id}"));
        let answer = self.system.client.send("GET", &url, &[("authorization", &authorization)], None).await;
        answer.map(|answer| answer.body).unwrap_or_default()
    }

    /// Acts as an operator.
    pub(super) async fn act(&self, id: &str, action: &str, more: Value) -> Played {
        let mut body = json!({ "action": action, "reason": "a play" });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        self.post(&self.system.admin(&format!("/v1/sagas/{id}/actions")), &body).await
    }

    /// Approves.
    pub(super) async fn approve(&self, id: &str) -> Played {
        let url = self.system.url("orchestrator", &format!("/v1/sagas/{id}/signals/approval"));
        self.post(&url, &json!({ "by": "a play" })).await
    }

    /// Tells the provider how to misbehave.
    pub(super) async fn provider(&self, switches: Value) -> Played {
        self.send("PUT", &self.system.url("provider", "/v1/switches"), &switches).await
    }

    async fn post(&self, url: &str, body: &Value) -> Played {
        self.send("POST", url, body).await
    }

    async fn send(&self, method: &str, url: &str, body: &Value) -> Played {
        let authorization = self.system.authorization();
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer =
            self.system.client.send(method, url, &headers, Some(body.to_string().into_bytes())).await;
        let answer = answer.map_err(|error| format!("{url}: {error}"))?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(format!("{url}: {answer:?}")) }
    }

    /// Starts a service again, and waits until it can do its work.
    pub(super) async fn start_again(&mut self, name: &str) {
        self.system.start_service(name);
        self.system.ready(name).await;
    }

    /// The broker. It waits for answers, so one of several threads has to be this one's.
    pub(super) fn broker<T>(&self, ask: impl FnOnce(&mut Messages) -> T) -> T {
        tokio::task::block_in_place(|| ask(&mut Messages::at(&self.system.broker.url())))
    }

    /// Waits until all messages are read, answered and acknowledged.
    pub(super) async fn all_is_read(&self) -> Played {
        self.until("all messages are read and acknowledged", async || self.broker(Messages::are_read)).await
    }

    /// Somebody else writes to a service's database, and does not end.
    pub(super) async fn hold(&self, service: &str) -> Result<DatabaseConnection, String> {
        let url = self.system.setting(&format!("AMENDS_{}__DATABASE__URL", service.to_uppercase()));
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let held = async {
            let database = Database::connect(options).await?;
            database.execute_unprepared("BEGIN EXCLUSIVE").await.map(|_| database)
        };
        held.await.map_err(|error: sea_orm::DbErr| error.to_string())
    }

    /// Rows that a participant has purged so far.
    pub(super) async fn purged(&self, participant: &str) -> u64 {
        let url = self.system.url(participant, "/metrics");
        let page = self.system.client.send("GET", &url, &[], None).await;
        let page = page.map(|answer| answer.body).unwrap_or_default();
        let mut lines = page.as_str().unwrap_or_default().lines();
        let count = lines.find_map(|line| line.strip_prefix("amends_participant_purged_total "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
    }

    /// Waits until every saga has ended and nothing is left to be read.
    pub(super) async fn settle(&self) -> Played {
        let all_ended = async || {
            for id in &self.accepted {
                let status = self.saga(id).await["status"].clone();
                if !ENDS.iter().any(|end| status == *end) {
                    return false;
                }
            }
            true
        };
        self.within(self.settles_within, "every saga has ended", all_ended).await?;
        self.all_is_read().await
    }

    /// What the auditor says of it, beside the running services.
    pub(super) async fn audit(&self) -> Report {
        let settled = Expectations::settled();
        let sends_per_fault = self.scenery.sends_explained;
        let expectations = Expectations {
            accepted: self.accepted.iter().filter_map(|id| id.parse().ok()).collect(),
            accepted_is_all: true,
            horizon_ms: self.scenery.horizon_ms.unwrap_or(settled.horizon_ms),
            injected: Some(Injected { poison: 0..=0, faults: 1, sends_per_fault }),
            mail_complete: true,
            ..settled
        };
        books::report(books::sources(&self.system), &expectations).await
    }
}
