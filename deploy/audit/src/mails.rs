//! The mail catcher against notification's table (I3, I6, I10): one mail per effect, and none of nobody's.
//!
//! The catcher forgets when it is restarted, and keeps no more than its last messages: that a mail is missing
//! there is a finding only for whoever says that it has forgotten nothing.
//!
//! Invariant: the catcher's list is bounded by the catcher; the table is read by the messages in it.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use serde::Deserialize;

use crate::commands::mail as states;
use crate::entity::mail;
use crate::sources::Opened;
use crate::{Error, Expectations, Invariant, Report};

/// Rows in one page, and ids in one `IN`.
const ROWS_COUNT: usize = 500;

/// Longest wait for the list.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Caught {
    message_id: Option<String>,
}

pub(crate) async fn check(
    sources: &Opened,
    expectations: &Expectations,
    report: &mut Report,
) -> Result<(), Error> {
    let Some(url) = &sources.mail_catcher else { return Ok(()) };
    let failed = Error::reading("notification's database");
    // The table first: what is sent in it was handed over before the list is read.
    let sent = match (&sources.notification, expectations.mail_complete) {
        (Some(db), true) => sent(db).await.map_err(&failed)?,
        _ => Vec::new(),
    };
    let mut caught: BTreeMap<String, u64> = BTreeMap::new();
    for mail in list(url).await? {
        report.counters.mails += 1;
        *caught.entry(mail.message_id.unwrap_or_default()).or_default() += 1;
    }
    for (id, count) in caught.iter().filter(|(_, count)| **count > 1) {
        let what = format!("{id} was mailed {count} times");
        report.all(Invariant::I3, what, "GET /mails of the mail catcher and of notification".to_owned());
    }
    for effect in sent.into_iter().filter(|(_, id)| !caught.contains_key(id)).map(|(effect, _)| effect) {
        let what = format!("{effect} is sent, and the mail server has no such mail");
        report.all(Invariant::I10, what, "GET /mails of the mail catcher".to_owned());
    }
    let Some(db) = &sources.notification else { return Ok(()) };
    let ids: Vec<&String> = caught.keys().collect();
    for chunk in ids.chunks(ROWS_COUNT) {
        let query = mail::Entity::find().filter(mail::Column::MessageId.is_in(chunk.iter().copied()));
        let rows = query.all(db).await.map_err(&failed)?;
        for id in chunk.iter().filter(|id| !rows.iter().any(|row| row.message_id == ***id)) {
            let what = format!("{id} was mailed, and notification knows nothing of it");
            report.all(Invariant::I6, what, "GET /mails of the mail catcher".to_owned());
        }
        let never = rows.iter().filter(|row| states::NOTHING.contains(&row.status.as_str()));
        for row in never {
            let what = format!("{} was mailed, and is {}", row.effect, row.status);
            report.all(Invariant::I3, what, "GET /mails of the mail catcher".to_owned());
        }
    }
    Ok(())
}

async fn list(url: &str) -> Result<Vec<Caught>, Error> {
    let unavailable = |error: reqwest::Error| Error::Unavailable {
        source_name: "the mail catcher".to_owned(),
        why: error.to_string(),
    };
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(unavailable)?;
    let answer = client.get(format!("{}/mails", url.trim_end_matches('/'))).send().await;
    answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(unavailable)?
        .json()
        .await
        .map_err(unavailable)
}

/// Effects and Message-IDs of the mails that were sent; for tests only, which have few.
async fn sent(db: &sea_orm::DatabaseConnection) -> Result<Vec<(String, String)>, sea_orm::DbErr> {
    let (mut sent, mut after) = (Vec::new(), String::new());
    loop {
        let mut query = mail::Entity::find()
            .filter(mail::Column::Status.eq(states::SENT))
            .order_by_asc(mail::Column::Effect)
            .limit(ROWS_COUNT as u64);
        if !after.is_empty() {
            query = query.filter(mail::Column::Effect.gt(after.as_str()));
        }
        let rows = query.all(db).await?;
        let full = rows.len() == ROWS_COUNT;
        if let Some(last) = rows.last() {
            after.clone_from(&last.effect);
        }
        sent.extend(rows.into_iter().map(|row| (row.effect, row.message_id)));
        if !full {
            return Ok(sent);
        }
    }
}
