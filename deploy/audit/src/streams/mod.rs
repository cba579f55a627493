//! The streams: replies against the inboxes (I9), commands against inboxes and journals (I6, I10, L5).
//!
//! What a stream no longer holds cannot be checked: what was wiped, aged out or rolled back is gone, and
//! what is there is checked all the same.
//!
//! Invariant: one page of messages in memory; the broker is only asked.

mod commands;
mod replies;

use std::collections::BTreeMap;

use amends_broker::{Broker, StoredMessage};
use amends_contract::{EffectId, Stream, Token};
use futures::{StreamExt as _, TryStreamExt as _};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::entity::inbox;
use crate::sources::Opened;
use crate::{Error, Expectations, Report};

/// Messages in one page.
const MESSAGES_COUNT: u64 = 500;

/// Questions to the broker at once.
const ASKED_AT_ONCE: usize = 32;

pub(crate) async fn check(
    sources: &Opened,
    expectations: &Expectations,
    report: &mut Report,
) -> Result<(), Error> {
    let Some(broker) = &sources.broker else { return Ok(()) };
    let suspects = commands::check(sources, broker, expectations, report).await?;
    replies::check(sources, broker, (expectations, suspects), report).await
}

/// The numbers of the messages that a stream holds now; `None` when it holds none.
async fn bounds(broker: &Broker, stream: Stream) -> Result<Option<(u64, u64)>, Error> {
    let streams = broker.streams().await?;
    let found = streams.into_iter().find(|found| found.stream == stream);
    let bounds = found.and_then(|found| Some((found.first_seq.max(1), found.position?.last_seq)));
    Ok(bounds.filter(|(first, last)| first <= last))
}

/// The messages of a page, in their order; those that are gone are left out.
async fn page(broker: &Broker, stream: Stream, from: u64, to: u64) -> Result<Vec<StoredMessage>, Error> {
    let asked = futures::stream::iter(from..=to).map(|seq| broker.message(stream, seq));
    let found: Vec<Option<StoredMessage>> = asked.buffered(ASKED_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// The inbox rows of these effects.
async fn rows(
    sources: &Opened,
    participant: &Token,
    effects: &[EffectId],
) -> Result<BTreeMap<String, inbox::Model>, Error> {
    let Some((_, db)) = sources.inboxes.iter().find(|(name, _)| name == participant) else {
        return Ok(BTreeMap::new());
    };
    let ids = effects.iter().map(ToString::to_string);
    let query = inbox::Entity::find().filter(inbox::Column::EffectId.is_in(ids));
    let failed = Error::reading(&format!("the inbox of {participant}"));
    let found = query.all(db).await.map_err(failed)?;
    Ok(found.into_iter().map(|row| (row.effect_id.clone(), row)).collect())
}
