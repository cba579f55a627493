//! Weather on the links, on all ways of one where it leads to several servers.
//!
//! Invariant: only the struck link changes, and it is clear again afterwards.

use super::Trace;
use crate::{
    fault::Fault,
    plan::Strike,
    proxy::{Proxy, Weather},
    world::World,
};

pub(super) fn begin(world: &World, strike: &Strike) -> Result<Trace, String> {
    let proxies = world.proxies.get(strike.target).ok_or_else(|| format!("{} is no link", strike.target))?;
    let weather = match strike.fault {
        Fault::Partition => Weather::Partition,
        Fault::NothingOut => Weather::NothingOut,
        Fault::NothingIn => Weather::NothingIn,
        Fault::Delay => Weather::Delay(10 + strike.dice % 290),
        Fault::Loss => Weather::Loss(5 + strike.dice % 45),
        Fault::HalfOpen => Weather::HalfOpen,
        Fault::CutCommits => Weather::CutCommits,
        Fault::Reset => {
            proxies.iter().for_each(Proxy::reset);
            return Ok(Trace::default());
        }
        other => return Err(format!("{other:?} is no weather")),
    };
    proxies.iter().for_each(|proxy| proxy.set(weather));
    Ok(Trace::default())
}

pub(super) fn clear(world: &World, target: &str) -> Result<(), String> {
    let proxies = world.proxies.get(target).ok_or_else(|| format!("{target} is no link"))?;
    proxies.iter().for_each(|proxy| proxy.set(Weather::Clear));
    Ok(())
}
