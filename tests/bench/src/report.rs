//! What was measured, as tables for people and as JSON.
//!
//! Invariant: a figure is said with what it was taken under: machine, versions, settings that deviate.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use amends_contract::Timestamp;
use amends_tests::amends;
use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::{Value, json};

use crate::{
    latency::Percentiles,
    measured::Measured,
    meters::Part,
    ratios,
    settings::Setting,
    world::{DEVIATIONS, Places, file_system},
};

/// The names of settings.
pub(crate) fn list(settings: &[Setting]) {
    settings.iter().for_each(|setting| println!("{}", setting.name()));
}

/// One measurement, as soon as it is there.
pub(crate) fn tell(measured: &Measured, run: u32) {
    println!("{} (run {run})", measured.name);
    if measured.sagas > 0 {
        let Percentiles { p50_ms, p95_ms, p99_ms, .. } = measured.latency;
        println!(
            "  {:.0}/s, p50 {p50_ms:.1} p95 {p95_ms:.1} p99 {p99_ms:.1} ms, {} sagas in {:.1} s",
            measured.per_second, measured.sagas, measured.seconds
        );
        println!("  CPU ms/saga: {}", listed(&measured.cpu_ms_per_saga));
        println!("  messages/saga: {}", listed(&measured.messages_per_saga));
        println!("  commits/saga: {}", listed(&measured.commits_per_saga));
        let peaks = measured.peak_rss_kib.iter().map(|(name, kib)| format!("{name} {}", kib / 1024));
        println!("  peak MiB: {}", peaks.collect::<Vec<_>>().join(", "));
    }
    measured.facts.iter().for_each(|(what, value)| println!("  {what}: {value}"));
    measured.wrong.iter().for_each(|wrong| println!("  WRONG: {wrong}"));
}

fn listed(values: &BTreeMap<String, f64>) -> String {
    values.iter().map(|(name, value)| format!("{name} {value:.3}")).collect::<Vec<_>>().join(", ")
}

/// All of them.
pub(crate) fn summary(all: &[Measured], runs: u32, lasted: Duration) {
    println!("\n{}", loops(all));
    println!(
        "CPU ms/saga is without the outside world (payment provider, mail server) and the load; of the floor it is \
         with the nats-server and the database beside it. Latency is from submission to settled, as the client \
         sees it; of open loops from when the order was to be sent. Peak MiB is the orchestrator's; of the floor \
         it is of all."
    );
    for one in all.iter().filter(|one| !one.facts.is_empty()) {
        println!("\n{}", one.name);
        one.facts.iter().for_each(|(what, value)| println!("  {what:<76} {value:>12.2}"));
    }
    let ratios = ratios::of(all);
    if !ratios.is_empty() {
        println!("\nBeside the floor of the same run\n{}", ratios::table(&ratios));
    }
    let of_runs = if runs > 1 { format!(", medians of {runs} runs") } else { String::new() };
    println!("{} settings in {:.0} s{of_runs}.", all.len(), lasted.as_secs_f64());
    let wrong: Vec<_> = all.iter().filter(|one| !one.wrong.is_empty()).collect();
    match wrong.len() {
        0 => println!("All sagas settled, and all books balance."),
        count => {
            println!("{count} of {} settings went WRONG:", all.len());
            wrong.iter().for_each(|one| one.wrong.iter().for_each(|why| println!("  {}: {why}", one.name)));
        }
    }
}

fn loops(all: &[Measured]) -> Table {
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
    for one in all.iter().filter(|one| one.sagas > 0) {
        let Percentiles { p50_ms, p95_ms, p99_ms, .. } = one.latency;
        let peak = ["orchestrator", "floor"].into_iter().find_map(|name| one.peak_rss_kib.get(name));
        let mut row = vec![one.name.clone(), format!("{:.0}", one.per_second)];
        row.extend([p50_ms, p95_ms, p99_ms].map(|ms| format!("{ms:.1}")));
        let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        row.push(figure(one.cpu()));
        let parts =
            [Part::Orchestrator, Part::Participant, Part::Broker, Part::Database, Part::Outside, Part::Load];
        row.extend(parts.map(|part| figure(one.cpu_of(part))));
        row.push((peak.copied().unwrap_or(0) / 1024).to_string());
        row.push(format!("{:.2}", one.messages_per_saga.values().sum::<f64>()));
        row.push(format!("{:.2}", one.commits_per_saga.values().sum::<f64>()));
        table.add_row(row);
    }
    table
}

/// Says what everything is measured on.
pub(crate) fn machine(places: &Places) -> Value {
    let about = about(places);
    println!("{}", serde_json::to_string_pretty(&about).unwrap_or_default());
    if about["file_system"] == "tmpfs" {
        println!("WARNING: {} is on tmpfs: nothing is durable there; say --data", places.data.display());
    }
    if about["optimised"] == false {
        println!(
            "WARNING: this build is not optimised; its figures say nothing (make bench builds the right one)"
        );
    }
    about
}

fn about(places: &Places) -> Value {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let broker = said(amends(), &["nats-server"]).unwrap_or_default();
    json!({
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory": memory.trim(),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "load_before": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "amends": said(amends(), &["--version"]),
        "commit": said(Path::new("git"), &["describe", "--always", "--dirty"]),
        "nats_server": said(Path::new(&broker), &["--version"]),
        "postgres": said(Path::new("psql"), &["--version"]),
        "optimised": !cfg!(debug_assertions),
        "data": places.data,
        "file_system": file_system(&places.data),
        "durability": "SQLite: WAL, synchronous=FULL; PostgreSQL: fsync and synchronous_commit on, over its Unix socket; \
                       JetStream: file store, its own sync interval",
        "settings_that_deviate": DEVIATIONS.into_iter().collect::<BTreeMap<_, _>>(),
        "command": std::env::args().collect::<Vec<_>>().join(" "),
    })
}

fn said(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok();
    let output = output.filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Writes all of it beside the build, as `bench/<time>.json`.
pub(crate) fn write(
    about: &Value,
    medians: &[Measured],
    runs: &[Measured],
    places: &Places,
) -> anyhow::Result<()> {
    // `<target>/<profile>/amends-bench`.
    let folder = places.program.ancestors().nth(2).unwrap_or(Path::new("target")).join("bench");
    fs::create_dir_all(&folder)?;
    let at = Timestamp::from_unix_ms(i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_millis())?);
    let file = folder.join(format!("{}.json", at.to_string().replace(':', "-")));
    let all = json!({
        "about": about,
        "at": at.to_string(),
        "medians": medians,
        "ratios": ratios::of(medians),
        "runs": runs,
    });
    fs::write(&file, serde_json::to_string_pretty(&all)?)?;
    println!("{}", file.display());
    Ok(())
}
