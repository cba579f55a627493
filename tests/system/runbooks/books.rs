//! Books that do not agree: they are found out, mended as the page says, and agree from then on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use amends_tests::eventually;
use sea_orm::{ConnectionTrait, Database};
use serde_json::Value;

use super::{Desk, Page, mail_server::MailServer};
use crate::{alone, operators::text};

/// The files of a participant's SQLite database, and a copy of them.
struct Backup {
    files: Vec<PathBuf>,
}

impl Backup {
    /// Of a participant that does not run.
    fn of(desk: &Desk, participant: &str) -> Self {
        let setting = format!("AMENDS_{}__DATABASE__URL", participant.to_uppercase());
        let database = desk.system.setting(&setting).trim_start_matches("sqlite://");
        let files =
            ["", "-wal", "-shm"].iter().map(|end| PathBuf::from(format!("{database}{end}"))).collect();
        let backup = Self { files };
        for file in backup.files.iter().filter(|file| file.exists()) {
            fs::copy(file, kept(file)).expect("a file can be copied");
        }
        backup
    }

    fn restore(&self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
            if kept(file).exists() {
                fs::copy(kept(file), file).expect("a file can be copied");
            }
        }
    }
}

fn kept(file: &Path) -> PathBuf {
    file.with_added_extension("backup")
}

/// The time that a page asks for.
fn now(desk: &Desk) -> String {
    text(&desk.run("date -u +%Y-%m-%dT%H:%M:%SZ", &[])).trim().to_owned()
}

#[tokio::test]
async fn a_participant_that_was_restored_is_found_out_before_it_starts() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("database-restored");
    desk.system.kill("payment");
    let backup = Backup::of(&desk, "payment");
    desk.system.start_service("payment");
    desk.system.ready("payment").await;
    let saga = desk.order(1).await;
    desk.status_is(&saga, "completed").await;
    assert!(!desk.done(&page, "check", &[]).contains(&saga), "its books agree");
    desk.system.kill("orchestrator");
    desk.system.kill("payment");
    backup.restore();
    let said = desk.done(&page, "check", &[]);
    assert!(said.contains("I10") && said.contains(&saga), "{said}");

    desk.system.start_service("payment");
    desk.system.ready("payment").await;
    desk.system.start_service("orchestrator");
    desk.system.ready("orchestrator").await;
    let since = later(&desk).await;
    let next = desk.order(2).await;
    desk.status_is(&next, "completed").await;
    let said = desk.done(&page, "over", &[("TIME", &since)]);
    assert!(!said.contains(&saga), "{said}");
    assert!(desk.done(&page, "check", &[]).contains(&saga), "what was lost stays on the list");
}

/// A second that has begun after all that was before.
async fn later(desk: &Desk) -> String {
    let before = now(desk);
    let look = async || Some(now(desk)).filter(|now| *now > before);
    eventually("a second goes by", look, async || before.clone()).await
}

#[tokio::test]
async fn a_shelf_that_somebody_changed_is_found_and_counted_again() {
    let _turn = alone().await;
    let desk = Desk::new(None).await;
    let page = Page::named("audit-findings");
    let saga = desk.order(1).await;
    desk.status_is(&saga, "completed").await;
    let sound = desk.done(&page, "over", &[("TIME", "1h")]);
    assert!(!sound.contains(page.shown()), "{sound}");
    let database = Database::connect(desk.system.setting("AMENDS_INVENTORY__DATABASE__URL")).await;
    let database = database.expect("the database opens");
    let spoilt = "UPDATE stock SET reserved = reserved + 3 WHERE sku = 'TEA-1'";
    database.execute_unprepared(spoilt).await.expect("a row can be changed");
    let said = desk.done(&page, "check", &[]);
    assert!(said.contains(page.shown()) && said.contains("TEA-1"), "{said}");
    // Somebody counts what lies there.
    let mended = "UPDATE stock SET reserved = reserved - 3 WHERE sku = 'TEA-1'";
    database.execute_unprepared(mended).await.expect("a row can be changed");
    database.close().await.expect("it closes");
    let said = desk.done(&page, "over", &[("TIME", "1h")]);
    assert!(!said.contains(page.shown()), "{said}");
    desk.is_well().await;
}

