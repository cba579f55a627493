//! Where a test places orders and starts sagas, as a customer's program does.
//!
//! Invariant: an answer is handed on as it came, whatever its status; only silence is an error.

use serde_json::Value;

use crate::{Answer, Client};

/// Where orders are placed.
#[derive(Clone)]
pub struct Door {
    client: Client,
    orders: String,
    sagas: String,
    key: String,
}

impl Door {
    /// Orders and sagas are posted to these two URLs, with this header.
    pub(crate) fn new(client: Client, (orders, sagas): (String, String), key: String) -> Self {
        Self { client, orders, sagas, key }
    }

    /// Places an order.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn order(&self, idempotency_key: &str, order: &Value) -> Result<Answer, reqwest::Error> {
        self.post(&self.orders, idempotency_key, order).await
    }

    /// Starts a saga of any definition.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn saga(&self, idempotency_key: &str, saga: &Value) -> Result<Answer, reqwest::Error> {
        self.post(&self.sagas, idempotency_key, saga).await
    }

    /// Cancels an order.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn cancel(&self, order: &str) -> Result<Answer, reqwest::Error> {
        let headers = [("authorization", self.key.as_str())];
        self.client.send("POST", &format!("{}/{order}/cancel", self.orders), &headers, None).await
    }

    /// Looks at an order.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn get_order(&self, order: &str) -> Result<Answer, reqwest::Error> {
        let headers = [("authorization", self.key.as_str())];
        self.client.send("GET", &format!("{}/{order}", self.orders), &headers, None).await
    }

    /// Tells a saga what it waits for.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn signal(&self, saga: &str, name: &str, data: &Value) -> Result<Answer, reqwest::Error> {
        let headers = [("authorization", self.key.as_str()), ("content-type", "application/json")];
        let url = format!("{}/{saga}/signals/{name}", self.sagas);
        self.client.send("POST", &url, &headers, Some(data.to_string().into_bytes())).await
    }

    async fn post(&self, url: &str, idempotency_key: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        let headers = [
            ("authorization", self.key.as_str()),
            ("idempotency-key", idempotency_key),
            ("content-type", "application/json"),
        ];
        self.client.send("POST", url, &headers, Some(body.to_string().into_bytes())).await
    }
}
