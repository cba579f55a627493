//! The orchestrator: starts sagas, takes replies, commits what they decide, sends the next commands.
//!
//! Invariant: so many sagas run at once as were asked for, until the last ones settle.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use async_nats::{Message, Subject};
use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Arguments, Setup,
    laden::Laden,
    meter::{Meter, now_ms},
    pipe::{Sink, Source},
    saga::{Body, Outcome, Saga, Step, json},
    store::{SagaRow, Store},
};

/// What the log keeps of a transition.
#[derive(Serialize)]
struct Entry<'a> {
    at: i64,
    input: &'a str,
    outcome: Option<Outcome>,
    sends: Option<Step>,
    status: &'static str,
}

pub(super) struct Orchestrator<'a> {
    arguments: &'a Arguments,
    store: &'a mut Store,
    sagas: HashMap<Uuid, Saga>,
    started: usize,
    settled: usize,
    latencies: Vec<Duration>,
}

/// What one batch has come to.
#[derive(Default)]
struct Batch {
    rows: Vec<SagaRow>,
    sources: Vec<Subject>,
    outputs: Vec<(&'static str, Bytes)>,
    settled: Vec<Instant>,
}

impl<'a> Orchestrator<'a> {
    pub(super) fn new(arguments: &'a Arguments, store: &'a mut Store) -> Self {
        Self { arguments, store, sagas: HashMap::new(), started: 0, settled: 0, latencies: Vec::new() }
    }

    /// Runs all sagas; gives the latencies of those that count, and what they cost.
    pub(super) async fn run(
        mut self,
        setup: &Setup,
        mut source: Source,
        mut sink: Sink,
    ) -> anyhow::Result<(Vec<Duration>, Meter)> {
        self.run_until(self.arguments.warm_up, setup, &mut source, &mut sink).await?;
        self.latencies.clear();
        let mut meter = Meter::start(&setup.counters)?;
        let total = self.arguments.warm_up + self.arguments.sagas;
        self.run_until(total, setup, &mut source, &mut sink).await?;
        meter.stop(&setup.counters)?;
        sink.close().await?;
        Ok((self.latencies, meter))
    }

    /// Runs until so many sagas have settled, and none is left.
    async fn run_until(
        &mut self,
        total: usize,
        setup: &Setup,
        source: &mut Source,
        sink: &mut Sink,
    ) -> anyhow::Result<()> {
        while self.settled < total {
            let starts = (total - self.started).min(self.arguments.in_flight - self.sagas.len());
            let messages = if starts > 0 { source.take_ready()? } else { source.take().await? };
            let mut batch = Batch::default();
            for _ in 0..starts {
                self.start(&mut batch)?;
            }
            for message in messages {
                self.take(&mut batch, message)?;
            }
            if !batch.rows.is_empty() {
                self.store.commit_sagas(std::mem::take(&mut batch.rows)).await?;
                setup.counters.add(1, batch.outputs.len());
            }
            let now = Instant::now();
            self.settled += batch.settled.len();
            self.latencies.extend(batch.settled.into_iter().map(|began| now - began));
            sink.publish(batch.sources, batch.outputs).await?;
        }
        Ok(())
    }

    fn start(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        let id = Uuid::now_v7();
        let saga = Saga::start(self.started);
        self.started += 1;
        batch.decided(id, &saga, "start", None, self.arguments.laden)?;
        self.sagas.insert(id, saga);
        Ok(())
    }

    fn take(&mut self, batch: &mut Batch, message: Message) -> anyhow::Result<()> {
        let reply: Body<'_> = serde_json::from_slice(&message.payload)?;
        let outcome = reply.outcome.context("a reply without an outcome")?;
        // A reply to what is settled is a duplicate: acknowledged, and that is all.
        if let Some(saga) = self.sagas.get_mut(&reply.sagaid)
            && saga.take(reply.sagastep, outcome)
        {
            batch.decided(reply.sagaid, saga, reply.id, reply.outcome, self.arguments.laden)?;
            if saga.step.is_none() {
                batch.settled.push(saga.began);
                self.sagas.remove(&reply.sagaid);
            }
        }
        batch.sources.push(message.reply.context("a message without a way to acknowledge it")?);
        Ok(())
    }
}

impl Batch {
    /// Adds the row of a saga, the entry of its log, and what it sends next.
    fn decided(
        &mut self,
        sagaid: Uuid,
        saga: &Saga,
        input: &str,
        outcome: Option<Outcome>,
        laden: Laden,
    ) -> anyhow::Result<()> {
        let (version, status, at) = (saga.version, saga.status, now_ms());
        let entry = json(&Entry { at, input, outcome, sends: saga.step, status })?;
        self.rows.push(SagaRow { id: sagaid, version, status, state: json(saga)?, entry, at });
        let source = "orchestrator";
        let message = |id: &str, sagastep, load| {
            let (specversion, time, data) = ("1.0", at, saga.order);
            json(&Body { specversion, id, source, sagaid, sagastep, time, outcome: None, data, load })
        };
        if let Some(step) = saga.step {
            let command = message(&format!("{sagaid}/{}/do/1", step.name()), step, laden.command())?;
            self.outputs.push((step.subject(), command.into()));
        }
        if let Some(load) = laden.event()
            && (version == 1 || saga.step.is_none())
        {
            let event = message(&format!("{sagaid}/{version}/{status}"), Step::ReserveStock, load)?;
            self.outputs.push(("floor.event.order", event.into()));
        }
        Ok(())
    }
}