#[tokio::test]
async fn what_happened_although_it_was_ruled_out_is_undone_by_the_lines_of_its_page() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("alarm");
    desk.system.kill("inventory");
    let backup = Backup::of(&desk, "inventory");
    // Nobody gets the command, and the order is given up.
    let saga = desk.order(1).await;
    desk.system.step_is(&saga, "reserve-stock", "sent").await;
    let (subject, command) = desk.wire.messages("AMENDS_CMD").pop().expect("a command");
    desk.wire.api("STREAM.PURGE.AMENDS_CMD", &serde_json::json!({}));
    let cancelled =
        desk.run("amends saga cancel \"$SAGA\" --reason 'she changed her mind'", &[("SAGA", &saga)]);
    assert!(cancelled.status.success(), "{}", text(&cancelled));
    desk.system.start_service("inventory");
    desk.status_is(&saga, "compensated").await;
    // Inventory forgets that it had ruled the reservation out, and the command comes after all.
    desk.system.kill("inventory");
    backup.restore();
    desk.system.start_service("inventory");
    desk.system.ready("inventory").await;
    desk.wire.publish(&subject, &command);
    let said = desk
        .says(&page, "check", (&[("SAGA", &saga)], &[page.shown(), "nothing_to_undo", "succeeded", "I8"]))
        .await;
    assert!(said.contains(&saga), "{said}");
    assert_eq!(reserved(&desk).await, 1);

    let undo = said
        .lines()
        .find(|line| line.starts_with("cmd") && line.contains("release-stock"))
        .and_then(|line| line.split_whitespace().nth(1))
        .expect("its undo is listed");
    let since = later(&desk).await;
    let said = desk.done(&page, "do", &[("SEQ", undo)]);
    assert!(said.contains("undone"), "{said}");
    assert_eq!(reserved(&desk).await, 0, "the goods are free again");
    let next = desk.order(2).await;
    desk.status_is(&next, "completed").await;
    let said = desk.done(&page, "over", &[("TIME", &since)]);
    assert!(!said.contains(&saga), "{said}");
}

/// How much of what all orders are about is set aside.
async fn reserved(desk: &Desk) -> i64 {
    let item = desk.system.client.get(&desk.system.url("inventory", "/inventory/TEA-1"), &[]).await;
    item["reserved"].as_i64().expect("a count")
}

#[tokio::test]
async fn a_mail_in_doubt_is_listed_under_its_id_and_sent_again_only_where_that_is_wished() {
    let _turn = alone().await;
    let mut desk = Desk::new(None).await;
    let page = Page::named("mails-uncertain");
    // It takes each mail, and says so only from the second handing over on.
    let server = MailServer::start();
    desk.restart("notification", &[("AMENDS_NOTIFICATION__SMTP__URL", &server.url())]).await;
    let saga = desk.order(1).await;
    desk.status_is(&saga, "completed").await;
    let said = desk.says(&page, "check", (&[], &[&saga, page.shown()])).await;
    let (taken, doubt) = (server.taken(), in_doubt(&said));
    let id = doubt["message_id"].as_str().expect("an id");
    assert!(taken.len() == 1 && taken[0].contains(id), "{doubt}\n{taken:?}");
    desk.is_well().await;

    server.forget_to_answer();
    let resend = [("AMENDS_NOTIFICATION__ON_UNCERTAIN", "resend")];
    desk.restart("notification", &resend).await;
    let next = desk.order(2).await;
    desk.status_is(&next, "completed").await;
    let of_next = server.taken().iter().filter(|mail| mail.contains(&next)).count();
    assert_eq!(of_next, 2, "two mails rather than none");
    let said = desk.done(&page, "check", &[]);
    assert!(said.contains(&saga) && !said.contains(&next), "the list stays, and grows no more: {said}");
}

/// The one mail in doubt.
fn in_doubt(said: &str) -> Value {
    let line = said.lines().find(|line| line.starts_with('{')).expect("a list");
    let list: Value = serde_json::from_str(line).expect("JSON");
    let [mail] = &list["items"].as_array().expect("items")[..] else { panic!("{list}") };
    mail.clone()
}
