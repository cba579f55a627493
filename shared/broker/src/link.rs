//! The client behind the connection, and its replacement should it die.
//!
//! The client reconnects by itself for ever, with one exception: a message whose header value holds a
//! bare carriage return makes it panic. Then another one takes its place.
//!
//! Invariant: who uses the client takes it anew for each use; none is kept.

use std::{
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
};

use async_nats::{Client, jetstream};
use futures::{FutureExt as _, Sink as _, future::poll_fn};

use crate::{Config, Error, connect::connect, health::Monitor};

/// One client.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
}

impl Link {
    /// Starts a client; that the broker is down is no error.
    pub(crate) async fn start(config: &Config, name: &str, monitor: &Arc<Monitor>) -> Result<Self, Error> {
        let client = connect(config, name, monitor).await?;
        Ok(Self { jetstream: jetstream::new(client.clone()), client })
    }

    /// Whether the client's own task has ended, so that it will never connect again.
    pub(crate) fn is_dead(&self) -> bool {
        let mut client = self.client.clone();
        let ready = poll_fn(|context| Pin::new(&mut client).poll_ready(context)).now_or_never();
        matches!(ready, Some(Err(_)))
    }
}

/// The client of the moment. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CurrentLink(Arc<RwLock<Arc<Link>>>);

impl CurrentLink {
    pub(crate) fn new(link: Link) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(link))))
    }

    pub(crate) fn get(&self) -> Arc<Link> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, link: Link) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(link);
    }
}
