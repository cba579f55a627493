//! Carries out settings, one after the other, each in a world of its own.
//!
//! Invariant: a run whose orders did not end as they had to, or whose books do not balance, is a failure.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;

pub use crate::world::Places;
use crate::{
    books,
    load::{Amount, Load, Pace},
    meters::Meters,
    orders::Orders,
    report::{self, Measured},
    settings::{self, Setting},
    world::{Database, Kind, Layout, Way, World},
};

/// What is to be measured.
#[derive(Args, Clone, Debug, Default)]
pub struct Arguments {
    /// Only settings whose names contain one of these, separated by commas.
    #[arg(long, env = "ONLY", default_value = "", hide_env_values = true)]
    only: String,
    /// Shows the names of the settings, and measures nothing.
    #[arg(long)]
    list: bool,
    /// Where the data of the runs lies; a folder on a disk, since what is measured is durable.
    #[arg(long, env = "BENCH_DATA", default_value_os_t = std::env::temp_dir())]
    data: PathBuf,
}

/// Measures; `false` when something was wrong.
///
/// # Errors
/// When it cannot be measured.
pub async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let chosen: Vec<_> =
        settings::all().into_iter().filter(|setting| is_chosen(&arguments.only, &setting.name())).collect();
    if arguments.list {
        report::list(&chosen);
        return Ok(true);
    }
    if chosen.is_empty() {
        anyhow::bail!("no setting is called like {:?}; --list shows them all", arguments.only);
    }
    let places = Places { program: std::env::current_exe()?, data: arguments.data.clone() };
    report::machine(&places);
    let mut measured = Vec::new();
    for setting in &chosen {
        let one = measure(setting, &places).await?;
        report::tell(&one);
        measured.push(one);
    }
    report::summary(&measured);
    report::write(&measured, &places)?;
    Ok(measured.iter().all(|measured| measured.wrong.is_empty()))
}

fn is_chosen(only: &str, name: &str) -> bool {
    let mut wanted = only.split(',').map(str::trim).filter(|part| !part.is_empty()).peekable();
    wanted.peek().is_none() || wanted.any(|part| name.contains(part))
}

/// A small closed loop with one thing of each kind, to see that all of it works: gives what was wrong.
///
/// # Errors
/// When it cannot be carried out.
pub async fn miniature(places: &Places) -> anyhow::Result<Vec<String>> {
    let layout = Layout { kind: Kind::Books, database: Database::Sqlite, orchestrators: 1 };
    let amount = Amount { warm_up: 4, counted: 20, longest: std::time::Duration::from_secs(60) };
    let setting = Setting { layout, way: Way::Subject, pace: Pace::Closed(4), amount };
    let measured = measure(&setting, places).await?;
    let mut wrong = measured.wrong.clone();
    if measured.sagas < amount.counted {
        wrong.push(format!("only {} of {} orders ended", measured.sagas, amount.counted));
    }
    for (what, count) in [
        ("messages", measured.messages_per_saga.values().sum::<f64>()),
        ("commits", measured.commits_per_saga.values().sum::<f64>()),
    ] {
        if count <= 0.0 {
            wrong.push(format!("no {what} were counted"));
        }
    }
    Ok(wrong)
}

async fn measure(setting: &Setting, places: &Places) -> anyhow::Result<Measured> {
    let mut world = World::start(setting.layout, places).await?;
    let mut door = world.door(setting.way, true).await?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let orders = Orders::new(&format!("bench-{run:x}"));
    let mut meters = Meters::new(world.watched(), &world.system.client, &world.broker);
    let load = Load::new(&mut door, &orders, 0, setting.pace, setting.amount);
    let seen = load.run(&mut meters).await?;
    let costs = meters.costs().await?;
    let findings = books::findings(&world, []).await?;
    Ok(Measured::new(setting, seen, costs, findings))
}
