//! Who we are to the broker, and what it forbids us.

use amends_broker::{Address, Auth, Config, ProblemKind, PublishError, Secret};

use crate::{
    fixture::{config, connect, eventually, message, publish, ready},
    server::Server,
};

const JETSTREAM: &str = "jetstream: { store_dir: \"STORE\" }\n";

#[tokio::test]
async fn user_and_password_open_the_door_by_setting_or_address() {
    let server = Server::configured(&format!("{JETSTREAM}authorization: {{ user: bob, password: hunter2 }}"));
    let auth = |password: &str| Auth {
        user: Some("bob".to_owned()),
        password: Some(Secret::from(password)),
        ..Auth::default()
    };
    publish(&ready(&Config { auth: auth("hunter2"), ..config(&server) }).await, 0..1).await;
    let address = server.url().replace("nats://", "nats://bob:hunter2@");
    publish(&ready(&Config { url: Address::from(address), ..config(&server) }).await, 0..1).await;

    let stranger = connect(&Config { auth: auth("hunter3"), ..config(&server) }).await;
    let reason = eventually("the refusal", async || {
        stranger.health().not_ready().filter(|reason| reason.contains("authorization"))
    })
    .await;
    assert_eq!(reason, "not connected to the broker: authorization violation");
    assert!(!format!("{:?}", stranger.health()).contains("hunter"));
}

#[tokio::test]
async fn a_token_opens_the_door() {
    let server = Server::configured(&format!("{JETSTREAM}authorization: {{ token: s3cret }}"));
    let auth = Auth { token: Some(Secret::from("s3cret")), ..Auth::default() };
    publish(&ready(&Config { auth, ..config(&server) }).await, 0..1).await;
}

#[tokio::test]
async fn an_nkey_opens_the_door() {
    // The example pair of the NATS documentation: it opens nothing else.
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let server =
        Server::configured(&format!("{JETSTREAM}authorization: {{ users: [{{ nkey: {PUBLIC} }}] }}"));
    let auth = Auth { nkey_seed: Some(Secret::from(SEED)), ..Auth::default() };
    publish(&ready(&Config { auth, ..config(&server) }).await, 0..1).await;
}

#[tokio::test]
async fn a_forbidden_subject_looks_like_a_timeout_and_is_told_by_health() {
    let server = Server::configured(&format!(
        "{JETSTREAM}authorization: {{ users: [{{ user: bob, password: x, permissions: {{ \
         publish: {{ deny: [\"amends.cmd.>\"] }} }} }}] }}"
    ));
    let auth = Auth { user: Some("bob".to_owned()), password: Some(Secret::from("x")), ..Auth::default() };
    let broker = ready(&Config { auth, publish_timeout_ms: 500, ..config(&server) }).await;
    let results = broker.publisher().publish(vec![message("x")]).await;
    assert_eq!(results, [Err(PublishError::TimedOut(500))]);
    let health = broker.health();
    let permission = health.problems.iter().find(|problem| problem.kind == ProblemKind::Permission);
    let text = &permission.expect("the violation").text;
    assert!(text.contains("amends.cmd.inventory.reserve-stock"), "{text}");
    assert!(health.not_ready().is_some());
}
