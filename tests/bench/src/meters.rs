//! What a measurement cost: time on the processors and memory by process, messages, commits.
//!
//! Invariant: all of it is read twice, at the same two moments between which orders are counted.

use std::collections::BTreeMap;

use amends_broker::Broker;
use amends_contract::Stream;
use amends_tests::Client;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::{load::Watch, proc};

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    Orchestrator,
    Participant,
    Broker,
    Database,
    /// The payment provider, the mail server: no part of the system.
    Outside,
    /// Ourselves.
    Load,
}

/// A process that is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) part: Part,
    pub(crate) pid: u32,
    /// Where its metrics are, and which of them counts its commits.
    pub(crate) commits: Option<(String, &'static str)>,
}

impl Watched {
    /// PostgreSQL works in processes of its own for each connection.
    pub(crate) fn with_children(&self) -> bool {
        self.part == Part::Database
    }
}

/// What one process took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Taken {
    pub(crate) name: String,
    pub(crate) part: Part,
    pub(crate) cpu_ms: u64,
    pub(crate) peak_kib: u64,
    /// `None` where nobody counts them.
    pub(crate) commits: Option<u64>,
}

/// What all of them took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Costs {
    pub(crate) processes: Vec<Taken>,
    /// Messages stored, by stream.
    pub(crate) messages: BTreeMap<&'static str, u64>,
}

/// Counters that somebody has to be asked for.
type Counts = (BTreeMap<String, u64>, BTreeMap<&'static str, u64>);

/// The meters of one measurement.
pub(crate) struct Meters {
    watched: Vec<Watched>,
    client: Client,
    broker: Broker,
    cpu: [Vec<u64>; 2],
    peak: Vec<u64>,
    counts: Vec<JoinHandle<Counts>>,
}

impl Meters {
    pub(crate) fn new(watched: Vec<Watched>, client: &Client, broker: &Broker) -> Self {
        let (client, broker) = (client.clone(), broker.clone());
        Self { watched, client, broker, cpu: [Vec::new(), Vec::new()], peak: Vec::new(), counts: Vec::new() }
    }

    /// What was taken between the two readings.
    pub(crate) async fn costs(self) -> anyhow::Result<Costs> {
        let mut counts = Vec::new();
        for reading in self.counts {
            counts.push(reading.await?);
        }
        let [(commits, messages), (commits_after, messages_after)] = &counts[..] else {
            anyhow::bail!("a measurement is read twice, not {} times", counts.len());
        };
        let since = |before: u64, after: u64| after.saturating_sub(before);
        let taken = |(index, process): (usize, &Watched)| Taken {
            name: process.name.clone(),
            part: process.part,
            cpu_ms: since(self.cpu[0][index], self.cpu[1][index]),
            peak_kib: self.peak[index],
            commits: commits_after
                .get(&process.name)
                .map(|after| since(commits.get(&process.name).copied().unwrap_or(0), *after)),
        };
        let stored = |(name, after): (&&'static str, &u64)| {
            (*name, since(messages.get(name).copied().unwrap_or(0), *after))
        };
        Ok(Costs {
            processes: self.watched.iter().enumerate().map(taken).collect(),
            messages: messages_after.iter().map(stored).collect(),
        })
    }

    fn cpu(&self) -> Vec<u64> {
        self.watched.iter().map(|process| proc::cpu_ms(process.pid, process.with_children())).collect()
    }

    /// Asks without waiting: the load goes on meanwhile.
    fn ask(&mut self) {
        let (watched, client, broker) = (self.watched.clone(), self.client.clone(), self.broker.clone());
        self.counts.push(tokio::spawn(async move {
            let mut commits = BTreeMap::new();
            for process in &watched {
                let Some((url, metric)) = &process.commits else { continue };
                let answer = client.send("GET", url, &[], None).await;
                let text = answer.ok().and_then(|answer| answer.body.as_str().map(str::to_owned));
                commits.extend(text.map(|text| (process.name.clone(), sum(&text, metric))));
            }
            let streams = broker.streams().await.unwrap_or_default();
            let stored = streams
                .iter()
                .filter_map(|summary| Some((name(summary.stream), summary.position.as_ref()?.last_seq)));
            (commits, stored.collect())
        }));
    }
}

impl Watch for Meters {
    fn begun(&mut self) {
        self.watched.iter().for_each(|process| proc::forget_peak(process.pid));
        self.ask();
        self.cpu[0] = self.cpu();
    }

    fn ended(&mut self) {
        self.cpu[1] = self.cpu();
        self.peak =
            self.watched.iter().map(|process| proc::peak_kib(process.pid, process.with_children())).collect();
        self.ask();
    }
}

const fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Command => "commands",
        Stream::Reply => "replies",
        Stream::Event => "events",
        Stream::Dead => "dead letters",
    }
}

/// The sum of a counter over all its labels.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a counter is whole and positive"
)]
fn sum(text: &str, metric: &str) -> u64 {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let is_it = rest.starts_with([' ', '{']);
        is_it.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    samples.sum::<f64>() as u64
}

#[test]
fn a_counter_is_summed_over_its_labels() {
    let text = "# HELP a_total x\na_total{b=\"1 2\"} 3\na_total{b=\"2\"} 4\na_total_more 9\n";
    assert_eq!(sum(text, "a_total"), 7);
    assert_eq!(sum("a_total 5\n", "a_total"), 5);
}
