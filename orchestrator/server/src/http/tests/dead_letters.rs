//! Dead letters as an operator meets them. There is no broker here: that a redriven one arrives is for
//! tests/system.

use std::collections::BTreeMap;

use amends_contract::{DeadLetter, DeadReason, Origin, Part, Timestamp, Token};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::problem;
use super::world::World;

/// Puts letters with these bodies into the database; their numbers.
async fn set_aside(world: &World, bodies: &[&[u8]]) -> Vec<i64> {
    let letter = |(number, body): (u64, &&[u8])| {
        let reason = DeadReason { code: "not-json".to_owned(), message: "it is no JSON".to_owned() };
        let origin = Origin {
            subject: "amends.cmd.inventory.reserve-stock".to_owned(),
            stream: "AMENDS_CMD".to_owned(),
            stream_seq: number,
            headers: BTreeMap::from([("traceparent".to_owned(), "00-x".to_owned())]),
            body,
            part: Part::WHOLE,
        };
        let at = Timestamp::from_unix_ms(1_700_000_000_000);
        DeadLetter::new(Token::new("inventory").unwrap(), at, reason, origin)
    };
    let letters: Vec<DeadLetter> = (1..).zip(bodies).map(letter).collect();
    world.core.store().insert_dead_letters(&letters).await.unwrap();
    let page = world.get_admin("/v1/dead-letters?limit=200").await.body;
    let mut numbers: Vec<i64> =
        page["dead_letters"].as_array().unwrap().iter().map(|it| it["number"].as_i64().unwrap()).collect();
    numbers.reverse();
    numbers
}

#[tokio::test]
async fn dead_letters_are_listed_with_their_reasons() {
    let world = World::with(|config| config.api.dead_letter_preview_bytes = 4).await;
    set_aside(&world, &[b"garbage", b"garbage", b"garbage"]).await;
    let page = world.get_admin("/v1/dead-letters?limit=2").await.body;
    let letter = &page["dead_letters"][0];
    assert_eq!(
        (&letter["stream_seq"], &letter["code"], &letter["detail"], &letter["state"]),
        (&json!(3), &json!("not-json"), &json!("it is no JSON"), &json!("open"))
    );
    assert_eq!((&letter["body_preview"], &letter["body_bytes"]), (&json!("garb"), &json!(7)));
    let next = world.get_admin(&format!("/v1/dead-letters?cursor={}", page["next_cursor"])).await.body;
    assert_eq!((&next["dead_letters"][0]["stream_seq"], &next["next_cursor"]), (&json!(1), &Value::Null));
    for (query, found) in [
        ("code=not-json", 3),
        ("code=other", 0),
        ("participant=inventory&state=open", 3),
        ("state=redriven,discarded", 0),
        ("subject=amends.cmd.inventory.reserve-stock", 3),
        ("from=2024-01-01T00:00:00Z", 0),
        ("before=2024-01-01T00:00:00Z", 3),
    ] {
        let page = world.get_admin(&format!("/v1/dead-letters?{query}")).await.body;
        assert_eq!(page["dead_letters"].as_array().unwrap().len(), found, "{query}");
    }
    for (query, place) in [
        ("cursor=x", "?cursor: "),
        ("state=lost", "?state: \"lost\" is not one of"),
        ("participant=A", "?participant: "),
        ("from=today", "?from: "),
        ("limit=0", "?limit: "),
    ] {
        let said = problem(&world.get_admin(&format!("/v1/dead-letters?{query}")).await);
        assert!(said.starts_with(&format!("400 invalid-query [{place}")), "{query}: {said}");
    }
}

