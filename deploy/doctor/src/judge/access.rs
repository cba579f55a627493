//! Who may do what: permissions at the broker, API keys, listeners that strangers reach.

use amends_broker::Permissions;
use amends_contract::{Names, Stream, Token};
use amends_service::HttpConfig;

use crate::deployment::ORCHESTRATOR;
use crate::facts::{BrokerFacts, Facts};
use crate::finding::Check;
use crate::{Area, Deployment, Finding};

const USER: Check = Check(Area::Access, "broker-user");
const PERMISSIONS: Check = Check(Area::Access, "broker-permissions");
const ENCRYPTION: Check = Check(Area::Access, "broker-encryption");
const KEYS: Check = Check(Area::Access, "api-keys");
const LISTENER: Check = Check(Area::Access, "listener");

/// What everybody needs who reads and publishes through JetStream: nothing of it deletes.
const JETSTREAM: [&str; 7] = [
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.CREATE.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.CONSUMER.INFO.*.*",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.MSG.NEXT.*.*",
];

/// What a role needs at the broker.
struct Needs {
    role: String,
    publish: Vec<String>,
    subscribe: Vec<String>,
}

pub(super) fn judge(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(broker) = &facts.broker {
        findings.extend(at_broker(deployment, broker));
    }
    if let Some(orchestrator) = &facts.orchestrator {
        findings.push(keys(orchestrator.as_ref().map_err(Clone::clone).and_then(|it| it.keys.clone())));
    }
    findings.extend(listeners(deployment));
    findings
}

fn at_broker(deployment: &Deployment, broker: &BrokerFacts) -> Vec<Finding> {
    let addresses = deployment.nats.url.to_string();
    let remote = addresses.split(',').any(|address| {
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
        !is_loopback(rest)
    });
    let mut findings = Vec::new();
    if remote && !broker.server.tls_required && !deployment.nats.tls.required && !addresses.contains("tls://")
    {
        findings.push(ENCRYPTION.warning(
            format!("the connection to {addresses} is not encrypted"),
            "whoever listens on the way reads orders and passwords",
            "give nats-server a `tls` block, and set nats.tls.required = true",
        ));
    }
    match (&broker.permissions, broker.server.auth_required) {
        (_, false) if remote => findings.push(USER.warning(
            "the broker lets everybody do everything",
            "whoever reaches it can command participants, answer in their names and abandon sagas",
            "give it users: deploy/production/nats/users.conf",
        )),
        (_, false) => findings.push(USER.note(
            "the broker lets everybody do everything",
            "whoever reaches its port can command participants, answer in their names and abandon sagas: keep it on loopback",
        )),
        (None, true) => findings.push(PERMISSIONS.unseen(
            "what our user may do was not seen",
            "the server answers that only to who may publish to $SYS.REQ.USER.INFO; what is forbidden shows in /readyz of each service",
        )),
        (Some(permissions), true) => findings.extend(permitted(deployment, permissions)),
    }
    findings
}

fn permitted(deployment: &Deployment, permissions: &Permissions) -> Vec<Finding> {
    let user = &permissions.user;
    let unlimited = permissions.publish == amends_broker::Subjects::default()
        && permissions.subscribe == amends_broker::Subjects::default();
    if unlimited {
        return vec![USER.note(
            format!("the user {user} may do everything"),
            "whoever gets hold of its password can command participants and answer in their names; give each process a user of its own",
        )];
    }
    let mut findings = Vec::new();
    for needs in needs(deployment) {
        let closed = |subjects: &amends_broker::Subjects, wanted: &[String]| {
            let closed = wanted.iter().filter(|subject| !subjects.open(subject)).cloned();
            closed.collect::<Vec<_>>().join(", ")
        };
        let publish = closed(&permissions.publish, &needs.publish);
        let subscribe = closed(&permissions.subscribe, &needs.subscribe);
        let missing: Vec<String> = [("publish to", publish), ("subscribe to", subscribe)]
            .into_iter()
            .filter(|(_, subjects)| !subjects.is_empty())
            .map(|(verb, subjects)| format!("{verb} {subjects}"))
            .collect();
        findings.push(if missing.is_empty() {
            PERMISSIONS.ok(format!("the user {user} may do what {} needs", needs.role))
        } else {
            PERMISSIONS.error(
                format!("the user {user} may not {}, which {} needs", missing.join(" and may not "), needs.role),
                "what is forbidden looks like a time-out: nothing is sent, or nothing arrives",
                "add it to the user's permissions in nats.conf, and reload the server (docs/OPERATIONS.md, who may do what)",
            )
        });
    }
    findings
}

