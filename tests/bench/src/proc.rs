//! What the kernel knows of a process: time on the processors, and memory.
//!
//! Invariant: a process's children count with it where it has some (PostgreSQL works in them), dead ones too.

use std::fs;

/// Milliseconds in a tick of `/proc/<pid>/stat`: `USER_HZ` is 100 wherever Linux runs Rust (proc(5)).
const TICK_MS: u64 = 10;

/// The fields of `/proc/<pid>/stat` that matter here.
struct Stat {
    parent: u32,
    /// User and system time of it, and of its children that were waited for, in ticks.
    ticks: u64,
}

/// Time on the processors so far, in milliseconds: user and system, all threads, and its children.
pub(crate) fn cpu_ms(pid: u32, with_children: bool) -> u64 {
    let own = stat(pid).map_or(0, |stat| stat.ticks);
    let children: u64 = match with_children {
        true => children(pid).filter_map(|(child, _)| stat(child)).map(|stat| stat.ticks).sum(),
        false => 0,
    };
    (own + children) * TICK_MS
}

/// The most memory it had since [`forget_peak`], in KiB; of several processes that of the largest, since they
/// share most of it.
pub(crate) fn peak_kib(pid: u32, with_children: bool) -> u64 {
    let children = children(pid).map(|(child, _)| child).filter(|_| with_children);
    children.chain([pid]).map(|pid| status_kib(pid, "VmHWM:")).max().unwrap_or(0)
}

/// How much memory it has now, in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    status_kib(pid, "VmRSS:")
}

/// The peak counts from now on.
pub(crate) fn forget_peak(pid: u32) {
    // 5 resets the peak (proc(5)). Not ours to reset: then it counts from the start.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn status_kib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn children(of: u32) -> impl Iterator<Item = (u32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(move |pid: u32| stat(pid).filter(|stat| stat.parent == of).map(|stat| (pid, stat)))
}

fn stat(pid: u32) -> Option<Stat> {
    read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name of a program may hold anything, brackets too; what follows the last one are numbers.
fn read(text: &str) -> Option<Stat> {
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    let ticks = (11..=14).map(number).sum::<Option<u64>>()?;
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks })
}

#[test]
fn a_line_of_the_kernel_is_read() {
    let text = "42 (odd) name) S 7 42 42 0 -1 4194560 1 0 0 0 10 20 3 4 20 0 9 0 100 1 1";
    let stat = read(text).unwrap();
    assert_eq!((stat.parent, stat.ticks), (7, 37));
    assert!(peak_kib(std::process::id(), false) > 0);
}
