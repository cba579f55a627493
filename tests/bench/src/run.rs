//! Carries out settings, one after the other, each in a world of its own.
//!
//! Invariant: a run whose orders did not end as they had to, or whose books do not balance, is a failure.

use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;

pub use crate::world::Places;
use crate::{
    books, floor_run,
    load::{Amount, Load, Pace},
    measured::Measured,
    meters::Meters,
    ordeal,
    orders::Orders,
    report,
    settings::{self, Acks, Floor, Laden, Loop, Setting, Share},
    stored,
    world::{Database, Layout, Way, World},
};

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Only settings with one of these names, or whose names contain one that is no whole name; separated by commas.
    #[arg(long, env = "ONLY", default_value = "", hide_env_values = true)]
    only: String,
    /// How often each is run; medians are shown.
    #[arg(long, env = "RUNS", default_value_t = 1)]
    runs: u32,
    /// The settings that take long, too.
    #[arg(long)]
    full: bool,
    /// Divides the numbers of orders and of sagas in the store, for a quick look that proves little.
    #[arg(long, default_value_t = 1)]
    divide: u32,
    /// Shows the names of the settings, and measures nothing.
    #[arg(long)]
    list: bool,
    /// Where the data of the runs lies; a folder on a disk, since what is measured is durable. PostgreSQL's lies in
    /// the system's folder for temporary files, whatever this says.
    #[arg(long, env = "BENCH_DATA", default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
}

/// Measures; `false` when something was wrong.
///
/// # Errors
/// When it cannot be measured.
pub async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let share = Share { divisor: arguments.divide };
    let mut chosen = settings::usual(share);
    if arguments.full || !arguments.only.trim().is_empty() {
        chosen.extend(settings::long(share));
    }
    let names: Vec<String> = chosen.iter().map(Setting::name).collect();
    chosen.retain(|setting| is_chosen(&arguments.only, &setting.name(), &names));
    if arguments.list {
        report::list(&chosen);
        return Ok(true);
    }
    if chosen.is_empty() {
        anyhow::bail!("no setting is called like {:?}; --list --full shows them all", arguments.only);
    }
    let places = Places { program: std::env::current_exe()?, data: arguments.data.clone() };
    let about = report::machine(&places);
    let (mut runs, started) = (Vec::new(), Instant::now());
    for number in 1..=arguments.runs.max(1) {
        for setting in &chosen {
            // Whoever waits wants to see what goes wrong at once, and the others' figures all the same.
            let measured = measure(setting, &places).await.unwrap_or_else(|error| {
                Measured::of_facts(&setting.name(), &[], vec![format!("it could not be measured: {error:#}")])
            });
            report::tell(&measured, number);
            runs.push(measured);
        }
    }
    let of = |setting: &Setting| {
        let name = setting.name();
        let runs: Vec<_> = runs.iter().filter(|run| run.name == name).cloned().collect();
        Measured::median(&runs)
    };
    let medians: Vec<_> = chosen.iter().map(of).collect();
    report::summary(&medians, arguments.runs.max(1), started.elapsed());
    report::write(&about, &medians, &runs, &places)?;
    Ok(runs.iter().all(|run| run.wrong.is_empty()))
}

/// A whole name stands for itself alone: many others begin with it, and some of those take long and fill a disk.
fn is_chosen(only: &str, name: &str, names: &[String]) -> bool {
    let mut wanted = only.split(',').map(str::trim).filter(|part| !part.is_empty()).peekable();
    let is_whole = |part: &str| names.iter().any(|name| name == part);
    wanted.peek().is_none()
        || wanted.any(|part| if is_whole(part) { name == part } else { name.contains(part) })
}

async fn measure(setting: &Setting, places: &Places) -> anyhow::Result<Measured> {
    let name = setting.name();
    match *setting {
        Setting::Floor(of) => floor_run::run(&of, places).await,
        Setting::Loop(of) => load(&of, places).await,
        Setting::Overload { database, lasts } => ordeal::overload(&name, database, lasts, places).await,
        Setting::Idle { database, lasts } => ordeal::idle(&name, database, lasts, places).await,
        Setting::Opening { database, open } => ordeal::opening(&name, database, open, places).await,
    }
}

async fn load(of: &Loop, places: &Places) -> anyhow::Result<Measured> {
    let mut world = World::start(of.layout, places).await?;
    if of.stored > 0 {
        stored::fill(&mut world, of.stored).await?;
    }
    let mut door = world.door(of.way, true).await?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let orders = Orders::new(&format!("bench-{run:x}"));
    let mut meters = Meters::new(world.watched(), &world.system.client, &world.broker);
    let seen = Load::new(&mut door, &orders, 0, of.pace, of.amount).run(&mut meters).await?;
    let costs = meters.costs().await?;
    let mut measured = Measured::of_load(&of.name(), seen, &costs);
    measured.wrong.extend(books::findings(&world, []).await?);
    Ok(measured)
}

/// A small closed loop in which all parts take part, to see that they work: gives what was wrong.
///
/// # Errors
/// When it cannot be carried out.
pub async fn miniature(places: &Places) -> anyhow::Result<Vec<String>> {
    let layout = Layout::books(Database::Sqlite);
    let amount = Amount { warm_up: 4, counted: 20, longest: Duration::from_secs(60) };
    let of = Loop { layout, way: Way::Subject, pace: Pace::Closed(4), amount, stored: 0 };
    let mut measured = load(&of, places).await?;
    if measured.sagas < amount.counted {
        measured.wrong.push(format!("only {} of {} orders ended", measured.sagas, amount.counted));
    }
    for (what, counts) in [("messages", &measured.messages_per_saga), ("commits", &measured.commits_per_saga)]
    {
        if counts.values().sum::<f64>() <= 0.0 {
            measured.wrong.push(format!("no {what} were counted"));
        }
    }
    Ok(measured.wrong)
}

/// Some sagas through the floor with all that it can be laden with; it fails if its books do not balance.
///
/// # Errors
/// When it cannot be carried out.
pub async fn laden_miniature(places: &Places) -> anyhow::Result<()> {
    let amount = Amount { warm_up: 6, counted: 12, longest: Duration::from_secs(60) };
    for (laden, messages) in [(Laden::Messages, 8.0), (Laden::Events, 10.0), (Laden::Rows, 10.0)] {
        let of = Floor { database: Database::Sqlite, acks: Acks::Each, laden, in_flight: 4, amount };
        let measured = floor_run::run(&of, places).await?;
        let counted: f64 = measured.messages_per_saga.values().sum();
        // Those of the next sagas go out while the last ones are counted.
        anyhow::ensure!(counted >= messages - 1.0, "{laden:?}: {counted} messages instead of {messages}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_name_chooses_one_setting_and_a_part_all_that_have_it() {
        let names = ["a/one", "a/one/more", "b/one"].map(str::to_owned);
        let chosen = |only: &str| -> Vec<&str> {
            names.iter().map(String::as_str).filter(|name| is_chosen(only, name, &names)).collect()
        };
        assert_eq!(chosen(""), ["a/one", "a/one/more", "b/one"]);
        assert_eq!(chosen("a/one"), ["a/one"]);
        assert_eq!(chosen("a/"), ["a/one", "a/one/more"]);
        assert_eq!(chosen("more, b/one"), ["a/one/more", "b/one"]);
        assert!(chosen("c").is_empty());
    }
}