/// The table of docs/OPERATIONS.md, for the roles whose configuration is here.
fn needs(deployment: &Deployment) -> Vec<Needs> {
    let Ok(names) = Names::new(&deployment.nats.prefix) else { return Vec::new() };
    let shared = JETSTREAM.map(str::to_owned);
    let mut all = Vec::new();
    if let Some(config) = &deployment.orchestrator {
        let mut publish = shared.to_vec();
        publish.push("$JS.ACK.>".to_owned());
        publish.extend([Stream::Command, Stream::Event, Stream::Dead].map(|stream| names.all(stream)));
        let mut subscribe = vec!["_INBOX.>".to_owned()];
        if deployment.nats.micro {
            publish.extend(["_INBOX.>".to_owned(), "$SRV.>".to_owned()]);
            subscribe.push("$SRV.>".to_owned());
            subscribe.extend(config.service_subjects.then(|| names.services()));
        }
        all.push(Needs { role: ORCHESTRATOR.to_owned(), publish, subscribe });
    }
    for participant in &deployment.participants {
        let Ok(name) = Token::new(participant.name) else { continue };
        let mut publish = shared.to_vec();
        publish.push(format!("$JS.ACK.{}.{name}.>", names.stream(Stream::Command)));
        publish.extend([names.reply(&name), names.all(Stream::Event), names.dead(&name)]);
        let mut subscribe = vec!["_INBOX.>".to_owned()];
        if deployment.nats.micro {
            publish.push("_INBOX.>".to_owned());
            subscribe.push("$SRV.>".to_owned());
        }
        all.push(Needs { role: participant.name.to_owned(), publish, subscribe });
    }
    all
}

fn keys(keys: Result<usize, String>) -> Finding {
    match keys {
        Ok(0) => KEYS.warning(
            "there is no API key",
            "both listeners of the orchestrator answer 401 to everybody",
            "amends key create --scope order --name shop",
        ),
        Ok(count) => KEYS.ok(format!("{count} API keys open the door")),
        Err(why) => KEYS.unseen("the API keys were not looked at", why),
    }
}

fn listeners(deployment: &Deployment) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(config) = &deployment.orchestrator {
        findings.push(listener(
            "orchestrator.admin.listen",
            &config.admin,
            "it shows metrics to everybody, and takes operators' keys in plain text",
        ));
        findings.push(if is_loopback(&config.http.listen) {
            LISTENER.ok(format!("orchestrator.http.listen is {}", config.http.listen))
        } else {
            LISTENER.note(
                format!("orchestrator.http.listen is {}", config.http.listen),
                "it speaks plain HTTP: keys and orders need a proxy with TLS before it",
            )
        });
    }
    for participant in &deployment.participants {
        let key = format!("{}.http.listen", participant.name);
        findings.push(listener(
            &key,
            &participant.http,
            "it asks for no key: whoever reaches it sees its books, and can restock",
        ));
    }
    findings
}

fn listener(key: &str, config: &HttpConfig, why: &str) -> Finding {
    let found = format!("{key} is {}", config.listen);
    if is_loopback(&config.listen) {
        return LISTENER.ok(found);
    }
    LISTENER.warning(
        found,
        format!("others reach it than this machine: {why}"),
        "listen on 127.0.0.1, or on a network of operators only",
    )
}

