//! What the processes use while they are struck and loaded: samples for the auditor's L6.
//!
//! Read from /proc, as an operator would: resident memory, open descriptors, sockets.
//!
//! Invariant: each life of a process has samples of its own; one that was short, or only begins, says nothing
//! about what grows.

use std::{collections::BTreeMap, fs, path::Path};

use amends_audit::{Sample, Usage};

/// Samples of a life that are left out: it fills its pools and caches.
const WARM_UP: usize = 10;
/// Fewer samples behind those say nothing.
const LIFE_MIN: usize = 30;
/// Half as much again is growth: allocators keep what a peak took.
const GROWTH_MAX: f64 = 1.5;
/// Less than this is none: sagas that are remembered between two inputs take some ten MiB.
const SLACK_BYTES: u64 = 48 << 20;
/// The same for descriptors and connections: when a backlog is let go, payment opens some sixty connections to the
/// provider and keeps them for a while, and callers do as much to an orchestrator.
const SLACK_COUNT: u64 = 128;

/// The samples of all lives, by name of the process and its id.
#[derive(Default)]
pub(crate) struct Lives(BTreeMap<(String, u32), Vec<Sample>>);

impl Lives {
    /// Takes a sample, if the process lives.
    pub(crate) fn sample(&mut self, name: &str, pid: u32) {
        if let Some(sample) = read(&Path::new("/proc").join(pid.to_string())) {
            self.0.entry((name.to_owned(), pid)).or_default().push(sample);
        }
    }

    /// What the auditor goes by: the lives that were long enough.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        let long = self.0.iter().filter(|(_, samples)| samples.len() >= WARM_UP + LIFE_MIN);
        let usage = |((name, pid), samples): (&(String, u32), &Vec<Sample>)| Usage {
            process: format!("{name} (pid {pid})"),
            samples: samples[WARM_UP..].to_vec(),
            growth_max: GROWTH_MAX,
            slack_bytes: SLACK_BYTES,
            slack_count: SLACK_COUNT,
        };
        long.map(usage).collect()
    }

    /// A line for each process: its most of everything.
    pub(crate) fn table(&self) -> String {
        let mut most: BTreeMap<&str, (usize, usize, Sample)> = BTreeMap::new();
        for ((name, _), samples) in &self.0 {
            let (lives, longest, peak) = most.entry(name).or_default();
            *lives += 1;
            *longest = samples.len().max(*longest);
            for sample in samples {
                peak.memory_bytes = peak.memory_bytes.max(sample.memory_bytes);
                peak.descriptors = peak.descriptors.max(sample.descriptors);
                peak.connections = peak.connections.max(sample.connections);
            }
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["process", "lives", "longest, s", "memory at most, MiB", "descriptors", "sockets"]);
        for (name, (lives, longest, peak)) in most {
            let memory = (peak.memory_bytes >> 20).to_string();
            let (lives, longest) = (lives.to_string(), longest.to_string());
            let (descriptors, sockets) = (peak.descriptors.to_string(), peak.connections.to_string());
            table.add_row([name.to_owned(), lives, longest, memory, descriptors, sockets]);
        }
        table.to_string()
    }
}

/// `None` when it has ended.
fn read(process: &Path) -> Option<Sample> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().trim_end_matches("kB").trim().parse().ok()?;
    let descriptors: Vec<_> = fs::read_dir(process.join("fd")).ok()?.flatten().collect();
    let is_socket = |entry: &&fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    Some(Sample {
        memory_bytes: kib << 10,
        descriptors: descriptors.len() as u64,
        connections: descriptors.iter().filter(is_socket).count() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_be_sampled() {
        let mut lives = Lives::default();
        for _ in 0..WARM_UP + LIFE_MIN {
            lives.sample("this one", std::process::id());
        }
        lives.sample("short", std::process::id());
        let usage = lives.usage();
        assert_eq!(usage.len(), 1, "{usage:?}");
        assert_eq!(usage[0].samples.len(), LIFE_MIN);
        assert!(
            usage[0].samples.iter().all(|sample| sample.memory_bytes > 1 << 20 && sample.descriptors > 2)
        );
        assert!(lives.table().contains("this one"));
    }
}
