//! Faults of the payment provider, by its own switches.
//!
//! Invariant: all switches are off again afterwards; a provider that died meanwhile begins with them off.

use std::time::Duration;

use serde_json::{Value, json};

use super::Trace;
use crate::{fault::Fault, plan::Strike, world::World};

const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn begin(world: &World, strike: &Strike) -> Result<Trace, String> {
    let switches = match strike.fault {
        Fault::ProviderSlow => json!({ "latency_ms": 200 + strike.dice % 2_500 }),
        Fault::ChargeHangs => json!({ "timeout_after_charge": true }),
        Fault::RefundHangs => json!({ "timeout_after_refund": true }),
        Fault::ProviderFails => json!({ "failure_rate": 0.5 }),
        Fault::StoredFailure => json!({ "store_500": true }),
        Fault::ProviderDown => json!({ "down": true }),
        Fault::ProviderDeclines => json!({ "decline_rate": 0.3 }),
        other => return Err(format!("{other:?} is no switch")),
    };
    turn(world, &switches).await.map(|()| Trace::default())
}

/// Turns everything off.
pub(crate) async fn off(world: &World) -> Result<(), String> {
    turn(world, &json!({})).await
}

async fn turn(world: &World, switches: &Value) -> Result<(), String> {
    let url = world.system.url("provider", "/v1/switches");
    let headers = [("content-type", "application/json")];
    let body = Some(switches.to_string().into_bytes());
    let sending = world.system.client.send("PUT", &url, &headers, body);
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(Ok(answer)) if (200..300).contains(&answer.status) => Ok(()),
        Ok(Ok(answer)) => Err(format!("the provider answers {} {}", answer.status, answer.body)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the provider does not answer".to_owned()),
    }
}
