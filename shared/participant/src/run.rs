//! A running participant: its loops, started and ended in the right order.
//!
//! Invariant: on a shutdown no new command is taken, what has begun is finished, and what is not finished
//! in time is found open by the next start.

use std::{panic::resume_unwind, sync::Arc};

use amends_broker::{Broker, ConsumerSpec, Delivery, Start};
use amends_contract::{Names, Stream};
use tokio::sync::mpsc;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

use crate::{
    Error,
    calls::Calls,
    core::Core,
    events::Events,
    inbound, meter,
    micro::Micro,
    post::{Post, Publish},
    purge, recover,
    runner::Runner,
    settle::Settler,
    task::Acknowledge,
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
    let micro = Micro { core: Arc::clone(&core), broker: broker.clone() };
    let loops = [
        spawn(micro.run(shutdown.clone())),
        spawn(recover::run(inside.runner.clone())),
        spawn(events.run(broker.topology_changes(), shutdown.clone())),
        spawn(purge::run(Arc::clone(&core), shutdown.clone())),
    ];
    // A task of its own: whoever runs us may do so on a thread that has to be woken for each answer of the database.
    let commands = spawn(commands(inside.runner.clone(), broker, shutdown)).await;
    if let Some(panic) = commands.err().and_then(|error| error.try_into_panic().ok()) {
        resume_unwind(panic);
    }
    for one in loops {
        join(one).await;
    }
    inside.finish().await;
    Ok(())
}

async fn commands(runner: Runner, broker: Broker, shutdown: CancellationToken) {
    let name = &runner.core.name;
    let mut consumer = broker.consumer(ConsumerSpec {
        stream: Stream::Command,
        durable: name.to_string(),
        filter: broker.names().commands_of(name),
        start: Start::MinutesBack(START_BACK_MIN),
        batch_count_max: runner.core.config.batch_count_max,
    });
    while let Some(deliveries) = consumer.next(&shutdown).await {
        take(&runner, broker.names(), deliveries, |delivery| Box::new(delivery.clone())).await;
    }
}

/// Handles one batch of deliveries: what cannot be read is set aside, the rest is run.
/// `answer` gives what acknowledges a delivery.
pub(crate) async fn take(
    runner: &Runner,
    names: &Names,
    deliveries: Vec<Delivery>,
    answer: impl Fn(&Delivery) -> Box<dyn Acknowledge>,
) {
    let mut tasks = Vec::with_capacity(deliveries.len());
    let mut letters = Vec::new();
    for delivery in deliveries {
        let read = inbound::read(&runner.core, names, &delivery, answer(&delivery));
        tasks.extend(read.tasks);
        letters.extend(read.dead.into_iter().map(|(dead, parcel)| runner.post.dead(&dead, parcel)));
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
    settler: AbortOnDropHandle<()>,
    drained: CancellationToken,
    _kill: DropGuard,
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
        let kill = calls.kill_on_drop();
        let settler = Settler::new(Arc::clone(core), Arc::clone(&post), Arc::clone(&calls));
        let settler = spawn(settler.run(finished, drained.clone()));
        let runner = Runner { core: Arc::clone(core), post, calls, shutdown: shutdown.clone() };
        Self { runner, settler, drained, _kill: kill }
    }

    /// Waits for the running calls, records how they ended, and publishes the last replies.
    pub(crate) async fn finish(self) {
        self.runner.calls.finish().await;
        self.drained.cancel();
        join(self.settler).await;
        self.runner.post.finish().await;
    }
}

/// A task that ends with its handle: who drops a running participant kills it.
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

async fn join(task: AbortOnDropHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "a loop ended by accident");
    }
}
