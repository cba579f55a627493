//! What a run costs: time, CPU by component, memory, messages, commits.
//!
//! Invariant: all of it is read at the same two moments.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;

/// Counted by all components.
#[derive(Default)]
pub(super) struct Counters {
    commits: AtomicU64,
    messages: AtomicU64,
}

impl Counters {
    pub(super) fn add(&self, commits: u64, messages: usize) {
        self.commits.fetch_add(commits, Relaxed);
        self.messages.fetch_add(messages as u64, Relaxed);
    }
}

/// The difference between two moments.
pub(super) struct Meter {
    began: Instant,
    pub(super) elapsed: Duration,
    pub(super) commits: u64,
    pub(super) messages: u64,
    /// User and system, by the name of the component.
    pub(super) cpu: BTreeMap<String, Duration>,
}

impl Meter {
    pub(super) fn start(counters: &Counters) -> anyhow::Result<Self> {
        Ok(Self {
            began: Instant::now(),
            elapsed: Duration::ZERO,
            commits: counters.commits.load(Relaxed),
            messages: counters.messages.load(Relaxed),
            cpu: cpu()?,
        })
    }

    pub(super) fn stop(&mut self, counters: &Counters) -> anyhow::Result<()> {
        self.elapsed = self.began.elapsed();
        self.commits = counters.commits.load(Relaxed) - self.commits;
        self.messages = counters.messages.load(Relaxed) - self.messages;
        let before = std::mem::replace(&mut self.cpu, cpu()?);
        for (component, time) in &mut self.cpu {
            *time = time.saturating_sub(before.get(component).copied().unwrap_or_default());
        }
        Ok(())
    }
}

/// CPU of each thread, added up by component: a component's threads bear its name, the one that writes with
/// `-db` behind it.
fn cpu() -> anyhow::Result<BTreeMap<String, Duration>> {
    let mut by_component = BTreeMap::<String, Duration>::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let folder = thread?.path();
        let name = fs::read_to_string(folder.join("comm"))?;
        let component = name.trim().trim_end_matches("-db").to_owned();
        // Nanoseconds on a CPU, nanoseconds waiting for one, slices.
        let text = fs::read_to_string(folder.join("schedstat"))?;
        let on_cpu = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        *by_component.entry(component).or_default() +=
            Duration::from_nanos(on_cpu.context("/proc/self/task/*/schedstat reads otherwise")?);
    }
    Ok(by_component)
}

/// The most memory that this process has had.
pub(super) fn peak_rss_kib() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.context("/proc/self/status has no VmHWM")
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