#[tokio::test]
async fn one_letter_is_shown_with_all_that_is_kept() {
    let world = World::with(|config| config.api.dead_letter_preview_bytes = 4).await;
    let large = vec![b'x'; 600_000];
    let numbers = set_aside(&world, &[b"\x00\xffgarbage", &large]).await;
    let letter = world.get_admin(&format!("/v1/dead-letters/{}", numbers[0])).await.body;
    assert_eq!((&letter["body_base64"], &letter["body_kept_bytes"]), (&json!("AP9nYXJiYWdl"), &json!(9)));
    assert_eq!(
        (&letter["subject"], &letter["headers"]),
        (&json!("amends.cmd.inventory.reserve-stock"), &json!({ "traceparent": "00-x" }))
    );
    let cut = world.get_admin(&format!("/v1/dead-letters/{}", numbers[1])).await.body;
    assert_eq!((&cut["body_bytes"], &cut["body_kept_bytes"]), (&json!(600_000), &json!(512 * 1024)));
    assert_eq!(problem(&world.get_admin("/v1/dead-letters/999").await), "404 not-found []");
    assert!(problem(&world.get_admin("/v1/dead-letters/x").await).starts_with("400 invalid-path"));
}

#[tokio::test]
async fn a_letter_is_discarded_once_and_stays_listed_with_who_and_why() {
    let world = World::new().await;
    let number = set_aside(&world, &[b"garbage"]).await[0];
    let path = format!("/v1/dead-letters/{number}/actions");
    let act = async |body: Value| world.post_admin(&path, &[], &body).await;
    for (body, expected) in [
        (json!({ "action": "discard" }), "400 invalid-body [#: missing field `reason`"),
        (json!({ "action": "discard", "reason": " " }), "400 invalid-body [#/reason: say why"),
        (json!({ "action": "burn", "reason": "x" }), "400 invalid-body [#/action: unknown variant `burn`"),
    ] {
        let said = problem(&act(body).await);
        assert!(said.starts_with(expected), "{said}");
    }
    let done = act(json!({ "action": "discard", "reason": "a prank" })).await;
    assert_eq!((done.status, &done.body["state"]), (StatusCode::OK, &json!("discarded")), "{done:?}");
    let again = act(json!({ "action": "discard", "reason": "a prank" })).await;
    assert_eq!(problem(&again), "409 refused []");
    let listed = world.get_admin("/v1/dead-letters?state=discarded").await.body;
    let action = &listed["dead_letters"][0]["actions"][0];
    assert_eq!(
        (&action["action"], &action["reason"], &action["outcome"]),
        (&json!("discard"), &json!("a prank"), &json!("done"))
    );
    assert_eq!(action["actor"], format!("tests ({})", &world.key[..16]));
    assert!(action["at"].as_str().unwrap().ends_with('Z'), "{action}");
    let nowhere = world
        .post_admin("/v1/dead-letters/999/actions", &[], &json!({ "action": "discard", "reason": "x" }))
        .await;
    assert_eq!(problem(&nowhere), "404 not-found []");
}

#[tokio::test]
async fn a_redrive_that_cannot_be_sent_is_journalled_as_such() {
    let world = World::new().await;
    let large = vec![b'x'; 600_000];
    let numbers = set_aside(&world, &[b"garbage", &large]).await;
    let redrive = async |number: i64| {
        let body = json!({ "action": "redrive", "reason": "mended" });
        world.post_admin(&format!("/v1/dead-letters/{number}/actions"), &[], &body).await
    };
    // The broker is away: nothing is sent, and that is what the letter says.
    let away = redrive(numbers[0]).await;
    assert_eq!(problem(&away), "503 unavailable []");
    let seconds: u32 = away.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&seconds), "the least there is, or up to twice as long: {seconds}");
    let letter = world.get_admin(&format!("/v1/dead-letters/{}", numbers[0])).await.body;
    assert_eq!(
        (&letter["state"], &letter["actions"][0]["outcome"], &letter["actions"][0]["reason"]),
        (&json!("open"), &json!("failed"), &json!("mended"))
    );
    // Whether the rest of a cut one is still there cannot be asked either.
    assert_eq!(problem(&redrive(numbers[1]).await), "503 unavailable []");
    assert_eq!(problem(&redrive(999).await), "404 not-found []");
}
