//! `starts_on`: events that start sagas.
//!
//! Each definition that wants an event reads it by a durable consumer of its own, from the beginning of the
//! stream, so that no two definitions hold each other up.
//!
//! Invariant: an event starts at most one saga of a definition, for ever: whatever delivers it again, the key
//! that is stored with the saga is taken. It is acknowledged only when the saga is committed or the event is
//! set aside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_broker::{Broker, ConsumerSpec, Delivery, Start as From};
use amends_contract::{DeadReason, Digest, Envelope, ORCHESTRATOR, Part, SagaId, Stream, Token, sift};
use amends_definition::{ExpressionError, SagaScope, Scope, StartsOn};
use amends_store::IdempotencyKey;
use futures::future::join_all;
use metrics::counter;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::dead_letters::{Dead, DeadLetters};
use super::work::Receipt;
use super::{Core, CoreError, Loaded, Start};

/// Whose idempotency keys these are: nobody's API key, but an id of our own (RFC 9562, version 8).
const OWNER: Uuid = Uuid::from_u128(0x616d_656e_6473_8073_b461_7274_735f_6f6e);
/// A key that would be longer is written as its digest; the database's index wants it short.
const KEY_BYTES_MAX: usize = 255;
/// Milliseconds after which an event is tried again that could not be taken for want of room or a database.
const AGAIN_MS: u64 = 1_000;
/// Between two looks for definitions that have come or gone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The loops' parts.
pub(crate) struct Starts {
    pub(crate) core: Core,
    pub(crate) broker: Broker,
    pub(crate) batch_count_max: usize,
}

/// An event.
struct Received {
    event: Envelope,
    /// Of the delivery that brought it.
    receipt: Arc<Receipt>,
    /// Where in the delivery it stands.
    part: Part,
}

/// A definition, by name, and the event that starts its sagas.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    definition: Token,
    entity: Token,
    event: Token,
}

