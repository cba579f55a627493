//! `amends message ls|show|redrive|publish`: what the stock `nats` CLI does, for who has none.
//!
//! Invariant: a body goes out byte for byte as it lies in its stream, or as it was given.

use std::{fs, io::Read as _, path::Path, time::Duration};

use amends_broker::{Ack, Broker, Outgoing, ProblemKind, Scan, ScanFrom, StoredMessage};
use amends_contract::{
    BATCH_CONTENT_TYPE, CONTENT_TYPE, Decoded, Envelope, Part, SagaId, Stream, Timestamp, decode_batch,
    header, is_batch,
};
use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    cli::{Message, MessageList, Place, Redrive, Settings},
    config,
    output::{Output, say},
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Where a list begins that is told nothing else, in milliseconds back.
const SINCE_MS: u64 = 15 * 60_000;
/// How often it is looked whether a reply has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn run(command: &Message, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let config = config::load(settings)?.value.nats;
    let broker = Broker::connect(&config, "amends-cli").await?;
    if timeout(CONNECT, broker.connected()).await.is_err() {
        let why = broker.health().not_ready().unwrap_or_default();
        bail!("no connection to {} (nats.url): {why}", config.url);
    }
    let done = match command {
        Message::Ls(list) => ls(&broker, list, output).await.map(|()| true),
        Message::Show { stream, place, json, body } => {
            let message = stored(&broker, stream.0, *place).await?;
            show(&message, place.element, (*json, *body), output).map(|()| true)
        }
        Message::Redrive(command) => redrive(&broker, command, output).await,
        Message::Publish { subject, file, json } => {
            let body = read(file)?;
            let seq = publish(&broker, subject, &[], body).await?;
            if *json {
                output.json(&json!({ "subject": subject, "stream_seq": seq }))?;
            } else {
                output.line(format_args!("{subject} {seq}"))?;
            }
            Ok(true)
        }
    };
    broker.close().await;
    done
}

