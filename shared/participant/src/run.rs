//! A running participant: its loops, started and ended in the right order.
//!
//! Invariant: on a shutdown no new command is taken, what has begun is finished, and what is not finished
//! in time is found open by the next start.

use std::sync::Arc;

use amends_broker::{Broker, ConsumerSpec, Delivery, Start};
use amends_contract::{Names, Stream};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    calls::Calls,
    core::Core,
    events::Events,
    inbound, meter,
    post::{Post, Publish},
    purge, recover,
    runner::Runner,
    settle::Settler,
};

/// How far back a new consumer begins, in minutes: what is older and still wanted is sent again.
const START_BACK_MIN: u64 = 10;

/// Handles commands until the shutdown.
pub(crate) async fn run(core: Core, broker: Broker, shutdown: CancellationToken) -> Result<(), Error> {
    meter::describe();
    let core = Arc::new(core);
    let publish: Arc<dyn Publish> = Arc::new(broker.publisher());
    let inside = Inside::start(&core, Arc::clone(&publish), broker.names(), &shutdown);
    recover::wake_all(&inside.runner).await?;
    let events = Events {
        core: Arc::clone(&core),
        publish,
        position: Arc::new(broker.clone()),
        names: broker.names().clone(),
    };
    let loops = [
        tokio::spawn(recover::run(inside.runner.clone())),
        tokio::spawn(events.run(broker.topology_changes(), shutdown.clone())),
        tokio::spawn(purge::run(Arc::clone(&core), shutdown.clone())),
    ];
    commands(&inside.runner, &broker, &shutdown).await;
    for one in loops {
        join(one).await;
    }
    inside.finish().await;
    Ok(())
}

async fn commands(runner: &Runner, broker: &Broker, shutdown: &CancellationToken) {
    let name = &runner.core.name;
    let mut consumer = broker.consumer(ConsumerSpec {
        stream: Stream::Command,
        durable: name.to_string(),
        filter: broker.names().commands_of(name),
        start: Start::MinutesBack(START_BACK_MIN),
        batch_count_max: runner.core.config.batch_count_max,
    });
    while let Some(deliveries) = consumer.next(shutdown).await {
        take(runner, broker.names(), deliveries).await;
    }
}

/// Handles one batch of deliveries: what cannot be read is set aside, the rest is run.
pub(crate) async fn take(runner: &Runner, names: &Names, deliveries: Vec<Delivery>) {
    let mut tasks = Vec::with_capacity(deliveries.len());
    let mut letters = Vec::new();
    for delivery in deliveries {
        let message = Box::new(delivery.clone());
        let read = inbound::read(&runner.core, names, &delivery, message);
        tasks.extend(read.tasks);
        letters.extend(read.dead.map(|(dead, parcel)| runner.post.dead(&dead, parcel)));
        if let Some(parcel) = read.empty {
            parcel.answered();
        }
    }
    runner.post.send(letters).await;
    runner.run(tasks).await;
}

/// What handles commands and calls, without what brings them.
pub(crate) struct Inside {
    pub(crate) runner: Runner,
    settler: JoinHandle<()>,
    drained: CancellationToken,
}

impl Inside {
    pub(crate) fn start(
        core: &Arc<Core>,
        publish: Arc<dyn Publish>,
        names: &Names,
        shutdown: &CancellationToken,
    ) -> Self {
        let post = Arc::new(Post::new(publish, names, &core.name, core.config.publishing_batches_max));
        let (sender, finished) = mpsc::unbounded_channel();
        let calls = Calls::new(Arc::clone(core), Arc::clone(&post), sender, shutdown.clone());
        let drained = CancellationToken::new();
        let settler = Settler::new(Arc::clone(core), Arc::clone(&post), Arc::clone(&calls));
        let settler = tokio::spawn(settler.run(finished, drained.clone()));
        let runner = Runner { core: Arc::clone(core), post, calls, shutdown: shutdown.clone() };
        Self { runner, settler, drained }
    }

    /// Waits for the running calls, records how they ended, and publishes the last replies.
    pub(crate) async fn finish(self) {
        self.runner.calls.finish().await;
        self.drained.cancel();
        join(self.settler).await;
        self.runner.post.finish().await;
    }
}

async fn join(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "a loop ended by accident");
    }
}
