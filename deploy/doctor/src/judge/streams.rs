//! The four streams: do they exist, as configured, with as many copies as the cluster can keep?

use amends_broker::StreamFacts;
use amends_contract::{Names, Stream};

use super::time;
use crate::facts::{BrokerFacts, Facts};
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const EXISTS: Check = Check(Area::Streams, "stream");
const DIFFERS: Check = Check(Area::Streams, "stream-differs");
const COPIES: Check = Check(Area::Streams, "stream-copies");
const PEERS: Check = Check(Area::Streams, "stream-peers");
const STORAGE: Check = Check(Area::Streams, "stream-storage");

pub(super) fn judge(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let Ok(broker) = &facts.broker else {
        return vec![EXISTS.unseen("the streams were not looked at", "there is no broker to ask")];
    };
    let Ok(names) = Names::new(&deployment.nats.prefix) else { return Vec::new() };
    let mut findings = Vec::new();
    for stream in Stream::ALL {
        let name = names.stream(stream);
        match broker.streams.get(&stream) {
            Some(Ok(Some(found))) => findings.extend(of_stream(broker, found)),
            Some(Ok(None)) => findings.push(EXISTS.warning(
                format!("{name} does not exist"),
                "each service makes the streams when it connects: none has, or somebody has just deleted it",
                "start a service, and look again after half a minute",
            )),
            Some(Err(why)) => findings.push(EXISTS.error(
                format!("{name} cannot be looked at: {why}"),
                "who cannot see a stream cannot use it either",
                "read the server's log; does our user have the permission for $JS.API.>?",
            )),
            None => {}
        }
    }
    findings
}

fn of_stream(broker: &BrokerFacts, found: &StreamFacts) -> Vec<Finding> {
    let name = &found.name;
    let max_bytes = found.bytes_max.map_or("no limit".to_owned(), super::size);
    let mut findings = vec![EXISTS.ok(format!(
        "{name}: {} messages, {} stored of {max_bytes}, kept for {}",
        found.messages,
        super::size(found.bytes),
        time(found.max_age_s)
    ))];
    for difference in found.differences.iter().filter(|difference| difference.field != "num_replicas") {
        findings.push(DIFFERS.warning(
            difference.to_string(),
            "an existing stream is never changed by us, so either somebody meant this, or the configuration was changed later",
            format!("`nats stream edit {name}`, or the settings nats.streams"),
        ));
    }
    if !found.on_disk {
        findings.push(STORAGE.warning(
            format!("{name} lies in memory"),
            "a restart of the server empties it: sagas are delayed, and events that nobody had read are lost after a day",
            "delete it while no service runs; it is made anew on disk",
        ));
    }
    findings.push(copies(broker, found));
    findings.extend(peers(found));
    findings
}

fn copies(broker: &BrokerFacts, found: &StreamFacts) -> Finding {
    let (name, replicas) = (&found.name, found.replicas);
    match (&broker.server.cluster, replicas) {
        (None, _) => COPIES.ok(format!("{name}: one copy on one server")),
        (Some(cluster), 1) => COPIES.warning(
            format!("{name} has one copy (R1) in the cluster {cluster}"),
            "while the server that keeps it is away, the stream is away, and sagas are held; nothing is lost, but the other \
             servers are there for nothing",
            format!("set nats.streams.replicas = 3, and `nats stream edit {name} --replicas 3`"),
        ),
        (Some(_), replicas) if replicas.is_multiple_of(2) => COPIES.warning(
            format!("{name} has {replicas} copies (R{replicas})"),
            "an even number survives no more failures than one less: a majority has to be there",
            "use three copies",
        ),
        (Some(_), replicas) => COPIES.ok(format!("{name}: {replicas} copies (R{replicas})")),
    }
}

