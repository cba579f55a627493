//! The server: is it there, new enough, with room, and does it take what we send?

use amends_contract::{COMMAND_BYTES_MAX, ENVELOPE_BYTES_MAX};

use super::size;
use crate::facts::{BrokerFacts, Facts};
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const REACHED: Check = Check(Area::Broker, "broker-reached");
const VERSION: Check = Check(Area::Broker, "broker-version");
const JETSTREAM: Check = Check(Area::Broker, "broker-jetstream");
const PAYLOAD: Check = Check(Area::Broker, "broker-max-payload");
const ROOM: Check = Check(Area::Broker, "broker-room");
const SYNC: Check = Check(Area::Broker, "broker-sync-interval");

/// Batched direct gets, consumers that can be paused, and what our tests run on.
const VERSION_MIN: (u32, u32) = (2, 12);

/// Part of the room from which on it is said that it gets narrow, in percent.
const NARROW_PERCENT: u64 = 80;

pub(super) fn judge(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let broker = match &facts.broker {
        Ok(broker) => broker,
        Err(why) => {
            return vec![REACHED.error(
                format!("no broker at {}: {why}", deployment.nats.url),
                "sagas are accepted and committed, but nothing is sent: they are held until it is back",
                "start nats-server, or mend nats.url and nats.auth",
            )];
        }
    };
    let mut findings = vec![reached(deployment, broker), version(broker), payload(broker)];
    findings.extend(jetstream(broker));
    findings.push(SYNC.note(
        "JetStream's sync_interval is not looked at: the server does not tell clients",
        "it need not be changed. A message that was acknowledged and not yet on disk (2 minutes by default) may be lost with a \
         machine; it is sent again by the saga's timer. `always` costs a factor of five and buys nothing here",
    ));
    findings
}

fn reached(deployment: &Deployment, broker: &BrokerFacts) -> Finding {
    let server = &broker.server;
    let cluster = match &server.cluster {
        Some(name) => format!("cluster {name}"),
        None => "no cluster".to_owned(),
    };
    REACHED.ok(format!("{} at {}, {cluster}", server.name, deployment.nats.url))
}

fn version(broker: &BrokerFacts) -> Finding {
    let version = &broker.server.version;
    let (major, minor) = VERSION_MIN;
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let found = numbers.next().zip(numbers.next());
    match found {
        Some(found) if found >= VERSION_MIN => VERSION.ok(format!("nats-server {version}")),
        _ => VERSION.error(
            format!("nats-server {version}"),
            format!("{major}.{minor} is the oldest that has all that is used (batched direct get, pausing consumers)"),
            "install a newer one; `amends nats-server` prints the path of a fit one",
        ),
    }
}

fn payload(broker: &BrokerFacts) -> Finding {
    let max = broker.server.max_payload;
    let found = format!("max_payload is {}", size(u64::try_from(max).unwrap_or(u64::MAX)));
    if max >= ENVELOPE_BYTES_MAX {
        return PAYLOAD.ok(found);
    }
    let why = "a command may have 512 KiB, and a reply or a dead letter that quotes one up to 1 MiB";
    let remedy = "set max_payload: 1MB in nats.conf, which is its default";
    if max > COMMAND_BYTES_MAX {
        PAYLOAD.warning(found, why, remedy)
    } else {
        PAYLOAD.error(found, why, remedy)
    }
}

fn jetstream(broker: &BrokerFacts) -> Vec<Finding> {
    let account = match &broker.account {
        Ok(account) => account,
        Err(why) => {
            return vec![JETSTREAM.error(
                format!("JetStream does not answer: {why}"),
                "commands and replies go through its streams; after a full disk the server switches it off, although its \
                 own health page stays green",
                "start nats-server with -js and a store_dir, give the account JetStream, make room on its disk",
            )];
        }
    };
    let found = format!("{} stored", size(account.stored_bytes));
    let mut findings = vec![JETSTREAM.ok(format!("JetStream answers, {found}"))];
    findings.push(match account.bytes_max {
        Some(max) if account.stored_bytes.saturating_mul(100) >= max.saturating_mul(NARROW_PERCENT) => ROOM.warning(
            format!("{found}, {} reserved of {}", size(account.reserved_bytes), size(max)),
            "when it is full nothing is stored any more, and sagas are held",
            "raise the account's max_file, or let the streams keep less: `nats stream edit`, nats.streams.*.max_bytes",
        ),
        Some(max) => ROOM.ok(format!("{found}, {} reserved of {}", size(account.reserved_bytes), size(max))),
        None => ROOM.note(
            format!("{} reserved by max_bytes, no limit for the account", size(account.reserved_bytes)),
            "the server does not tell clients how much room its disk has: watch the disk of each nats-server",
        ),
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::tests::{deployment, facts, level};

    #[test]
    fn a_sound_broker_is_sound() {
        let findings = judge(&deployment(), &facts());
        assert!(findings.iter().all(|finding| finding.level <= Level::Note), "{findings:#?}");
    }

    #[test]
    fn a_broker_that_is_away_is_an_error_and_names_no_password() {
        let (mut deployment, mut facts) = (deployment(), facts());
        deployment.nats.url = "nats://ada:s3cret@broker:4222".into();
        facts.broker = Err("connection refused".to_owned());
        let findings = judge(&deployment, &facts);
        assert_eq!(level(&findings, "broker-reached"), Level::Error);
        assert!(!format!("{findings:?}").contains("s3cret"), "{findings:?}");
    }

    #[test]
    fn old_servers_and_small_payloads_are_found() {
        let judged = |version: &str, max_payload: usize| {
            let mut facts = facts();
            let server = &mut facts.broker.as_mut().unwrap().server;
            (server.version, server.max_payload) = (version.to_owned(), max_payload);
            let findings = judge(&deployment(), &facts);
            (level(&findings, "broker-version"), level(&findings, "broker-max-payload"))
        };
        assert_eq!(judged("2.12.0", 1 << 20), (Level::Ok, Level::Ok));
        assert_eq!(judged("2.11.9", 600 * 1024), (Level::Error, Level::Warning));
        assert_eq!(judged("3.0.0-RC.1", 64 * 1024), (Level::Ok, Level::Error));
        assert_eq!(judged("unknown", 1 << 20), (Level::Error, Level::Ok));
    }

    #[test]
    fn a_narrow_account_and_a_missing_jetstream_are_found() {
        let mut facts = facts();
        let account = facts.broker.as_mut().unwrap().account.as_mut().unwrap();
        (account.stored_bytes, account.bytes_max) = (7 << 29, Some(4 << 30));
        assert_eq!(level(&judge(&deployment(), &facts), "broker-room"), Level::Warning);
        facts.broker.as_mut().unwrap().account = Err("JetStream is switched off".to_owned());
        assert_eq!(level(&judge(&deployment(), &facts), "broker-jetstream"), Level::Error);
    }
}
