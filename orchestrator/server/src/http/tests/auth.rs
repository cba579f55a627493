//! Who gets in: nobody without a key, everybody only where the key's scope leads.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use super::problem;
use super::world::{World, ask, order};
use crate::keys::{self, CreateError, Scope};

#[tokio::test]
async fn without_a_key_both_listeners_are_closed_and_say_how_to_get_one() {
    let world = World::new().await;
    for (router, path) in [(&world.public, "/v1/orders"), (&world.admin, "/v1/sagas")] {
        let answer = ask(router, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(problem(&answer), "401 unauthorized [header:authorization: this needs an API key]");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"amends\"");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains("`amends key create --scope"), "{detail}");
    }
    // Neither the body nor the key of a request is looked at before its caller is known.
    let request = Request::post("/v1/orders").body(Body::from("{")).unwrap();
    assert_eq!(ask(&world.public, request).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn health_metrics_and_documentation_are_open() {
    let world = World::new().await;
    for path in ["/livez", "/metrics", "/version", "/openapi.json", "/docs/"] {
        let answer = ask(&world.admin, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    }
    let ready = ask(&world.admin, Request::get("/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!(ready.status, StatusCode::OK, "orders are taken while the broker is away: {ready:?}");
    assert_eq!(ready.body["checks"][0]["name"], "broker");
    assert_eq!(ready.body["checks"][0]["ok"], false);
    assert_eq!(ready.body["checks"][1], json!({ "name": "database", "ok": true, "required": true }));
    for path in ["/openapi.json", "/docs/"] {
        let answer = ask(&world.public, Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn wrong_keys_open_nothing() {
    let world = World::new().await;
    let (prefix, secret) = world.key.rsplit_once('_').unwrap();
    let flipped = if secret.starts_with('0') { "1" } else { "0" };
    let wrong = [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer nonsense".to_owned(),
        format!("Basic {}", world.key),
        world.key.clone(),
        format!("Bearer {prefix}_{flipped}{}", &secret[1..]),
        format!("Bearer amk_{}_{secret}", "0".repeat(12)),
        format!("Bearer {} {}", world.key, world.key),
        "Bearer ü".to_owned(),
    ];
    for authorization in wrong {
        let answer = world.get("/v1/orders", &[("authorization", &authorization)]).await;
        let expected = "401 unauthorized [header:authorization: the API key is not known, or was revoked]";
        assert_eq!(problem(&answer), expected, "{authorization}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"amends\", error=\"invalid_token\"");
        assert!(!answer.text.contains(&world.key));
    }
    let lower = world.get("/v1/orders", &[("authorization", &format!("bearer {}", world.key))]).await;
    assert_eq!(lower.status, StatusCode::OK, "the scheme's case is free (RFC 9110, 11.1)");
}

#[tokio::test]
async fn a_scope_leads_where_it_leads() {
    let world = World::new().await;
    let orders = format!("Bearer {}", world.make_key(Scope::Order).await);
    let operates = format!("Bearer {}", world.make_key(Scope::Operate).await);
    let get = |router: &axum::Router, path: &str, key: &str| {
        let request = world.request(Method::GET, path, &[("authorization", key)]).body(Body::empty());
        let router = router.clone();
        async move { ask(&router, request.unwrap()).await }
    };
    assert_eq!(get(&world.public, "/v1/orders", &orders).await.status, StatusCode::OK);
    assert_eq!(get(&world.admin, "/v1/sagas", &operates).await.status, StatusCode::OK);
    let answer = get(&world.public, "/v1/orders", &operates).await;
    assert_eq!(problem(&answer), "403 missing-scope []");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("this needs the scope `order`; the API key amk_"), "{detail}");
    assert!(detail.ends_with(" has operate"), "{detail}");
    assert!(answer.header("www-authenticate").ends_with("error=\"insufficient_scope\", scope=\"order\""));
    assert_eq!(problem(&get(&world.admin, "/v1/sagas", &orders).await), "403 missing-scope []");
    let saga = json!({ "definition": "order", "input": {} });
    let start = world.post("/v1/sagas", &[("authorization", &orders), ("idempotency-key", "k")], &saga).await;
    assert_eq!(problem(&start), "403 missing-scope []", "sagas of any definition are for operators");
}

#[tokio::test]
async fn a_revoked_key_stops_when_it_is_no_longer_remembered() {
    let world = World::with(|config| config.api.key_cache_ms = 0).await;
    let (store, key) = (world.core.store(), world.make_key(Scope::Order).await);
    let authorization = format!("Bearer {key}");
    let get = async || world.get("/v1/orders", &[("authorization", &authorization)]).await;
    assert_eq!(get().await.status, StatusCode::OK);
    keys::revoke(store, &key[..16]).await.unwrap();
    assert_eq!(get().await.status, StatusCode::UNAUTHORIZED);
    assert!(keys::list(store).await.unwrap()[1].revoked_at.is_some());

    // What is remembered needs no database; so it is the time that matters.
    let world = World::with(|config| config.api.key_cache_ms = 3_600_000).await;
    let key = world.make_key(Scope::Order).await;
    let authorization = format!("Bearer {key}");
    let get = async || world.get("/v1/orders", &[("authorization", &authorization)]).await;
    assert_eq!(get().await.status, StatusCode::OK);
    keys::revoke(world.core.store(), &key).await.unwrap();
    assert_eq!(get().await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_remembered_of_keys_is_bounded() {
    let world = World::with(|config| config.api.key_cache_count_max = 2).await;
    for number in 0..5 {
        let key = format!("Bearer amk_{number:012x}_{}", "0".repeat(64));
        let answer = world.get("/v1/orders", &[("authorization", &key)]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.get("/v1/orders", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_use_of_a_key_is_noted() {
    let world = World::new().await;
    assert_eq!(world.order("k", &order("c-1", 1)).await.status, StatusCode::ACCEPTED);
    while keys::list(world.core.store()).await.unwrap()[0].last_used_at.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_key_needs_a_name_and_a_scope() {
    let world = World::new().await;
    let create = async |name: &str, scopes: &[Scope]| keys::create(world.core.store(), name, scopes).await;
    assert!(matches!(create("shop", &[]).await, Err(CreateError::NoScope)));
    for name in ["", "  ", "a\nb", &"x".repeat(101)] {
        assert!(matches!(create(name, &[Scope::Order]).await, Err(CreateError::Name(_))), "{name:?}");
    }
    let created = create(" shop ", &[Scope::Operate, Scope::Order, Scope::Operate]).await.unwrap();
    assert_eq!(
        (created.key.name.as_str(), created.key.scopes.as_slice()),
        ("shop", &["order".to_owned(), "operate".to_owned()][..])
    );
    assert_eq!(created.key.prefix, created.text.prefix());
}
