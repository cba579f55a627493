//! Dead letters are kept once each, whatever the broker forgets.

use amends_contract::{DeadLetter, DeadReason, Timestamp};

use crate::database::Database;
use crate::sagas::token;

on_both_databases!(
    dead_letters_are_kept_once_and_listed_newest_first,
    a_new_letter_under_an_old_number_is_kept,
    a_letter_is_never_refused_for_what_it_says,
    a_damaged_letter_is_named_and_the_others_are_listed,
);

fn letter(seq: u64, body: &[u8]) -> DeadLetter {
    DeadLetter::new(
        token("inventory"),
        Timestamp::from_unix_ms(1_795_248_000_123),
        DeadReason { code: "not-json".to_owned(), message: "the body is not JSON: 'x'".to_owned() },
        ("AMENDS_CMD".to_owned(), seq),
        "amends.cmd.inventory.reserve-stock".to_owned(),
        [("Nats-Msg-Id".to_owned(), "ü".to_owned())].into(),
        body,
    )
}

async fn dead_letters_are_kept_once_and_listed_newest_first(db: Database) {
    let letters: Vec<DeadLetter> = (1..=40).map(|seq| letter(seq, &[0, 255, b'x'])).collect();
    assert_eq!(db.store.insert_dead_letters(&letters).await.unwrap(), 40);
    assert_eq!(db.store.insert_dead_letters(&letters[7..9]).await.unwrap(), 0);
    assert_eq!(db.store.insert_dead_letters(&[]).await.unwrap(), 0);
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = db.store.dead_letters(cursor, 15).await.unwrap();
        seen.extend(page.rows.into_iter().map(|row| row.letter.unwrap()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, letters);
}

async fn a_new_letter_under_an_old_number_is_kept(db: Database) {
    // A broker that lost its store counts from 1 again.
    let (old, new) = (letter(1, b"old"), letter(1, b"new"));
    assert_eq!(old.id(), new.id());
    assert_eq!(db.store.insert_dead_letters(&[old.clone(), new.clone(), old]).await.unwrap(), 2);
}

async fn a_letter_is_never_refused_for_what_it_says(db: Database) {
    let mut letter = letter(1, &[0; 600_000]);
    letter.reason.message.push('\0');
    letter.subject.push('\0');
    letter.headers.insert("x\0".to_owned(), "\0".to_owned());
    assert_eq!(db.store.insert_dead_letters(&[letter.clone()]).await.unwrap(), 1);
    let stored = db.store.dead_letters(None, 1).await.unwrap().rows.swap_remove(0).letter.unwrap();
    assert_eq!((stored.headers, stored.body_bytes), (letter.headers, 600_000));
    assert!(stored.subject.ends_with('\u{fffd}'));
}

async fn a_damaged_letter_is_named_and_the_others_are_listed(db: Database) {
    db.store.insert_dead_letters(&[letter(1, b"a"), letter(2, b"b")]).await.unwrap();
    db.damage("UPDATE dead_letters SET headers = '' WHERE stream_seq = 2").await;
    let rows = db.store.dead_letters(None, 10).await.unwrap().rows;
    let readable: Vec<bool> = rows.iter().map(|row| row.letter.is_ok()).collect();
    assert_eq!(readable, [false, true]);
}
