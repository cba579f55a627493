//! Somebody is away, or reads too slowly: it is named, and all goes on when the page was followed.

use amends_tests::{
    Cluster, Wire, eventually,
    traffic::{Kind, Order},
};
use rustix::process::Signal;

use super::{Desk, Page};
use crate::{alone, operators::text};

#[tokio::test]
async fn outages_and_dead_letters_are_handled_by_the_lines_of_their_pages() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;

    let away = Page::named("participant-away");
    desk.system.kill("inventory");
    let saga = desk.order(1).await;
    desk.seen(&away, "check").await;
    desk.system.start_service("inventory");
    desk.gone(&away).await;
    desk.status_is(&saga, "completed").await;

    // An operator pauses it, and the broker forgets everything.
    desk.done(&away, "pause", &[]);
    desk.system.broker.kill_and_wipe();
    desk.system.broker.start_again();
    desk.wire = Wire::connect(&desk.system.broker.url());
    // A consumer that was made anew is paused again within a second.
    let paused = "consumer inventory on cmd messages is paused";
    assert!(away.text.contains(paused), "the page names it");
    desk.says(&away, "check", (&[], &[paused, "the shelves are counted"])).await;
    let saga = desk.order(2).await;
    let said = desk.says(&away, "check", (&[], &[&saga, paused])).await;
    assert!(!said.contains(away.shown()), "it runs: {said}");
    desk.done(&away, "resume", &[]);
    desk.status_is(&saga, "completed").await;
    let said = desk.done(&away, "over", &[]);
    assert!(!said.contains(paused) && !said.contains(&saga), "{said}");

    let letters = Page::named("dead-letters");
    desk.wire.publish("amends.cmd.inventory.reserve-stock", b"nobody can read this");
    let look = async || {
        let said = text(&desk.run(&letters.lines("show"), &[]));
        said.contains("not-json").then(|| said.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let letter = eventually("a letter is listed", look, async || desk.system.dump().await).await;
    assert!(desk.done(&letters, "check", &[("LETTER", &letter)]).contains("nobody can read this"));
    desk.done(&letters, "do", &[("LETTER", &letter)]);
    let open = desk.done(&letters, "over", &[]);
    assert!(!open.lines().any(|line| line.split_whitespace().next() == Some(letter.as_str())), "{open}");

    let broker = Page::named("broker-lost");
    desk.system.broker.kill_and_wipe();
    let saga = desk.order(3).await;
    desk.seen(&broker, "check").await;
    desk.system.broker.start_again();
    desk.gone(&broker).await;
    desk.status_is(&saga, "completed").await;

    // What this one asks for can be typed, at least.
    desk.done(&Page::named("disk-full"), "check", &[]);
}

#[tokio::test]
async fn a_database_that_is_away_is_named_and_found_again() {
    let _turn = alone().await;
    let mut cluster = Cluster::start();
    let desk = Desk::new(Some(&cluster)).await;
    let page = Page::named("database-lost");
    cluster.process().kill();
    desk.seen(&page, "check").await;
    cluster.start_again();
    desk.gone(&page).await;
    let saga = desk.order(1).await;
    desk.status_is(&saga, "completed").await;
}

#[tokio::test]
async fn a_saga_that_has_used_up_its_attempts_is_listed_and_goes_on_when_asked() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("needs-attention");
    desk.system.kill("mail-catcher");
    let saga = desk.order(1).await;
    let listed = async |desk: &Desk| text(&desk.run(&page.lines("check"), &[])).contains(&saga);
    let look = async || listed(&desk).await.then_some(());
    eventually("it is listed", look, async || desk.system.dump().await).await;
    desk.system.start_service("mail-catcher");
    desk.system.ready("mail-catcher").await;
    desk.done(&page, "do", &[("SAGA", &saga)]);
    desk.status_is(&saga, "completed").await;
    assert!(!listed(&desk).await, "it has ended");
}

#[tokio::test]
async fn who_was_refused_is_let_in_when_somebody_reads_again() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("overload");
    desk.restart("orchestrator", &[("AMENDS_ORCHESTRATOR__LOOPS__MOVING_MAX", "5")]).await;
    desk.system.process("inventory").signal(Signal::STOP);
    let door = desk.system.door();
    let place = async |number: u64| {
        let order = Order::new(Kind::Good, number, 1);
        door.order(&order.email, &order.body()).await.expect("an answer")
    };
    let mut number = 0;
    let refused = loop {
        let answer = place(number).await;
        if answer.status == 503 {
            break answer;
        }
        number += 1;
        assert!(number < 500, "nobody is refused");
    };
    assert_eq!(refused.body["code"], "overloaded", "{refused:?}");
    let said = desk.seen(&page, "check").await;
    let unread = said.lines().find(|line| line.starts_with("inventory")).expect("it is listed");
    let waiting: u64 = unread.split_whitespace().nth(2).and_then(|text| text.parse().ok()).expect("a count");
    assert!(waiting > 0, "{said}");

    desk.system.process("inventory").signal(Signal::CONT);
    let look = async || (place(number).await.status == 202).then_some(());
    eventually("the same request is accepted", look, async || desk.system.dump().await).await;
    desk.is_well().await;
    let counted = desk.done(&page, "over", &[]);
    assert!(counted.contains(page.shown()), "{counted}");
    let saga = desk.order(1_000).await;
    desk.status_is(&saga, "completed").await;
    assert_eq!(desk.done(&page, "over", &[]), counted, "it stands still");
}
