//! A participant is away for ten minutes while twenty thousand orders wait for it: nobody is kept out, nothing burns,
//! nothing is sent that nobody reads, and when it is back all of them settle.
//!
//! `AWAY_S` says for how long it is away once all orders are placed: 30 s unless it is said otherwise, 600 for the
//! whole thing (`ORDERS=20000 AWAY_S=600`).
//!
//! Invariant: each order ends as its kind says, as if nothing had happened: an outage compensates nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use amends_audit::{Expectations, Injected};
use amends_tests::{
    Dice, Wire, audit, books,
    traffic::{self, Order, Submission},
};
use rustix::process::Signal;

use super::{Playing, Scenario, Size};
use crate::{
    coverage::Coverage,
    fault::Fault,
    plan::Topology,
    run::{Outcome, Struck, Title},
    usage::Lives,
    world::World,
};

pub(super) const KILLED: Scenario = Scenario {
    name: "outage",
    about: "payment is killed and comes back; all orders wait for it, and none suffers",
    play: |title, size| -> Playing { Box::pin(play(("payment", Fault::Outage), title, size)) },
    ..OF_INVENTORY
};

pub(super) const STOPPED: Scenario = Scenario {
    name: "outage-paused",
    about: "payment stands still (SIGSTOP) and goes on; all orders wait for it, and none suffers",
    makes: &[(Fault::Pause, 1)],
    play: |title, size| -> Playing { Box::pin(play(("payment", Fault::Pause), title, size)) },
    ..OF_INVENTORY
};

pub(super) const OF_INVENTORY: Scenario = Scenario {
    name: "outage-inventory",
    about: "inventory is killed and comes back; all orders wait for it, and none suffers",
    size: Size { orders: 500, rate: 0, seed: 1 },
    makes: &[(Fault::Outage, 1)],
    sees: &["completed", "compensated", "held", "messages compared", "all orders waited"],
    play: |title, size| -> Playing { Box::pin(play(("inventory", Fault::Outage), title, size)) },
};

const TOPOLOGY: Topology = Topology {
    postgres: false,
    three_brokers: false,
    orchestrator_count: 1,
    default_leases: true,
    bundles: false,
};
const AWAY_S: u64 = 30;
/// So long after the last order everything has been found to be held: twice the definition's `resend_after`, and a look.
const HELD_AFTER: Duration = Duration::from_secs(25);
/// Nothing that has not moved for so long will move any more.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// While nobody reads: two effects of an order were asked for at most, and of some of them once more before it was
/// noticed that nobody reads.
const SENDS_PER_ORDER: u64 = 3;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A run under way.
struct Outage {
    world: World,
    who: &'static str,
    how: Fault,
    lives: Lives,
    coverage: Coverage,
    violations: Vec<String>,
    begun: Instant,
}