fn peers(found: &StreamFacts) -> Vec<Finding> {
    let name = &found.name;
    if found.replicas > 1 && found.leader.is_none() {
        return vec![PEERS.error(
            format!("{name} has no leader"),
            "without a majority of its copies nothing can be stored or read; sagas are held",
            "start the servers that are missing; with all of them back it elects one within seconds",
        )];
    }
    let away: Vec<&str> = found
        .peers
        .iter()
        .filter(|peer| peer.offline || !peer.current)
        .map(|peer| peer.name.as_str())
        .collect();
    if away.is_empty() {
        return Vec::new();
    }
    let there = found.replicas.saturating_sub(away.len());
    let majority = found.replicas / 2 + 1;
    let spare = there.saturating_sub(majority);
    vec![PEERS.warning(
        format!(
            "{name}: {there} of {} copies are there; {} is away or behind",
            found.replicas,
            away.join(", ")
        ),
        match spare {
            0 => "it works, and stands still when one more goes: then sagas are held".to_owned(),
            spare => format!("it works, and still does when {spare} more goes"),
        },
        format!(
            "start nats-server on {}, and wait until `nats stream report` shows it as current",
            away.join(", ")
        ),
    )]
}

#[cfg(test)]
mod tests {
    use amends_broker::Peer;

    use super::*;
    use crate::Level;
    use crate::tests::{deployment, facts, found, level, levels};

    fn in_cluster(change: impl Fn(&mut StreamFacts)) -> Vec<Finding> {
        let mut facts = facts();
        let broker = facts.broker.as_mut().unwrap();
        broker.server.cluster = Some("shop".to_owned());
        for stream in broker.streams.values_mut() {
            change(stream.as_mut().unwrap().as_mut().unwrap());
        }
        judge(&deployment(), &facts)
    }

    fn three(away: usize) -> impl Fn(&mut StreamFacts) {
        move |stream| {
            stream.replicas = 3;
            stream.leader = Some("n1".to_owned());
            let peer = |number: usize| Peer {
                name: format!("n{}", number + 2),
                current: number >= away,
                offline: number < away,
            };
            stream.peers = (0..2).map(peer).collect();
        }
    }

    #[test]
    fn one_server_with_one_copy_is_sound() {
        let findings = judge(&deployment(), &facts());
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    }

    #[test]
    fn one_copy_in_a_cluster_is_a_warning_and_three_are_none() {
        assert_eq!(levels(&in_cluster(|_| {}), "stream-copies"), [Level::Warning; 4]);
        let findings = in_cluster(three(0));
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
        assert_eq!(levels(&in_cluster(|stream| stream.replicas = 2), "stream-copies"), [Level::Warning; 4]);
    }

    #[test]
    fn a_server_that_is_away_is_said_by_name() {
        let findings = in_cluster(three(1));
        assert_eq!(levels(&findings, "stream-peers"), [Level::Warning; 4]);
        assert!(
            found(&findings, "stream-peers").contains("2 of 3 copies are there; n2 is away"),
            "{findings:#?}"
        );
    }

    #[test]
    fn a_stream_without_a_leader_is_an_error() {
        let findings = in_cluster(|stream| {
            three(2)(stream);
            stream.leader = None;
        });
        assert_eq!(levels(&findings, "stream-peers"), [Level::Error; 4]);
    }

    #[test]
    fn what_is_missing_differs_or_lies_in_memory_is_found() {
        let mut facts = facts();
        let broker = facts.broker.as_mut().unwrap();
        broker.streams.insert(Stream::Dead, Ok(None));
        let events = broker.streams.get_mut(&Stream::Event).unwrap().as_mut().unwrap().as_mut().unwrap();
        events.on_disk = false;
        events.differences = vec![amends_broker::Difference {
            object: "stream AMENDS_EVENT".to_owned(),
            field: "max_age",
            wanted: "2592000s".to_owned(),
            found: "3600s".to_owned(),
        }];
        let findings = judge(&deployment(), &facts);
        assert_eq!(level(&findings, "stream-differs"), Level::Warning);
        assert_eq!(
            found(&findings, "stream-differs"),
            "stream AMENDS_EVENT: max_age is 3600s, wanted 2592000s"
        );
        assert_eq!(level(&findings, "stream-storage"), Level::Warning);
        assert!(levels(&findings, "stream").contains(&Level::Warning));
    }
}
