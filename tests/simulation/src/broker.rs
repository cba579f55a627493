//! Publishing, and what the weather makes of it: lost, late, copied, refused, stored after an error.
//!
//! Invariant: commands carry an id, which the broker's duplicate window knows; replies never do.

use std::rc::Rc;

use amends_contract::{Command, Reply};

use crate::violation::Violation;
use crate::world::{Event, World};

/// What becomes of one publish.
enum Fate {
    /// Stored now.
    Stored,
    /// Acknowledged, and lost.
    Lost,
    /// An error, and nothing stored.
    Refused,
    /// An error, and stored after so many milliseconds.
    Zombie(u64),
    /// Acknowledged; read by the consumer after so many milliseconds.
    Late(u64),
}

impl World {
    fn fate(&mut self) -> Fate {
        let weather = self.weather.clone();
        if !self.broker_up || self.dice.chance(weather.refused) {
            return Fate::Refused;
        }
        if self.dice.chance(weather.lost) {
            self.counters.count("broker: acknowledged and lost");
            return Fate::Lost;
        }
        if self.dice.chance(weather.zombie) {
            self.counters.count("broker: zombies");
            return Fate::Zombie(self.dice.between(500, 150_000));
        }
        if self.dice.chance(weather.late) {
            return Fate::Late(self.dice.between(500, 240_000));
        }
        Fate::Stored
    }

    /// A relay publishes a copy under another id some time later.
    fn copied_after(&mut self) -> Option<u64> {
        let copied = self.dice.chance(self.weather.copied);
        if copied {
            self.counters.count("broker: copies");
        }
        copied.then(|| self.dice.between(1, 300_000))
    }

    /// Publishes a command. Whether it worked does not matter to the sender: the timer sends again.
    pub(crate) fn post_command(&mut self, command: &Rc<Command>) {
        let to = &command.address.participant;
        let Some(index) = self.services.iter().position(|service| service.name() == to) else {
            unreachable!("every participant of a definition is there")
        };
        self.witness.published(command);
        let id = Some(command.effect.message_id(command.send_no));
        if let Some(after_ms) = self.copied_after() {
            self.agenda.enter(after_ms, Event::CommandArrives(index, None, Rc::clone(command)));
        }
        match self.fate() {
            Fate::Stored => self.store_command(index, id, Rc::clone(command)),
            Fate::Lost | Fate::Refused => {}
            Fate::Zombie(after_ms) | Fate::Late(after_ms) => {
                self.agenda.enter(after_ms, Event::CommandArrives(index, id, Rc::clone(command)));
            }
        }
    }

    pub(crate) fn store_command(&mut self, index: usize, id: Option<String>, command: Rc<Command>) {
        let now = self.agenda.now();
        if self.services[index].queue.store(now, id, command) {
            self.wake_service(index);
        } else {
            self.counters.count("broker: duplicate within the window");
        }
    }

    /// Publishes a reply; `false` when the broker did not acknowledge it.
    pub(crate) fn post_reply(&mut self, reply: &Rc<Reply>) -> Result<bool, Violation> {
        self.witness_reply(reply)?;
        if let Some(after_ms) = self.copied_after() {
            self.agenda.enter(after_ms, Event::ReplyArrives(Rc::clone(reply)));
        }
        match self.fate() {
            Fate::Stored => self.store_reply(Rc::clone(reply)),
            Fate::Lost => {}
            Fate::Refused => return Ok(false),
            Fate::Late(after_ms) => {
                self.agenda.enter(after_ms, Event::ReplyArrives(Rc::clone(reply)));
            }
            Fate::Zombie(after_ms) => {
                self.agenda.enter(after_ms, Event::ReplyArrives(Rc::clone(reply)));
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn store_reply(&mut self, reply: Rc<Reply>) {
        self.replies.store(self.agenda.now(), None, reply);
        let index = self.dice.index(self.orchestrators.len());
        self.wake(index);
    }

    /// Every ten seconds: outages, wipes, restores.
    pub(crate) fn gust(&mut self) {
        self.agenda.tick(10_000, Event::Gust);
        if self.is_healing {
            return;
        }
        let weather = self.weather.clone();
        if self.broker_up && self.dice.chance(weather.outage / 3) {
            self.counters.count("broker: outages");
            self.broker_up = false;
            let after_ms = self.dice.between(500, 60_000);
            self.agenda.enter(after_ms, Event::BrokerUp);
        }
        if self.database_up && self.dice.chance(weather.outage / 4) {
            self.database_up = false;
            let after_ms = self.dice.between(200, 20_000);
            self.agenda.enter(after_ms, Event::DatabaseUp);
        }
        if self.dice.chance(weather.outage) {
            let index = self.dice.index(self.services.len());
            if !self.services[index].is_down {
                let away_ms = self.dice.between(2_000, 120_000);
                self.kill_service(index, away_ms);
            }
        }
        if self.dice.chance(weather.outage) {
            let index = self.dice.index(self.orchestrators.len());
            if !self.orchestrators[index].is_down {
                self.kill_orchestrator(index);
            }
        }
        self.lose_the_store();
    }

    fn lose_the_store(&mut self) {
        if self.dice.chance(200) {
            let commands = self.services.iter().map(|service| service.queue.clone()).collect();
            self.snapshot = Some((self.replies.clone(), commands));
        }
        if !self.dice.chance(self.weather.wipe) {
            return;
        }
        let back = self.dice.chance(500);
        match self.snapshot.take().filter(|_| back) {
            Some((replies, commands)) => {
                self.note(|| "the broker's store is rolled back".to_owned());
                self.counters.count("broker: rolled back");
                self.replies.restore(&replies);
                for (service, earlier) in self.services.iter_mut().zip(&commands) {
                    service.queue.restore(earlier);
                }
            }
            None => {
                self.note(|| "the broker's store is wiped".to_owned());
                self.counters.count("broker: wiped");
                self.replies.wipe();
                self.services.iter_mut().for_each(|service| service.queue.wipe());
            }
        }
    }
}
