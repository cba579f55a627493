//! Shows a running participant among the broker's micro services, so that its instances are seen.
//!
//! Invariant: it answers nothing but who it is; commands come through their stream only.

use std::{process, sync::Arc};

use amends_broker::{Answer, Broker, Handler, ServiceSpec};
use amends_contract::CONTENT_TYPE;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::core::Core;

/// What shows a participant.
pub(crate) struct Micro {
    pub(crate) core: Arc<Core>,
    pub(crate) broker: Broker,
}

impl Micro {
    /// Runs until the shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let (names, name) = (self.broker.names(), &self.core.name);
        let metadata = [
            ("participant".to_owned(), name.to_string()),
            ("prefix".to_owned(), names.prefix().to_string()),
            ("pid".to_owned(), process::id().to_string()),
        ];
        let spec = ServiceSpec {
            name: names.service_name(name),
            description: format!("The participant {name}; its commands come through a stream."),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metadata: metadata.into(),
            endpoints: Vec::new(),
            concurrency_max: 1,
        };
        let (body, content_type) = (Bytes::new(), CONTENT_TYPE.to_owned());
        let nobody = Answer { body, content_type, error: None, retry_after_s: None };
        let handler: Handler = Arc::new(move |_| {
            let nobody = nobody.clone();
            Box::pin(async move { nobody })
        });
        self.broker.serve(spec, handler, shutdown).await;
    }
}