async fn ls(broker: &Broker, list: &MessageList, output: &mut Output) -> anyhow::Result<()> {
    let now: Timestamp = clock();
    let since = match (list.since, list.saga) {
        (Some(since), _) => since.moment(now),
        // The broker's clock may be behind the one that made the id.
        (None, Some(saga)) => saga.made_at().minus_ms(10_000),
        (None, None) => now.minus_ms(SINCE_MS),
    };
    let streams = list.stream.map_or_else(|| vec![Stream::Command, Stream::Reply], |it| vec![it.0]);
    let mut rows = Vec::new();
    for stream in streams {
        let scan = Scan {
            stream,
            from: list.from.map_or(ScanFrom::Time(since), ScanFrom::Seq),
            until: None,
            subject: list.subject.clone(),
            count_max: list.scan,
        };
        let mut found = 0;
        let scanned = broker
            .scan(&scan, |message| {
                for row in rows_of(stream, &message, list.saga) {
                    found += 1;
                    rows.push(row);
                }
                found < list.limit
            })
            .await?;
        if let Some(next) = scanned.next_seq {
            say(&format!("more: --stream {} --from {next}", stream.token()));
        }
    }
    // RFC 3339 in UTC sorts as text.
    rows.sort_by(|a, b| a["stored_at"].as_str().cmp(&b["stored_at"].as_str()));
    if list.json {
        return rows.iter().try_for_each(|row| Ok(output.json(row)?));
    }
    let cell = |row: &Value, name: &str| match &row[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = |row: &Value| {
        let element = row["element"].as_u64().map(|element| format!("#{element}")).unwrap_or_default();
        let place = [cell(row, "stream"), cell(row, "stream_seq") + &element];
        let names = ["stored_at", "subject", "id", "outcome", "bytes"];
        place.into_iter().chain(names.map(|name| cell(row, name))).collect()
    };
    let rows: Vec<_> = rows.iter().map(line).collect();
    Ok(output.table(&["STREAM", "SEQ", "STORED", "SUBJECT", "ID", "OUTCOME", "BYTES"], &rows)?)
}

fn clock() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// A row for each message in a stored one; what cannot be read is one, too, unless a saga is asked for.
fn rows_of(stream: Stream, message: &StoredMessage, saga: Option<SagaId>) -> Vec<Value> {
    let saga = saga.map(|saga| saga.to_string());
    if saga.as_ref().is_some_and(|id| !message.body.windows(id.len()).any(|part| part == id.as_bytes())) {
        return Vec::new();
    }
    let row = |part: Part, envelope: Option<&Envelope>| {
        json!({
            "stream": stream.token(),
            "stream_seq": message.seq,
            "element": part.element(),
            "stored_at": message.stored_at,
            "subject": message.subject,
            "bytes": part.of(&message.body).len(),
            "id": envelope.map(|it| &it.id),
            "saga": envelope.and_then(|it| it.sagaid.as_ref()),
            "effect": envelope.and_then(|it| it.effectid.as_ref()),
            "outcome": envelope.and_then(|it| it.data.get("outcome")),
        })
    };
    let elements = decode_batch(&message.body).unwrap_or_default();
    match saga {
        None if elements.is_empty() => vec![row(Part::WHOLE, None)],
        None => elements.iter().map(|it| row(it.part, it.envelope.as_ref().ok())).collect(),
        Some(id) => elements
            .iter()
            .filter_map(|it| Some((it.part, it.envelope.as_ref().ok()?)))
            .filter(|(_, envelope)| envelope.sagaid.as_ref() == Some(&id))
            .map(|(part, envelope)| row(part, Some(envelope)))
            .collect(),
    }
}

fn show(
    message: &StoredMessage,
    element: Option<u32>,
    (json, body): (bool, bool),
    output: &mut Output,
) -> anyhow::Result<()> {
    if body {
        return Ok(output.bytes(&message.body)?);
    }
    if json {
        return Ok(output.json(&json!({
            "subject": message.subject,
            "stream_seq": message.seq,
            "element": element,
            "stored_at": message.stored_at,
            "headers": message.headers,
            "body_base64": BASE64.encode(&message.body),
            "body": serde_json::from_slice::<Value>(&message.body).ok(),
        }))?);
    }
    output.line(format_args!("{:<11}{}", "subject", message.subject))?;
    output.line(format_args!("{:<11}{}", "sequence", message.seq))?;
    if let Some(element) = element {
        output.line(format_args!("{:<11}{element}", "element"))?;
    }
    output.line(format_args!("{:<11}{}", "stored", message.stored_at))?;
    for (name, value) in &message.headers {
        output.line(format_args!("{:<11}{name}: {value}", "header"))?;
    }
    Ok(output.line(format_args!("\n{}", String::from_utf8_lossy(&message.body)))?)
}

async fn redrive(broker: &Broker, command: &Redrive, output: &mut Output) -> anyhow::Result<bool> {
    let message = stored(broker, command.stream.0, command.place).await?;
    if command.place.element.is_some() && is_batch(&message.body) {
        bail!("it is a list within a batch: alone it would be read as a batch");
    }
    let effects = effects(&message);
    if command.wait.is_some() && (command.stream.0 != Stream::Command || effects.is_empty()) {
        bail!("only a command that can be read is replied to: leave --wait out");
    }
    let replies_from = broker.last_seq(Stream::Reply).await?.unwrap_or_default() + 1;
    let seq = publish(broker, &message.subject, &message.headers, message.body.to_vec()).await?;
    let reply = match command.wait {
        Some(seconds) => reply(broker, &effects, replies_from, Duration::from_secs(seconds)).await?,
        None => None,
    };
    if command.json {
        let reply = reply.as_ref().map(|reply| serde_json::from_slice::<Value>(reply).ok());
        output.json(&json!({ "subject": message.subject, "stream_seq": seq, "reply": reply }))?;
    } else {
        output.line(format_args!("{} {seq}", message.subject))?;
        if let Some(reply) = &reply {
            output.line(String::from_utf8_lossy(reply))?;
        }
    }
    if command.wait.is_some() && reply.is_none() {
        say("no reply has come: is the participant running? `amends saga show` tells what the saga knows");
    }
    Ok(command.wait.is_none() || reply.is_some())
}

/// What the commands of a message ask for.
fn effects(message: &StoredMessage) -> Vec<String> {
    let elements = decode_batch(&message.body).unwrap_or_default();
    elements.into_iter().filter_map(|decoded| decoded.envelope.ok()?.effectid).collect()
}

/// The text of the first message in it that is about one of these effects.
fn about<'a>(message: &'a StoredMessage, effects: &[String]) -> Option<&'a [u8]> {
    let elements = decode_batch(&message.body).unwrap_or_default();
    let is_about = |it: &Decoded| {
        let envelope = it.envelope.as_ref().ok();
        envelope.and_then(|it| it.effectid.as_ref()).is_some_and(|effect| effects.contains(effect))
    };
    elements.into_iter().find(is_about).map(|it| it.part.of(&message.body))
}

