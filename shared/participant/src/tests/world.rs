//! The world outside the database: it takes calls under idempotency keys, and can be slow, silent or away.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use amends_contract::{Command, Outcome};
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::watch;

use crate::{
    CallOutcome, External, HandlerError, Intent, Prepared, Work,
    tests::service::{failed, note, succeeded},
};

/// The world of a test. Cheap to clone.
#[derive(Clone)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
    open: watch::Sender<bool>,
    log: watch::Sender<Vec<String>>,
}

#[derive(Default)]
struct State {
    /// What the next calls answer, whoever calls.
    script: VecDeque<CallOutcome>,
    /// By key: what happened in the world, at most once.
    happened: BTreeMap<String, u32>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), open: watch::Sender::new(true), log: watch::Sender::new(Vec::new()) }
    }

    /// What the next calls answer; after that they succeed.
    pub(crate) fn answers(self, outcomes: impl IntoIterator<Item = CallOutcome>) -> Self {
        self.state.lock().unwrap().script.extend(outcomes);
        self
    }

    /// Calls do not come back until it is opened.
    pub(crate) fn closed(self) -> Self {
        self.open.send_replace(false);
        self
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// The calls so far: `call <effect>` or `recover <effect>`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    pub(crate) async fn until_called(&self, times: usize) {
        self.log.subscribe().wait_for(|log| log.len() >= times).await.unwrap();
    }

    pub(crate) fn caller(&self, backward: bool) -> Caller {
        Caller { world: self.clone(), backward }
    }

    async fn call(&self, kind: &str, intent: &Intent, backward: bool) -> CallOutcome {
        assert_eq!(intent.effect, intent.command.effect);
        assert_eq!(intent.data, json!({ "kept": intent.effect.to_string() }), "what was prepared comes back");
        let effect = intent.effect.to_string();
        let short = effect.split_once('/').unwrap().1;
        self.log.send_modify(|log| log.push(format!("{kind} {short}")));
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        let mut state = self.state.lock().unwrap();
        let outcome = state.script.pop_front();
        let happens = !matches!(
            outcome,
            Some(CallOutcome::Definite(Outcome::Failed { .. } | Outcome::Rejected { .. }))
        );
        if happens {
            *state.happened.entry(effect.clone()).or_default() += 1;
        }
        let output = json!({ "key": short });
        outcome.unwrap_or(CallOutcome::Definite(if backward {
            Outcome::Undone { output: output.into() }
        } else {
            succeeded(output)
        }))
    }
}

/// One kind of call.
pub(crate) struct Caller {
    world: World,
    backward: bool,
}

#[async_trait]
impl External for Caller {
    async fn prepare(&self, work: &mut Work<'_>, command: &Command) -> Result<Prepared, HandlerError> {
        if let Some(undone) = work.undone() {
            assert_eq!(Some(&undone.effect), command.undoes.as_ref());
            assert_eq!(undone.intent, Some(json!({ "kept": undone.effect.to_string() })));
        }
        note(work.db(), "prepared", command).await?;
        match command.data["prepare"].as_str() {
            None => Ok(Prepared::Call(json!({ "kept": command.effect.to_string() }))),
            Some("reject") => Ok(Prepared::Final(Outcome::Rejected {
                code: "no".to_owned(),
                message: "because".to_owned(),
            })),
            Some("final") => Ok(Prepared::Final(succeeded(json!("at once")))),
            Some(other) => Err(HandlerError::Internal(other.to_owned())),
        }
    }

    async fn call(&self, intent: &Intent) -> CallOutcome {
        self.world.call("call", intent, self.backward).await
    }

    async fn recover(&self, intent: &Intent) -> CallOutcome {
        self.world.call("recover", intent, self.backward).await
    }

    async fn record(
        &self,
        work: &mut Work<'_>,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<(), HandlerError> {
        assert_eq!(intent.undone.is_some(), self.backward);
        note(work.db(), &format!("recorded {}", outcome.name()), &intent.command).await?;
        work.event("call", "ended", json!({ "outcome": outcome.name() }))
    }
}

pub(crate) fn unknown() -> CallOutcome {
    CallOutcome::Unknown { code: "timeout".to_owned(), retry_after_ms: None }
}

/// The call did definitely nothing.
pub(crate) fn refused() -> CallOutcome {
    CallOutcome::Definite(failed("unreachable"))
}

pub(crate) fn declined() -> CallOutcome {
    CallOutcome::Definite(Outcome::Rejected { code: "declined".to_owned(), message: "no money".to_owned() })
}