/// Whether only this machine reaches `host:port`.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    host == "localhost" || host.starts_with("127.") || host == "[::1]" || host == "::1"
}

#[cfg(test)]
mod tests {
    use amends_broker::Subjects;

    use super::*;
    use crate::Level;
    use crate::tests::{deployment, facts, found, level, levels};

    fn allow(subjects: &[&str]) -> Subjects {
        Subjects { allow: subjects.iter().map(|it| (*it).to_owned()).collect(), deny: Vec::new() }
    }

    fn with_user(publish: &[&str], subscribe: &[&str]) -> Vec<Finding> {
        let mut facts = facts();
        let broker = facts.broker.as_mut().unwrap();
        broker.server.auth_required = true;
        broker.permissions = Some(Permissions {
            user: "ada".to_owned(),
            account: "SHOP".to_owned(),
            publish: allow(publish),
            subscribe: allow(subscribe),
        });
        judge(&deployment(), &facts)
    }

    #[test]
    fn a_broker_on_loopback_without_users_is_worth_a_note() {
        let findings = judge(&deployment(), &facts());
        assert_eq!(level(&findings, "broker-user"), Level::Note);
        assert!(findings.iter().all(|finding| finding.level <= Level::Note), "{findings:#?}");
    }

    #[test]
    fn a_broker_elsewhere_without_users_or_tls_is_a_warning() {
        let mut deployment = deployment();
        deployment.nats.url = "nats://127.0.0.1:4222,nats://broker.example:4222".into();
        let findings = judge(&deployment, &facts());
        assert_eq!(level(&findings, "broker-user"), Level::Warning);
        assert_eq!(level(&findings, "broker-encryption"), Level::Warning);
    }

    #[test]
    fn what_a_role_may_not_do_is_named() {
        let names = Names::new(&deployment().nats.prefix).unwrap();
        let inventory = names.reply(&Token::new("inventory").unwrap());
        let own = [Stream::Command, Stream::Event, Stream::Dead].map(|stream| names.all(stream));
        let js = ["$JS.API.>", "$JS.ACK.>", "_INBOX.>", "$SRV.>"];
        let all: Vec<&str> =
            js.into_iter().chain(own.iter().map(String::as_str)).chain([inventory.as_str()]).collect();
        let subscribe = ["_INBOX.>", "$SRV.>", "amends.svc.>"];
        assert_eq!(levels(&with_user(&all, &subscribe), "broker-permissions"), [Level::Ok, Level::Ok]);
        let findings = with_user(&all[..5], &subscribe[..2]);
        assert_eq!(levels(&findings, "broker-permissions"), [Level::Error, Level::Error]);
        assert_eq!(
            found(&findings, "broker-permissions"),
            "the user ada may not publish to amends.event.>, amends.dead.> and may not subscribe to amends.svc.>, which \
             orchestrator needs"
        );
    }

    #[test]
    fn a_user_that_may_do_everything_and_one_that_is_not_seen_are_said() {
        assert_eq!(level(&with_user(&[], &[]), "broker-user"), Level::Note);
        let mut facts = facts();
        let broker = facts.broker.as_mut().unwrap();
        (broker.server.auth_required, broker.permissions) = (true, None);
        assert_eq!(level(&judge(&deployment(), &facts), "broker-permissions"), Level::Unseen);
    }

    #[test]
    fn open_listeners_and_missing_keys_are_warnings() {
        let (mut deployment, mut facts) = (deployment(), facts());
        deployment.orchestrator.as_mut().unwrap().admin.listen = "0.0.0.0:8081".to_owned();
        deployment.participants[0].http.listen = "[::]:8082".to_owned();
        facts.orchestrator.as_mut().unwrap().as_mut().unwrap().keys = Ok(0);
        let findings = judge(&deployment, &facts);
        assert_eq!(levels(&findings, "listener"), [Level::Warning, Level::Ok, Level::Warning]);
        assert_eq!(level(&findings, "api-keys"), Level::Warning);
    }
}