impl Starts {
    /// Runs until shutdown. A consumer is created only when a definition wants it.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let this = Arc::new(self);
        let mut running: BTreeMap<Wish, CancellationToken> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            let wishes = this.wishes();
            running.retain(|wish, stop| {
                let is_wanted = wishes.contains(wish);
                if !is_wanted {
                    stop.cancel();
                }
                is_wanted
            });
            for wish in wishes.into_iter().filter(|wish| !running.contains_key(wish)).collect::<Vec<_>>() {
                let stop = shutdown.child_token();
                running.insert(wish.clone(), stop.clone());
                tasks.spawn(Arc::clone(&this).consume(wish, stop));
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// What the newest version of each definition wants.
    fn wishes(&self) -> Vec<Wish> {
        let mut newest = BTreeMap::new();
        for loaded in self.core.definitions().all() {
            newest.insert(loaded.definition.name.clone(), loaded.definition);
        }
        let wish = |definition: Token, starts_on: &StartsOn| Wish {
            definition,
            entity: starts_on.entity.clone(),
            event: starts_on.name.clone(),
        };
        newest
            .into_iter()
            .filter_map(|(name, definition)| Some(wish(name, definition.starts_on.as_ref()?)))
            .collect()
    }

    async fn consume(self: Arc<Self>, wish: Wish, stop: CancellationToken) {
        tracing::info!(definition = %wish.definition, event = %format!("{}.{}", wish.entity, wish.event), "events start sagas");
        let dead_letters = DeadLetters::of(&self.broker, Stream::Event);
        let mut consumer = self.broker.consumer(ConsumerSpec {
            stream: Stream::Event,
            // Names have no underscore, so no two wishes share one.
            durable: format!("{ORCHESTRATOR}_{}_{}_{}", wish.definition, wish.entity, wish.event),
            filter: self.broker.names().event(&wish.entity, &wish.event),
            start: From::Beginning,
            batch_count_max: self.batch_count_max,
        });
        while let Some(deliveries) = consumer.next(&stop).await {
            let (events, mut dead) = self.read(deliveries);
            let starts = join_all(events.iter().map(|received| self.start(&wish, &received.event)));
            // What is under way at the shutdown is not acknowledged; the key sees to it that it is not lost or
            // done twice.
            let Some(results) = stop.run_until_cancelled(starts).await else { return };
            let mut must_wait = false;
            for (Received { receipt, part, .. }, result) in events.into_iter().zip(results) {
                match result {
                    Ok(()) => receipt.done(),
                    Err(Trouble::Again) => {
                        must_wait = true;
                        receipt.again_after(AGAIN_MS);
                    }
                    Err(Trouble::Dead(reason)) => dead.push(Dead { receipt, part, reason }),
                }
            }
            dead_letters.set_aside(dead).await;
            if must_wait {
                // The others would fare no better: they wait in the stream, unread.
                let _ = stop.run_until_cancelled(sleep(Duration::from_millis(AGAIN_MS))).await;
            }
        }
    }

    /// The events in the deliveries, and what cannot be read of them.
    fn read(&self, deliveries: Vec<Delivery>) -> (Vec<Received>, Vec<Dead>) {
        let (mut events, mut dead) = (Vec::new(), Vec::new());
        for delivery in deliveries {
            let expected = self.broker.names().message_type(&delivery.subject);
            let (found, reasons) = sift(&delivery.body, |event, _| routed(event, expected));
            if found.is_empty() && reasons.is_empty() {
                delivery.ack(); // an empty batch says nothing
                continue;
            }
            let receipt = Receipt::new(delivery, found.len() + reasons.len());
            let received = |(part, event)| Received { event, receipt: Arc::clone(&receipt), part };
            events.extend(found.into_iter().map(received));
            let set_aside = |(part, reason)| Dead { receipt: Arc::clone(&receipt), part, reason };
            dead.extend(reasons.into_iter().map(set_aside));
        }
        (events, dead)
    }

    async fn start(&self, wish: &Wish, event: &Envelope) -> Result<(), Trouble> {
        let Some(Loaded { definition, validator }) = self.core.definitions().latest(&wish.definition) else {
            return Err(Trouble::Again);
        };
        let Some(starts_on) = &definition.starts_on else { return Err(Trouble::Again) };
        let id = SagaId::new(Uuid::now_v7()).unwrap_or_else(|_| unreachable!("it is of version 7"));
        let dead = |code: &str, why: String| {
            let message = format!("{} cannot start on it: {why}", definition.reference());
            Trouble::Dead(DeadReason { code: code.to_owned(), message })
        };
        let input = input(starts_on, event, id, &definition)
            .map_err(|error| dead("expression", error.to_string()))?;
        if let Some(why) = Loaded::complaint(validator.as_deref(), &input) {
            return Err(dead("invalid-input", why));
        }
        let idempotency = Some(IdempotencyKey {
            owner: OWNER,
            key: key(&wish.definition, event),
            body_digest: Digest::of_json(&json!({ "type": event.message_type, "data": event.data })),
            answer: String::new(),
        });
        let start = Start { id, definition: Arc::clone(&definition), begin: input.into(), idempotency };
        match self.core.start(start).await {
            // Started now, or long ago.
            Ok(_) => {
                counter!("amends_events_taken_total", "definition" => wish.definition.to_string())
                    .increment(1);
                Ok(())
            }
            Err(CoreError::Overloaded(_) | CoreError::Unavailable) => Err(Trouble::Again),
            Err(CoreError::Engine(why)) => Err(dead("invalid-input", why)),
        }
    }
}

/// Why an event started nothing.
enum Trouble {
    /// For the moment.
    Again,
    /// It never will.
    Dead(DeadReason),
}

/// CloudEvents are told apart by source and id together.
fn key(definition: &Token, event: &Envelope) -> String {
    let key = format!("{definition} {} {}", event.source, event.id);
    if key.len() <= KEY_BYTES_MAX { key } else { Digest::of(key.as_bytes()).to_string() }
}

fn input(
    starts_on: &StartsOn,
    event: &Envelope,
    id: SagaId,
    definition: &amends_definition::Definition,
) -> Result<Value, ExpressionError> {
    let event = json!({
        "id": event.id,
        "source": event.source,
        "type": event.message_type,
        "time": event.time,
        "data": event.data,
    });
    let (steps, labels, definition) = (BTreeMap::new(), BTreeMap::new(), definition.reference());
    starts_on.input.render(&Scope {
        input: &Value::Null,
        steps: &steps,
        // Nothing of it is in scope: there is no saga yet.
        saga: SagaScope { id, definition: &definition, started_at: id.made_at(), labels: &labels },
        failure: None,
        element: None,
        event: Some(&event),
    })
}

/// The event, if it came on a subject for its type.
fn routed(event: Envelope, expected: Option<&str>) -> Result<Envelope, DeadReason> {
    if expected == Some(event.message_type.as_str()) {
        return Ok(event);
    }
    let message =
        format!("type {:?} came on a subject for {:?}", event.message_type, expected.unwrap_or_default());
    Err(DeadReason { code: "unroutable".to_owned(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_definitions_sources_and_ids_apart_and_is_short() {
        let event = |source: &str, id: &str| {
            let (specversion, time) = ("1.0", "2026-11-21T08:02:49.123Z");
            let event = json!({ "specversion": specversion, "id": id, "source": source, "time": time, "type": "event.cart.emptied" });
            serde_json::from_value::<Envelope>(event).unwrap()
        };
        let token = |name: &str| name.parse::<Token>().unwrap();
        assert_eq!(key(&token("order"), &event("cart", "7")), "order cart 7");
        assert_ne!(key(&token("order"), &event("cart", "7")), key(&token("audit"), &event("cart", "7")));
        assert_ne!(key(&token("order"), &event("cart", "7")), key(&token("order"), &event("shop", "7")));
        let long = "7".repeat(100_000);
        assert_eq!(key(&token("order"), &event("cart", &long)).len(), 64);
        assert_eq!(OWNER.get_version_num(), 8);
    }
}
