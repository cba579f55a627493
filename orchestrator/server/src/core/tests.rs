//! What the tests of this folder share.

use std::path::Path;

use amends_contract::{SagaId, Timestamp};
use amends_engine::{Begin, Saga, start};
use serde_json::json;
use uuid::Uuid;

use super::load_file;

/// A saga that has just begun.
pub(super) fn saga(number: u128) -> Saga {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../saga-definitions/order.v1.yaml");
    let loaded = load_file(&file, 30 * 86_400).unwrap();
    let id = SagaId::new(Uuid::from_u128((0x7 << 76) | (0x8 << 60) | number)).unwrap();
    let input = json!({ "lines": [], "customer_id": "c" });
    start(id, &loaded.definition, Begin::from(input), Timestamp::from_unix_ms(1)).unwrap().saga
}
