//! `make model`: searches the scenes within wide bounds and prints what came of it.
//!
//! `AMENDS_MODEL_SENDS=4` goes further (hours, tens of gigabytes); an argument names the only scene wanted.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use amends_model::{check, scenes};

fn main() -> io::Result<ExitCode> {
    let sends = env::var("AMENDS_MODEL_SENDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let only = env::args().nth(1);
    let (mut out, mut states, mut good) = (io::stdout(), 0, true);
    for scene in scenes::wide(sends) {
        if only.as_ref().is_some_and(|only| only != scene.name) {
            continue;
        }
        let checked = check(scene);
        writeln!(out, "{checked}")?;
        states += checked.states;
        good &= checked.holds();
    }
    writeln!(
        out,
        "{states} states; {}",
        if good { "every property holds" } else { "NOT every property holds" }
    )?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
