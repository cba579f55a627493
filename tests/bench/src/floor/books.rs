//! Looks through the books when all is over: each step of each saga once, nothing more and nothing less.
//!
//! Invariant: it believes the databases and the broker, never what the components say of themselves.

use std::time::{Duration, Instant};

use anyhow::ensure;
use async_nats::{
    Client,
    jetstream::{self, consumer},
};

use super::{
    CONSUMERS,
    laden::Laden,
    saga::{DECLINED_ONE_IN, Participant},
    store::Store,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// How many sagas should have come to which end.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    completed: i64,
    compensated: i64,
}

impl Expected {
    pub(super) fn of(sagas: usize) -> Self {
        let compensated = sagas / DECLINED_ONE_IN;
        Self { completed: (sagas - compensated) as i64, compensated: compensated as i64 }
    }

    const fn all(self) -> i64 {
        self.completed + self.compensated
    }
}

pub(super) async fn orchestrator(store: &mut Store, expected: Expected, laden: Laden) -> anyhow::Result<()> {
    let Expected { completed, compensated } = expected;
    hold("orchestrator", store, &laden.books(completed, compensated)).await
}

pub(super) async fn participant(
    who: Participant,
    store: &mut Store,
    expected: Expected,
) -> anyhow::Result<()> {
    let Expected { completed, compensated } = expected;
    let kinds: &[_] = match who {
        Participant::Inventory => &[
            ("SELECT count(DISTINCT saga_id) FROM effect WHERE kind = 'reserve-stock'", expected.all()),
            ("SELECT count(DISTINCT saga_id) FROM effect WHERE kind = 'confirm-stock'", completed),
            ("SELECT count(DISTINCT saga_id) FROM effect WHERE kind = 'release-stock'", compensated),
        ],
        Participant::Payment => &[
            ("SELECT count(DISTINCT saga_id) FROM effect WHERE kind = 'charge-payment'", completed),
            ("SELECT count(DISTINCT saga_id) FROM effect WHERE kind = 'decline'", compensated),
        ],
        Participant::Notification => &[
            ("SELECT count(DISTINCT saga_id) FROM effect WHERE kind = 'send-confirmation'", completed),
            ("SELECT count(DISTINCT saga_id) FROM effect WHERE kind = 'send-rejection'", compensated),
        ],
    };
    let all = kinds.iter().map(|(_, count)| count).sum();
    hold(who.name(), store, kinds).await?;
    let checks = [
        ("SELECT count(*) FROM effect", all),
        ("SELECT count(*) FROM inbox", all),
        ("SELECT count(*) FROM inbox JOIN effect USING (effect_id)", all),
    ];
    hold(who.name(), store, &checks).await
}

async fn hold(who: &str, store: &mut Store, checks: &[(&'static str, i64)]) -> anyhow::Result<()> {
    for (query, expected) in checks {
        let found = store.count(query).await?;
        ensure!(found == *expected, "{who}: {found} instead of {expected}: {query}");
    }
    Ok(())
}

/// Four commands and four replies of each saga, all of them acknowledged; and its events, if there are any.
pub(super) async fn broker(client: &Client, expected: Expected, laden: Laden) -> anyhow::Result<()> {
    let context = jetstream::new(client.clone());
    let (mut stored, mut open) = (0, usize::MAX);
    let since = Instant::now();
    // Acknowledgements are on their way: nobody answers them.
    while open > 0 && since.elapsed() < PATIENCE {
        (stored, open) = (0, 0);
        for stream in super::STREAMS {
            stored += context.get_stream(stream.0).await?.cached_info().state.messages;
        }
        for (stream, consumer, _) in CONSUMERS {
            let found: consumer::PullConsumer = context.get_consumer_from_stream(consumer, stream).await?;
            let info = found.cached_info();
            open += info.num_ack_pending + usize::try_from(info.num_pending)?;
        }
    }
    ensure!(open == 0, "{open} messages are not acknowledged");
    let all = laden.messages() * expected.all();
    ensure!(i64::try_from(stored)? == all, "the streams have {stored} messages instead of {all}");
    Ok(())
}
