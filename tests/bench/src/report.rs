//! What was measured, as a table for people and as JSON.
//!
//! Invariant: a figure is said with what it was taken under: machine, versions, settings that deviate.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, time::Duration};

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    latency::Percentiles,
    load::Seen,
    meters::{Costs, Part},
    settings::Setting,
    world::{DEVIATIONS, Places, file_system},
};

/// The figures of one setting.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) sagas: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) latency: Percentiles,
    /// Milliseconds on the processors, by process, and `total` without load and outside world.
    pub(crate) cpu_ms_per_saga: BTreeMap<String, f64>,
    /// The same by what the processes are there for.
    pub(crate) cpu_ms_per_saga_by_part: BTreeMap<String, f64>,
    pub(crate) peak_rss_kib: BTreeMap<String, u64>,
    pub(crate) messages_per_saga: BTreeMap<String, f64>,
    pub(crate) commits_per_saga: BTreeMap<String, f64>,
    /// Answers 429 and 503.
    pub(crate) refused: u64,
    /// Answers that came before the end, after the longest wait.
    pub(crate) overdue: u64,
    /// Orders begun in all.
    pub(crate) begun: u64,
    pub(crate) wrong: Vec<String>,
}

/// Everything that belongs to the system itself.
const TOTAL: &str = "total";

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "counts of minutes fit")]
    pub(crate) fn new(setting: &Setting, seen: Seen, costs: Costs, findings: Vec<String>) -> Self {
        let per_saga = |count: u64| rounded(count as f64 / seen.counted.max(1) as f64);
        let mut cpu_ms_per_saga = BTreeMap::new();
        let mut by_part: BTreeMap<String, u64> = BTreeMap::new();
        let mut total = 0;
        for process in &costs.processes {
            cpu_ms_per_saga.insert(process.name.clone(), per_saga(process.cpu_ms));
            *by_part.entry(part(process.part).to_owned()).or_default() += process.cpu_ms;
            if !matches!(process.part, Part::Outside | Part::Load) {
                total += process.cpu_ms;
            }
        }
        cpu_ms_per_saga.insert(TOTAL.to_owned(), per_saga(total));
        let commits = costs
            .processes
            .iter()
            .filter_map(|process| Some((process.name.clone(), per_saga(process.commits?))));
        let seconds = seen.lasted.as_secs_f64();
        let mut wrong = seen.wrong;
        wrong.extend(findings);
        Self {
            name: setting.name(),
            sagas: seen.counted,
            seconds: rounded(seconds),
            per_second: rounded(seen.counted as f64 / seconds.max(Duration::from_millis(1).as_secs_f64())),
            latency: seen.latency.percentiles(),
            cpu_ms_per_saga,
            cpu_ms_per_saga_by_part: by_part.into_iter().map(|(part, ms)| (part, per_saga(ms))).collect(),
            peak_rss_kib: costs.processes.iter().map(|one| (one.name.clone(), one.peak_kib)).collect(),
            messages_per_saga: costs
                .messages
                .iter()
                .map(|(name, count)| ((*name).to_owned(), per_saga(*count)))
                .collect(),
            commits_per_saga: commits.collect(),
            refused: seen.refused,
            overdue: seen.overdue,
            begun: seen.begun,
            wrong,
        }
    }

    fn part(&self, part: Part) -> f64 {
        self.cpu_ms_per_saga_by_part.get(self::part(part)).copied().unwrap_or(0.0)
    }
}

const fn part(part: Part) -> &'static str {
    match part {
        Part::Orchestrator => "orchestrators",
        Part::Participant => "participants",
        Part::Broker => "nats-server",
        Part::Database => "database",
        Part::Outside => "outside",
        Part::Load => "load",
    }
}

/// Four digits behind the point tell microseconds; more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// The names of settings.
pub(crate) fn list(settings: &[Setting]) {
    settings.iter().for_each(|setting| println!("{}", setting.name()));
}