/// The first reply about one of these effects, from a sequence on.
async fn reply(
    broker: &Broker,
    effects: &[String],
    mut from: u64,
    patience: Duration,
) -> anyhow::Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + patience;
    loop {
        let mut found = None;
        let scan = Scan {
            stream: Stream::Reply,
            from: ScanFrom::Seq(from),
            until: None,
            subject: None,
            count_max: u64::MAX,
        };
        broker
            .scan(&scan, |message| {
                from = message.seq + 1;
                found = about(&message, effects).map(<[u8]>::to_vec);
                found.is_none()
            })
            .await?;
        if found.is_some() || Instant::now() >= deadline {
            return Ok(found);
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn stored(broker: &Broker, stream: Stream, place: Place) -> anyhow::Result<StoredMessage> {
    let (name, Place { seq, element }) = (broker.names().stream(stream), place);
    let message = broker.message(stream, seq).await?;
    let message =
        message.with_context(|| format!("{name} holds no message {seq}: it may be too old, or never was"))?;
    let Some(element) = element else { return Ok(message) };
    let elements = decode_batch(&message.body).unwrap_or_default();
    let found = elements.iter().find(|it| it.part.element() == Some(element));
    let last = elements.last().and_then(|it| it.part.element());
    let part = found.map(|it| it.part).with_context(|| match last {
        Some(last) => format!("message {seq} of {name} is a batch of the elements #0 to #{last}"),
        None => format!("message {seq} of {name} has no elements: leave #{element} out"),
    })?;
    // The others are the batch's.
    let headers = message.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header::TRACEPARENT));
    let (headers, body) = (headers.cloned().collect(), message.body.slice_ref(part.of(&message.body)));
    Ok(StoredMessage { headers, body, ..message })
}

/// Without a message id: the broker would take it for a duplicate and drop it.
async fn publish(
    broker: &Broker,
    subject: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> anyhow::Result<u64> {
    let header =
        |name: &str| headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let is_batch = match header(header::CONTENT_TYPE) {
        Some(content_type) => content_type == BATCH_CONTENT_TYPE,
        None => is_batch(&body),
    };
    let message = Outgoing {
        subject: subject.to_owned(),
        body: body.into(),
        message_id: None,
        content_type: if is_batch { BATCH_CONTENT_TYPE } else { CONTENT_TYPE },
        traceparent: header(header::TRACEPARENT).map(str::to_owned),
        ack: Ack::Own,
    };
    let sent = broker.publisher().publish(vec![message]).await.pop();
    let sent = sent.context("the broker gave no answer")?;
    // What is forbidden looks like a time-out; the reason came beside it.
    if sent.is_err()
        && let Some(forbidden) =
            broker.health().problems.iter().find(|problem| problem.kind == ProblemKind::Permission)
    {
        bail!(
            "nothing was stored of {subject}: the broker forbids it ({}); see \"who may do what\" in docs/OPERATIONS.md",
            forbidden.text
        );
    }
    Ok(sent.with_context(|| format!("nothing was stored of {subject}"))?.seq)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body).context("standard input cannot be read")?;
        return Ok(body);
    }
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
