//! Limits and memory of this machine, as a process sees them that is started as we were.

use rustix::process::{Resource, getrlimit};

use crate::facts::{Machine, Memory};

pub(super) fn facts() -> Machine {
    Machine { files_max: getrlimit(Resource::Nofile).maximum, memory: memory() }
}

fn memory() -> Option<Memory> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory { total_bytes: bytes("MemTotal")?, available_bytes: bytes("MemAvailable")? })
}

#[test]
fn a_machine_has_memory() {
    let memory = memory().unwrap();
    assert!(memory.total_bytes > memory.available_bytes);
}