async fn play((who, how): (&'static str, Fault), title: Title, size: Size) -> Outcome {
    let away_s = std::env::var("AWAY_S").ok().and_then(|text| text.parse().ok()).unwrap_or(AWAY_S);
    let mut outage = Outage {
        world: World::plain(&TOPOLOGY).await,
        who,
        how,
        lives: Lives::default(),
        coverage: Coverage::default(),
        violations: Vec::new(),
        begun: Instant::now(),
    };
    let from_ms = now_ms();
    outage.leave();
    let orders = outage.place(size).await;
    outage.wait(Duration::from_secs(away_s), size.orders).await;
    let in_flight = outage.open().await.unwrap_or_default();
    outage.come_back().await;
    let back = Instant::now();
    outage.settle().await;
    let settled_in = back.elapsed();
    let struck = Struck {
        fault: how,
        target: who,
        in_flight: usize::try_from(in_flight).unwrap_or_default(),
        span_ms: (from_ms, now_ms()),
    };
    let audit = outage.audit(&orders).await;
    outage.finished(title, orders.len(), struck, (settled_in, audit))
}

impl Outage {
    fn leave(&mut self) {
        match self.how {
            Fault::Pause => self.world.system.process(self.who).signal(Signal::STOP),
            _ => {
                self.world.down.insert(self.who.to_owned());
                self.world.system.kill(self.who);
            }
        }
    }

    async fn come_back(&mut self) {
        match self.how {
            Fault::Pause => self.world.system.process(self.who).signal(Signal::CONT),
            _ => {
                self.world.start_service(self.who);
                self.world.down.remove(self.who);
                self.world.system.ready(self.who).await;
            }
        }
        self.say("it is back").await;
    }

    /// Places all orders; whoever is kept out for a moment tries again, and all are accepted in the end.
    async fn place(&mut self, size: Size) -> Vec<Order> {
        let orders = traffic::mixed(size.orders, &mut Dice::seeded(size.seed));
        let submission = Submission::start(&self.world.system, orders);
        while submission.accepted() < usize::try_from(size.orders).unwrap_or(usize::MAX) {
            self.look().await;
        }
        self.say("all are accepted").await;
        submission.all().await
    }

    /// The rest of the outage. Once all is held, nothing is sent any more.
    async fn wait(&mut self, away: Duration, orders: u64) {
        let since = Instant::now();
        let mut quiet = None;
        while since.elapsed() < away {
            self.look().await;
            if quiet.is_none() && since.elapsed() > HELD_AFTER {
                quiet = self.commands();
                self.count_held().await;
                self.say("everything is held").await;
            }
        }
        let sent = self.commands();
        if let (Some(quiet), Some(sent)) = (quiet, sent) {
            self.coverage.add("messages compared", 1);
            // Uncounted probes, and sagas whose ten minutes of being held are over.
            if sent - quiet > orders / 100 + 10 {
                self.violations.push(format!("L5: {} commands were sent while all was held", sent - quiet));
            }
        }
        if sent.is_some_and(|sent| sent > orders * SENDS_PER_ORDER) {
            self.violations
                .push(format!("L5: {sent:?} commands for {orders} orders while {} was away", self.who));
        }
        if self.open().await.is_some_and(|open| open * 2 > orders) {
            self.coverage.add("all orders waited", 1);
        }
    }

    /// Number of the newest command.
    fn commands(&self) -> Option<u64> {
        Wire::connect(&self.world.system.broker.url()).positions("AMENDS_CMD").map(|(_, last)| last)
    }

    /// What has not ended; each saga ends, whatever time that takes, as long as something moves.
    async fn settle(&mut self) {
        let (mut moved_at, mut last) = (Instant::now(), None);
        loop {
            self.look().await;
            let open = self.open().await;
            if open == Some(0) {
                return self.say("all have ended").await;
            }
            if open != last {
                (last, moved_at) = (open, Instant::now());
            }
            if moved_at.elapsed() > STUCK_AFTER {
                self.violations.push(format!("L1: {last:?} sagas do not move"));
                return;
            }
        }
    }

    /// Samples, once a second; and that nobody is parked, ever.
    async fn look(&mut self) {
        tokio::time::sleep(LOOK_EVERY).await;
        self.world.supervise();
        for name in self.world.services() {
            if self.world.runs(name) {
                let pid = self.world.system.process(name).pid();
                self.lives.sample(name, pid);
            }
        }
        if let Some(counts) = self.counts().await
            && counts.get("parked").is_some_and(|count| *count > 0)
        {
            self.violations.push(format!("sagas are parked: {counts:?}"));
        }
    }

    async fn counts(&self) -> Option<BTreeMap<String, u64>> {
        let system = &self.world.system;
        let authorization = system.authorization();
        let url = system.admin("/v1/sagas?limit=1&counts=true");
        let answer =
            system.client.send("GET", &url, &[("authorization", &authorization)], None).await.ok()?;
        let counts = answer.body["counts"].as_object()?;
        Some(counts.iter().filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect())
    }

    async fn count_held(&mut self) {
        let system = &self.world.system;
        let authorization = system.authorization();
        let url = system.admin("/v1/sagas?flag=held&limit=200");
        if let Ok(answer) = system.client.send("GET", &url, &[("authorization", &authorization)], None).await
        {
            self.coverage.add("held", answer.body["sagas"].as_array().map_or(0, Vec::len) as u64);
        }
    }

    /// How many have not ended.
    async fn open(&self) -> Option<u64> {
        let counts = self.counts().await?;
        let open = ["running", "compensating", "parked"];
        Some(open.iter().filter_map(|status| counts.get(*status)).sum())
    }

    #[allow(clippy::print_stdout, reason = "a run of a quarter of an hour tells how it goes")]
    async fn say(&mut self, what: &str) {
        let pid = self.world.system.process("orchestrator").pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let mib = kib.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default() >> 10;
        let at = self.begun.elapsed().as_secs();
        let (counts, sent) = (self.counts().await, self.commands());
        println!("  {at} s: {what}: orchestrator {mib} MiB, {sent:?} commands, {counts:?}");
    }

    async fn audit(&mut self, orders: &[Order]) -> String {
        let system = &self.world.system;
        self.violations.extend(audit::disagreements(system, orders, &[]).await);
        let good = orders.iter().filter(|order| order.kind.rejection().is_none()).count() as u64;
        let counts = self.counts().await.unwrap_or_default();
        if counts.get("completed") != Some(&good) {
            self.violations
                .push(format!("{good} orders had nothing against them, but they ended so: {counts:?}"));
        }
        let accepted: BTreeSet<_> = orders.iter().filter_map(|order| order.id.parse().ok()).collect();
        let expectations = Expectations {
            accepted,
            accepted_is_all: true,
            injected: Some(Injected { poison: 0..=0, faults: 1, sends_per_fault: 2 }),
            usage: self.lives.usage(),
            ..Expectations::settled()
        };
        let report = books::report(books::sources(system), &expectations).await;
        self.violations.extend(report.findings.iter().map(ToString::to_string));
        let ids = orders.iter().take(200).map(|order| order.id.as_str());
        self.coverage.read_sagas(system, ids).await;
        report.to_string()
    }

    fn finished(
        mut self,
        title: Title,
        accepted: usize,
        struck: Struck,
        (settled_in, audit): (Duration, String),
    ) -> Outcome {
        self.violations.append(&mut self.world.wrong);
        Outcome {
            title,
            accepted,
            struck: vec![struck],
            failed: Vec::new(),
            coverage: self.coverage,
            violations: self.violations,
            notes: self.world.notes,
            fell: self.world.fell,
            settled_in,
            audit,
            usage: self.lives.table(),
            kept: None,
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