/// One measurement, as soon as it is there.
pub(crate) fn tell(measured: &Measured) {
    let Percentiles { p50_ms, p95_ms, p99_ms, .. } = measured.latency;
    println!(
        "{}: {:.0}/s, p50 {p50_ms:.1} p95 {p95_ms:.1} p99 {p99_ms:.1} ms, {} sagas in {:.1} s",
        measured.name, measured.per_second, measured.sagas, measured.seconds
    );
    let of = |values: &BTreeMap<String, f64>| {
        values.iter().map(|(name, value)| format!("{name} {value:.3}")).collect::<Vec<_>>().join(", ")
    };
    println!("  CPU ms/saga: {}", of(&measured.cpu_ms_per_saga));
    println!("  messages/saga: {}", of(&measured.messages_per_saga));
    println!("  commits/saga: {}", of(&measured.commits_per_saga));
    let peaks = measured.peak_rss_kib.iter().map(|(name, kib)| format!("{name} {}", kib / 1024));
    println!("  peak MiB: {}", peaks.collect::<Vec<_>>().join(", "));
    if measured.refused + measured.overdue > 0 {
        println!("  refused {} times, not ended in time {} times", measured.refused, measured.overdue);
    }
    measured.wrong.iter().for_each(|wrong| println!("  WRONG: {wrong}"));
}

/// All of them.
pub(crate) fn summary(all: &[Measured]) {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "setting",
        "sagas/s",
        "p50 ms",
        "p95",
        "p99",
        "CPU ms/saga",
        "orchestr.",
        "particip.",
        "nats",
        "database",
        "outside",
        "load",
        "peak MiB",
        "msgs",
        "commits",
    ]);
    for one in all {
        let Percentiles { p50_ms, p95_ms, p99_ms, .. } = one.latency;
        let total = one.cpu_ms_per_saga.get(TOTAL).copied().unwrap_or(0.0);
        let peak = one.peak_rss_kib.get("orchestrator").copied().unwrap_or(0) / 1024;
        let mut row = vec![one.name.clone(), format!("{:.0}", one.per_second)];
        row.extend([p50_ms, p95_ms, p99_ms].map(|ms| format!("{ms:.1}")));
        row.push(format!("{total:.3}"));
        let parts =
            [Part::Orchestrator, Part::Participant, Part::Broker, Part::Database, Part::Outside, Part::Load];
        row.extend(parts.map(|part| format!("{:.3}", one.part(part))));
        row.push(peak.to_string());
        row.push(format!("{:.2}", one.messages_per_saga.values().sum::<f64>()));
        row.push(format!("{:.2}", one.commits_per_saga.values().sum::<f64>()));
        table.add_row(row);
    }
    println!(
        "\n{table}\nCPU ms/saga is without the outside world and the load; peak MiB is the orchestrator's; \
         latency is from submission to settled."
    );
    let wrong = all.iter().filter(|one| !one.wrong.is_empty()).count();
    match wrong {
        0 => println!("All sagas settled, and all books balance."),
        _ => println!("{wrong} of {} settings went WRONG: see above.", all.len()),
    }
}

/// What everything is measured on.
pub(crate) fn machine(places: &Places) {
    let about = about(places);
    println!("{}", serde_json::to_string_pretty(&about).unwrap_or_default());
    if about["file_system"] == "tmpfs" {
        println!(
            "WARNING: {} is on tmpfs: nothing is durable there; choose another by --data",
            places.data.display()
        );
    }
}

fn about(places: &Places) -> Value {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        let output = output.filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    json!({
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory": memory.trim(),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "load_before": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "version": env!("CARGO_PKG_VERSION"),
        "commit": said("git", &["describe", "--always", "--dirty"]),
        "optimised": !cfg!(debug_assertions),
        "data": places.data,
        "file_system": file_system(&places.data),
        "settings_that_deviate": DEVIATIONS.into_iter().collect::<BTreeMap<_, _>>(),
        "command": std::env::args().collect::<Vec<_>>().join(" "),
    })
}

/// Writes all of it beside the build, as `bench/<time>.json`.
pub(crate) fn write(all: &[Measured], places: &Places) -> anyhow::Result<()> {
    // `<target>/<profile>/amends-bench`.
    let target = places.program.ancestors().nth(2).map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    let at = amends_contract::Timestamp::from_unix_ms(i64::try_from(
        std::time::UNIX_EPOCH.elapsed()?.as_millis(),
    )?);
    let file = folder.join(format!("{}.json", at.to_string().replace(':', "-")));
    let all = json!({ "about": about(places), "at": at.to_string(), "measured": all });
    fs::write(&file, serde_json::to_string_pretty(&all)?)?;
    println!("{}", file.display());
    Ok(())
}
