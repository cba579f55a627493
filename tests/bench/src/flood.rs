//! Orders that nobody waits for: so many a second, whatever becomes of them, or so many in all.
//!
//! Invariant: every id that was given out is kept: what is accepted must not be lost.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use amends_contract::SagaId;
use anyhow::Context as _;

use crate::{
    door::{Answer, Door, Said},
    orders::Orders,
};

/// Longest time between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);
/// More than this many that wait for a connection of ours would measure ourselves.
const BACKLOG_MAX: usize = 2_000;
/// Strange answers that are kept.
const KEPT: usize = 20;

/// What was answered.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) accepted: BTreeSet<SagaId>,
    /// 429 and 503, with `Retry-After`.
    pub(crate) refused: u64,
    /// Without it.
    pub(crate) refused_bare: u64,
    /// Orders that could not even be sent: all our connections waited for answers.
    pub(crate) unsent: u64,
    pub(crate) wrong: Vec<String>,
}

impl Answered {
    fn hear(&mut self, answer: &Answer) -> anyhow::Result<bool> {
        match answer.said() {
            Said::Ended { id, .. } | Said::Accepted { id } => {
                self.accepted.insert(id.parse().context("an id of a saga")?);
                return Ok(true);
            }
            Said::Refused { with_retry_after: true } => self.refused += 1,
            Said::Refused { with_retry_after: false } => self.refused_bare += 1,
            Said::Wrong(what) if self.wrong.len() < KEPT => self.wrong.push(what),
            Said::Wrong(_) => {}
        }
        Ok(false)
    }
}

/// Sends so many orders a second for so long; calls `each_second` meanwhile.
pub(crate) async fn flood(
    door: &mut Door,
    per_second: u64,
    lasts: Duration,
    orders: &Orders,
    mut each_second: impl FnMut(),
) -> anyhow::Result<Answered> {
    let (mut answered, mut answers) = (Answered::default(), Vec::new());
    let (started, gap) = (Instant::now(), Duration::from_nanos(1_000_000_000 / per_second.max(1)));
    let (mut number, mut under_way, mut seconds) = (0_u64, 0_usize, 0);
    loop {
        let now = Instant::now();
        let is_over = now - started >= lasts;
        if !is_over && (now - started).as_secs() > seconds {
            seconds = (now - started).as_secs();
            each_second();
        }
        while !is_over && started + gap.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX)) <= now {
            if door.backlog() > BACKLOG_MAX {
                answered.unsent += 1;
            } else {
                door.push(number, Orders::as_body(number), &orders.key(number));
                under_way += 1;
            }
            number += 1;
        }
        door.flush().await?;
        if is_over && under_way == 0 {
            return Ok(answered);
        }
        let due = started + gap.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
        let wakes = if is_over { now + TICK } else { due.min(now + TICK) };
        tokio::select! {
            heard = door.answers(&mut answers) => heard?,
            () = tokio::time::sleep_until(wakes.into()) => {}
        }
        for answer in answers.drain(..) {
            under_way -= 1;
            answered.hear(&answer)?;
        }
    }
}

/// Places so many orders, some at once; whoever is refused comes again.
pub(crate) async fn place(
    door: &mut Door,
    orders: &Orders,
    count: u64,
    at_once: usize,
) -> anyhow::Result<Answered> {
    let (mut answered, mut answers) = (Answered::default(), Vec::new());
    let (mut next, mut under_way, mut again) = (0_u64, 0_usize, VecDeque::new());
    while next < count || under_way > 0 || !again.is_empty() {
        let now = Instant::now();
        while under_way < at_once {
            let is_due = again.front().is_some_and(|(at, _)| *at <= now);
            let number = match again.pop_front_if(|_| is_due) {
                Some((_, number)) => number,
                None if next < count => {
                    next += 1;
                    next - 1
                }
                None => break,
            };
            let key = orders.key(number);
            door.push(number, orders.as_request(number), &key);
            under_way += 1;
        }
        door.flush().await?;
        tokio::select! {
            heard = door.answers(&mut answers) => heard?,
            () = tokio::time::sleep(TICK) => {}
        }
        for answer in answers.drain(..) {
            under_way -= 1;
            if !answered.hear(&answer)? {
                anyhow::ensure!(
                    answered.wrong.is_empty(),
                    "an order is answered {}",
                    answered.wrong.join("; ")
                );
                again.push_back((Instant::now() + TICK, answer.number));
            }
        }
    }
    Ok(answered)
}
